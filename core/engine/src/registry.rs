//! All plugins of the program, by name.

use std::sync::Arc;

use indexmap::IndexMap;
use spacewright_core::{
    method::Method,
    operators::{OperatorSet, Operators},
    quant::Quantizer,
    score::Scorer,
    search::Strategy,
    space::Hyperspace,
    target::Target,
    train::Trainer,
};
use spacewright_sdk::{Item, Registration, registrations};

use crate::{error::Result, hyperspace, suggest::unknown};

/// Makes trainers for a number of threads.
pub type TrainerFactory = Arc<dyn Fn(usize) -> Vec<Arc<dyn Trainer>> + Send + Sync>;

/// What the program can do. Where two plugins have something of the same name, the earlier one
/// keeps it.
#[derive(Clone, Default)]
pub struct Registry {
    /// Operator sets by name.
    pub operator_sets: IndexMap<String, Arc<dyn OperatorSet>>,
    /// Hyperspaces by name.
    pub hyperspaces: IndexMap<String, Hyperspace>,
    /// Quantizers by name.
    pub quantizers: IndexMap<String, Arc<dyn Quantizer>>,
    /// Scorers by name.
    pub scorers: IndexMap<String, Arc<dyn Scorer>>,
    /// Strategies by name.
    pub strategies: IndexMap<String, Arc<dyn Strategy>>,
    /// Targets by name.
    pub targets: IndexMap<String, Arc<dyn Target>>,
    /// Methods by name.
    pub methods: IndexMap<String, Arc<dyn Method>>,
    /// Trainers; the first one trains.
    pub trainers: Vec<TrainerFactory>,
}

macro_rules! lookups {
    ($($(#[$doc:meta])* $name:ident, $adder:ident: $field:ident, $what:literal, $kind:ty;)*) => {
        $(
            $(#[$doc])*
            pub fn $name(&self, name: &str) -> Result<$kind> {
                let known = self.$field.keys().map(String::as_str);
                self.$field.get(name).cloned().ok_or_else(|| unknown($what, name, known))
            }
        )*

        $(
            /// Adds one, unless the name is taken.
            pub fn $adder(&mut self, name: impl Into<String>, item: $kind) {
                self.$field.entry(name.into()).or_insert(item);
            }
        )*
    };
}

impl Registry {
    /// Everything that is linked into the program, in the order of the plugins' names.
    pub fn built_in() -> Result<Self> {
        let mut all: Vec<&Registration> = registrations().collect();
        all.sort_by_key(|registration| registration.plugin);
        let mut registry = Self::default();
        for registration in all {
            registry.add(registration.plugin, &registration.item)?;
        }
        Ok(registry)
    }

    /// Adds what a plugin offers; `plugin` is named in errors.
    pub fn add(&mut self, plugin: &str, item: &Item) -> Result<()> {
        match item {
            Item::OperatorSets(make) => {
                make().into_iter().for_each(|set| self.add_operators(set.name().to_owned(), set));
            }
            Item::Hyperspaces(make) => {
                for text in make() {
                    let hyperspace = hyperspace::parse(text, plugin)?;
                    self.add_hyperspace(hyperspace.name.clone(), hyperspace);
                }
            }
            Item::Quantizers(make) => {
                make().into_iter().for_each(|q| self.add_quantizer(q.name().to_owned(), q));
            }
            Item::Scorers(make) => {
                make().into_iter().for_each(|s| self.add_scorer(s.name().to_owned(), s));
            }
            Item::Strategies(make) => {
                make().into_iter().for_each(|s| self.add_strategy(s.name().to_owned(), s));
            }
            Item::Targets(make) => {
                make().into_iter().for_each(|t| self.add_target(t.description().name, t));
            }
            Item::Methods(make) => {
                make().into_iter().for_each(|m| self.add_method(m.name().to_owned(), m));
            }
            Item::Trainers(make) => self.trainers.push(Arc::new(*make)),
        }
        Ok(())
    }

    /// All operator sets, joined.
    pub fn operators(&self) -> Operators {
        Operators::new(self.operator_sets.values().cloned())
    }

    /// The trainer, where the program has one.
    pub fn trainer(&self, threads: usize) -> Option<Arc<dyn Trainer>> {
        self.trainers.iter().flat_map(|make| make(threads)).next()
    }

    lookups! {
        /// The operator set of this name.
        operator_set, add_operators: operator_sets, "operator set", Arc<dyn OperatorSet>;
        /// The hyperspace of this name.
        hyperspace, add_hyperspace: hyperspaces, "hyperspace", Hyperspace;
        /// The quantizer of this name.
        quantizer, add_quantizer: quantizers, "quantizer", Arc<dyn Quantizer>;
        /// The scorer of this name.
        scorer, add_scorer: scorers, "scorer", Arc<dyn Scorer>;
        /// The strategy of this name.
        strategy, add_strategy: strategies, "strategy", Arc<dyn Strategy>;
        /// The target of this name.
        target, add_target: targets, "target", Arc<dyn Target>;
        /// The method of this name.
        method, add_method: methods, "method", Arc<dyn Method>;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linked_plugins_are_found_by_name() {
        assert_eq!(spacewright_quantizers::quantizers().len(), 2);
        let registry = Registry::built_in().unwrap();
        assert!(registry.quantizer("lsq-plus").is_ok());
        let error = registry.quantizer("lsq-puls").err().unwrap();
        assert_eq!(error.message, "no quantizer `lsq-puls`; known are lsq-plus, min-max");
        assert_eq!(error.hint.as_deref(), Some("did you mean `lsq-plus`?"));
        let error = registry.target("host-ort").err().unwrap();
        assert_eq!(error.message, "no target `host-ort`; this program has none");
    }

    #[test]
    fn the_earlier_plugin_keeps_a_name() {
        let mut registry = Registry::default();
        let [first, second] = [(); 2].map(|()| spacewright_quantizers::quantizers().remove(0));
        registry.add_quantizer("q", first.clone());
        registry.add_quantizer("q", second);
        assert!(Arc::ptr_eq(&registry.quantizer("q").unwrap(), &first));
    }
}
