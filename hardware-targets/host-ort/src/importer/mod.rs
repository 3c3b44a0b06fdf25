//! Trained networks out of ONNX files of other programs, as op graphs with weights.
//!
//! Nodes are read in an order in which they can run. Each tensor is then a value of the op graph, a constant, or
//! not known (`values`); what a node makes of its inputs is in `nodes` and `shapes`, and of constants alone in
//! `evaluate`. What is not known is
//! remembered, and reading goes on, so that the error names all such nodes. At the end composite activations
//! become one operator each (`finish`).

mod constants;
mod count;
mod evaluate;
mod finish;
mod network;
mod nodes;
mod run;
mod shapes;
mod values;
mod window;

use std::{path::Path, rc::Rc};

use prost::Message;
use spacewright_core::{
    foreign::{ModelFile, OpenSizes, ResolvedInputs},
    graph::{Shape, ValueId},
    import::{ImportError, ImportedNetwork, NetworkReader, UnknownNode},
};

use self::{
    constants::{Constant, Elements},
    evaluate::evaluate,
    network::{Network, Real},
    nodes::label,
    values::{SAID, Value, Values},
};
use crate::{
    proto::{GraphProto, ModelProto, NodeProto, OperatorSetIdProto},
    reader::{self, external::External, order::sorted},
    runtime::OrtRuntime,
    target::HOST,
};

/// Reads networks out of ONNX files.
#[derive(Debug, Clone, Copy, Default)]
pub struct OnnxReader;

impl NetworkReader for OnnxReader {
    fn format(&self) -> &str {
        "ONNX"
    }

    fn recognizes(&self, file: &ModelFile<'_>) -> bool {
        let extension = file.path.and_then(Path::extension).and_then(|name| name.to_str());
        extension.is_some_and(|name| name.eq_ignore_ascii_case("onnx"))
    }

    fn read(
        &self,
        file: &ModelFile<'_>,
        sizes: &OpenSizes,
    ) -> Result<ImportedNetwork, ImportError> {
        import(file, sizes)
    }

    fn run(
        &self,
        file: &ModelFile<'_>,
        sizes: &OpenSizes,
        images: &[Vec<f32>],
    ) -> Result<Option<Vec<Vec<f32>>>, ImportError> {
        let failed = |reason: String| ImportError::Run(reason);
        let runtime = OrtRuntime::new(HOST).map_err(|error| failed(error.reason.to_string()))?;
        run::run(&runtime, file, sizes, images).map(Some).map_err(|error| failed(error.to_string()))
    }
}

/// A graph whose nodes are read one after the other.
struct Importer<'g> {
    values: Values<'g>,
    network: Network,
    /// The tensor that is the file's result.
    output: Option<String>,
    softmax: bool,
    /// Elements of constants that nodes have computed.
    computed: usize,
    unknown: Vec<(&'g NodeProto, UnknownNode)>,
}

/// Names of the domain of ONNX's own operators.
const STANDARD: [&str; 2] = ["", "ai.onnx"];
/// Operators of earlier versions have other attributes.
const FIRST_VERSION: i64 = 7;
/// Most elements of all constants that nodes compute.
const MOST_COMPUTED: usize = 1 << 26;

fn import(file: &ModelFile<'_>, sizes: &OpenSizes) -> Result<ImportedNetwork, ImportError> {
    let unreadable = |reason: String| ImportError::Unreadable(reason);
    let summary = reader::read(file).map_err(|error| unreadable(error.to_string()))?;
    let inputs = ResolvedInputs::new(&summary.inputs, sizes);
    let inputs = inputs.map_err(|error| unreadable(error.to_string()))?.inputs;
    let [input] = &inputs[..] else {
        return Err(unreadable(format!(
            "it has {} inputs; one, of images, is known",
            inputs.len()
        )));
    };
    let shape = match input.shape[..] {
        [1, channels, height, width] if input.element == "float32" => {
            Shape::new(channels as usize, height as usize, width as usize)
        }
        _ => {
            let hint = "export it for one image, or with an open size of the batch";
            let image = "float32, 1 × channels × height × width";
            return Err(unreadable(format!(
                "its input {input} is no image: {image}\nhint: {hint}"
            )));
        }
    };
    let model = ModelProto::decode(file.content).map_err(|error| unreadable(error.to_string()))?;
    let is_standard = |set: &&OperatorSetIdProto| STANDARD.contains(&set.domain.as_str());
    let version = model.opset_import.iter().find(is_standard).map_or(0, |set| set.version);
    if version < FIRST_VERSION {
        let hint = "convert it with ONNX's version converter, or export it again";
        return Err(unreadable(format!(
            "its operators are of version {version}; {FIRST_VERSION} and later are known\nhint: {hint}"
        )));
    }
    let graph = model.graph.unwrap_or_default();
    let [output] = &graph.output[..] else {
        let count = graph.output.len();
        return Err(unreadable(format!("it has {count} outputs; one, of classes, is known")));
    };
    let mut importer = Importer {
        values: Values::of(&graph),
        network: Network::new(shape),
        output: Some(output.name.clone()),
        softmax: false,
        computed: 0,
        unknown: Vec::new(),
    };
    importer.constants(&graph, file.path)?;
    let first = graph.input.iter().find(|info| info.name == input.name);
    let real = Real { value: ValueId::INPUT, rank: 4, shared: false };
    if let Some(info) = first {
        importer.values.insert(&info.name, Value::Real(real));
    }
    for node in sorted(&graph) {
        importer.node(node);
    }
    importer.finish(&graph)
}

