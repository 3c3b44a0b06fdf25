use spacewright_core::{
    graph::Graph,
    operators::{BlockRequest, BlockType, OperatorError},
    quant::{ActivationRange, QuantizerError, TensorStats, WeightRange},
};
use spacewright_plugin::About;

use super::*;

/// A quantizer of this name, whose scales are all 1.
struct Ones(&'static str);

impl Quantizer for Ones {
    fn name(&self) -> &str {
        self.0
    }
    fn learnable(&self) -> bool {
        false
    }
    fn activations(
        &self,
        items: &[(TensorStats, ActivationRange)],
    ) -> Result<Vec<(f32, f32)>, QuantizerError> {
        Ok(vec![(1.0, 0.0); items.len()])
    }
    fn weights(&self, items: &[TensorStats], _: WeightRange) -> Result<Vec<f32>, QuantizerError> {
        Ok(vec![1.0; items.len()])
    }
}

/// An operator set of this name with one block type.
struct OneBlock(&'static str, &'static str);

impl OperatorSet for OneBlock {
    fn name(&self) -> &str {
        self.0
    }
    fn block_types(&self) -> Vec<BlockType> {
        vec![BlockType { name: self.1.into(), summary: String::new(), axes: vec![] }]
    }
    fn graphs(&self, _: &[BlockRequest]) -> Result<Vec<Graph>, OperatorError> {
        Err(OperatorError::other("it draws nothing"))
    }
}

fn quantizers() -> Vec<Arc<dyn Quantizer>> {
    vec![Arc::new(Ones("lsq-plus")), Arc::new(Ones("min-max"))]
}

spacewright_plugin::register!("linked", Quantizers, quantizers);

fn registry() -> Registry {
    Registry::built_in().unwrap()
}

/// A plugin that was loaded from a file.
fn loaded(plugin: &str) -> Origin {
    let carrier = crate::origin::Carrier::Wasm;
    Origin { carrier, sha256: "00".into(), ..Origin::built_in(plugin) }
}

#[test]
fn linked_plugins_are_found_by_name() {
    let registry = registry();
    assert!(registry.quantizer("lsq-plus").is_ok());
    let error = registry.quantizer("lsq-puls").err().unwrap();
    assert_eq!(error.to_string(), "no quantizer `lsq-puls`; known are lsq-plus, min-max");
    assert_eq!(error.hint.as_deref(), Some("did you mean `lsq-plus`?"));
    let error = registry.target("host-ort").err().unwrap();
    assert_eq!(error.to_string(), "no target `host-ort`; there is no target at all");
}

#[test]
fn a_loaded_item_whose_name_is_taken_is_left_out() {
    let plugin = Plugin::new(About::default()).quantizer(Ones("lsq-plus"));
    let mut registry = registry();
    let known = registry.quantizer("lsq-plus").unwrap();
    let left_out = registry.add_plugin(&loaded("late"), &plugin);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        left_out,
        [format!(
            "plugin `late` {version}: the program itself has another quantizer `lsq-plus` \
             already: choose another name"
        )]
    );
    assert!(Arc::ptr_eq(&registry.quantizer("lsq-plus").unwrap(), &known));
    assert!(registry.loaded(Kind::Quantizer, "lsq-plus").is_none());
}

#[test]
fn a_block_type_of_a_loaded_set_must_be_new() {
    let set = |name, block| Plugin::new(About::default()).operator_set(OneBlock(name, block));
    let mut registry = registry();
    assert!(registry.add_plugin(&loaded("first"), &set("a", "conv")).is_empty());
    let left_out = registry.add_plugin(&loaded("second"), &set("b", "conv"));
    assert!(left_out[0].contains("plugin `first` 0.1.0 has another block type `conv`"));
    assert!(registry.operator_set("b").is_err());
    assert!(registry.add_plugin(&loaded("second"), &set("b", "pool")).is_empty());
    let blocks = registry.identities().blocks;
    assert_eq!(blocks.keys().collect::<Vec<_>>(), ["conv", "pool"]);
}

#[test]
fn built_ins_whose_names_clash_are_an_error_that_names_both() {
    fn again() -> Vec<Arc<dyn Quantizer>> {
        vec![Arc::new(Ones("min-max"))]
    }
    fn one() -> Vec<Arc<dyn OperatorSet>> {
        vec![Arc::new(OneBlock("a", "conv"))]
    }
    fn two() -> Vec<Arc<dyn OperatorSet>> {
        vec![Arc::new(OneBlock("b", "conv"))]
    }
    let mut registry = registry();
    let clash = |registry: &mut Registry, item, expected: &str| {
        let error = registry.add("twin", &item).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Plugin);
        assert!(error.to_string().starts_with("plugin `twin` "), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    };
    let expected = "plugin `linked` 0.1.0 has another quantizer `min-max` already";
    clash(&mut registry, BuiltInItem::Quantizers(again), expected);
    registry.add("one", &BuiltInItem::OperatorSets(one)).unwrap();
    let expected = "plugin `one` 0.1.0 has another block type `conv` already";
    clash(&mut registry, BuiltInItem::OperatorSets(two), expected);
}

#[test]
fn names_that_people_take_for_each_other_are_the_same() {
    let plugin = Plugin::new(About::default()).quantizer(Ones("LSQ_Plus"));
    let mut registry = registry();
    let left_out = registry.add_plugin(&loaded("late"), &plugin);
    assert!(left_out[0].contains("the program itself has another quantizer `lsq-plus`"));
    assert_eq!(registry.built_in_alike("Linked"), Some("linked"));
    assert_eq!(registry.built_in_alike("MIN_max"), Some("min-max"));
    assert_eq!(registry.built_in_alike("late"), None);
}