impl<'g> Importer<'g> {
    /// The constants of the file, those in other files included.
    fn constants(
        &mut self,
        graph: &'g GraphProto,
        model: Option<&Path>,
    ) -> Result<(), ImportError> {
        let folder = model.map(|path| match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        });
        for proto in &graph.initializer {
            let external = External::of(proto, folder)
                .map_err(|error| ImportError::Unreadable(error.to_string()))?;
            let constant = Constant::of(proto, external.as_ref()).map_err(|reason| {
                ImportError::Unreadable(format!("the constant `{}` {reason}", proto.name))
            })?;
            self.values.insert(&proto.name, Value::Constant(Rc::new(constant)));
        }
        Ok(())
    }

    fn node(&mut self, node: &'g NodeProto) {
        let made = match (node.op_type.as_str(), self.values.constants(node)) {
            _ if !STANDARD.contains(&node.domain.as_str()) => {
                Err(format!("operators of `{}` are not known", node.domain))
            }
            ("Constant", _) => constant(node),
            // Another name of a constant, as exporters write weights that layers share, costs nothing.
            ("Identity", _) => self.value_of(node),
            (_, Some(inputs)) => self.evaluated(node, &inputs),
            _ => self.value_of(node),
        };
        let value = made.unwrap_or_else(|reason| {
            if reason != SAID {
                let unknown =
                    UnknownNode::new(label(node).to_owned(), node.op_type.clone(), reason);
                self.unknown.push((node, unknown));
            }
            Value::Unknown
        });
        let mut outputs = node.output.iter().filter(|name| !name.is_empty());
        if let Some(first) = outputs.next() {
            self.values.insert(first, value);
        }
        // The second output of a dropout, which nobody reads in inference.
        outputs.for_each(|name| self.values.insert(name, Value::Unknown));
    }

    /// What a node makes of constants alone.
    fn evaluated(
        &mut self,
        node: &NodeProto,
        inputs: &[Option<Rc<Constant>>],
    ) -> Result<Value, String> {
        let constant = evaluate(node, inputs)?;
        self.computed += constant.elements.len();
        match self.computed <= MOST_COMPUTED {
            true => Ok(Value::Constant(Rc::new(constant))),
            false => Err("too much is computed from constants".into()),
        }
    }

    fn finish(self, graph: &GraphProto) -> Result<ImportedNetwork, ImportError> {
        let name = graph.name.clone();
        if !self.unknown.is_empty() {
            let (nodes, unknown): (Vec<_>, Vec<_>) = self.unknown.into_iter().unzip();
            let shares = count::shares(graph, &nodes);
            let share = |at: usize| shares.as_ref().map(|shares| shares[at]);
            let told = unknown.into_iter().enumerate();
            let told = told.map(|(at, node)| node.with_share(share(at)));
            return Err(ImportError::Unknown(told.collect()));
        }
        let output = self.output.as_deref().and_then(|name| self.values.get(name));
        let Some(Value::Real(real)) = output else {
            let reason = "no node that is known makes its output".to_owned();
            return Err(ImportError::Unreadable(reason));
        };
        let (graph, weights) = self.network.finish(real.value);
        let (graph, weights, notes) = finish::finished(graph, weights);
        graph.check_network_bounds()?;
        Ok(ImportedNetwork { name, graph, weights, softmax: self.softmax, notes })
    }
}

/// What a node of the operator `Constant` holds.
fn constant(node: &NodeProto) -> Result<Value, String> {
    let attribute = node.attribute.first().ok_or("it has no value")?;
    let scalar = |elements: Elements| Ok(Constant { shape: Vec::new(), elements });
    let constant = match (attribute.name.as_str(), &attribute.t) {
        ("value", Some(tensor)) => Constant::of(tensor, None),
        ("value_int", _) => scalar(Elements::Integers(vec![attribute.i])),
        ("value_ints", _) => Ok(Constant::integers(attribute.ints.clone())),
        ("value_float", _) => scalar(Elements::Real(vec![attribute.f])),
        (other, _) => Err(format!("`{other}` is not known")),
    };
    constant.map(|constant| Value::Constant(Rc::new(constant)))
}
