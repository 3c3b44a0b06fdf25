//! All plugins of the program, by name.

use std::{collections::BTreeMap, sync::Arc};

use indexmap::IndexMap;
use spacewright_core::{
    latency::LatencySource,
    method::Method,
    operators::{OperatorSet, Operators},
    quant::Quantizer,
    score::Scorer,
    search::Strategy,
    space::Hyperspace,
    target::Target,
    train::Trainer,
};
use spacewright_sdk::{Item, Kind, Plugin, Registration, registrations};

use crate::{
    borrowed::Borrowing,
    checked::{CheckedOperators, CheckedQuantizer, CheckedScorer, CheckedSource, CheckedTarget},
    error::{EngineError, Result},
    hyperspace,
    origin::Origin,
    suggest::unknown,
};

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
    /// Latency sources by name, those of targets left out.
    pub latency_sources: IndexMap<String, Arc<dyn LatencySource>>,
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
    /// Plugins that were loaded from files, by what they offer: `kind/name`.
    loaded: IndexMap<String, Origin>,
    /// Why installed plugins are not used, by their names.
    unusable: IndexMap<String, String>,
}

macro_rules! lookups {
    ($($(#[$doc:meta])* $name:ident, $adder:ident: $field:ident, $what:literal, $kind:ty;)*) => {
        $(
            $(#[$doc])*
            pub fn $name(&self, name: &str) -> Result<$kind> {
                self.$field.get(name).cloned().ok_or_else(|| {
                    self.missing($what, name, self.$field.keys().map(String::as_str))
                })
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

    /// Adds what a built-in plugin offers; `plugin` is named in errors.
    pub fn add(&mut self, plugin: &str, item: &Item) -> Result<()> {
        let origin = &Origin::built_in(plugin);
        match item {
            Item::OperatorSets(make) => {
                make().into_iter().for_each(|set| self.add_operators_of(origin, set));
            }
            Item::Hyperspaces(make) => {
                for text in make() {
                    let hyperspace = hyperspace::parse(text, plugin)?;
                    self.add_hyperspace(hyperspace.name.clone(), hyperspace);
                }
            }
            Item::Quantizers(make) => {
                make().into_iter().for_each(|q| self.add_quantizer_of(origin, q));
            }
            Item::LatencySources(make) => {
                make().into_iter().for_each(|source| self.add_source_of(origin, source));
            }
            Item::Scorers(make) => make().into_iter().for_each(|s| self.add_scorer_of(origin, s)),
            Item::Strategies(make) => {
                make().into_iter().for_each(|s| self.add_strategy(s.name().to_owned(), s));
            }
            Item::Targets(make) => make().into_iter().for_each(|t| self.add_target_of(origin, t)),
            Item::Methods(make) => {
                make().into_iter().for_each(|m| self.add_method(m.name().to_owned(), m));
            }
            Item::Trainers(make) => self.trainers.push(Arc::new(*make)),
        }
        Ok(())
    }

    /// Adds all that a loaded plugin offers. What has a name that is taken is left out: the
    /// answer says so, one sentence for each.
    pub fn add_plugin(&mut self, origin: &Origin, plugin: &Plugin) -> Result<Vec<String>> {
        let mut hyperspaces = Vec::new();
        for text in &plugin.hyperspaces {
            hyperspaces.push(hyperspace::parse(text, &origin.to_string())?);
        }
        let mut taken = Vec::new();
        let mut free = |registry: &mut Self, kind: Kind, name: &str, known: bool| {
            if known {
                taken.push(format!("{origin}: there is another {kind} `{name}` already"));
            } else {
                registry.loaded.insert(format!("{kind}/{name}"), origin.clone());
            }
            !known
        };
        if let Some(set) = &plugin.operator_set {
            let name = set.name();
            if free(self, Kind::OperatorSet, name, self.operator_sets.contains_key(name)) {
                self.add_operators_of(origin, set.clone());
            }
        }
        for hyperspace in hyperspaces {
            let name = hyperspace.name.clone();
            if free(self, Kind::Hyperspace, &name, self.hyperspaces.contains_key(&name)) {
                self.add_hyperspace(name, hyperspace);
            }
        }
        if let Some(quantizer) = &plugin.quantizer {
            let name = quantizer.name();
            if free(self, Kind::Quantizer, name, self.quantizers.contains_key(name)) {
                self.add_quantizer_of(origin, quantizer.clone());
            }
        }
        if let Some(scorer) = &plugin.scorer {
            let name = scorer.name();
            if free(self, Kind::Scorer, name, self.scorers.contains_key(name)) {
                self.add_scorer_of(origin, scorer.clone());
            }
        }
        if let Some(target) = &plugin.target {
            let name = target.description().name;
            if free(self, Kind::Target, &name, self.targets.contains_key(&name)) {
                self.add_target_of(origin, target.clone());
            }
        }
        if let Some(source) = plugin.latency_source.as_ref().filter(|_| plugin.target.is_none()) {
            let name = source.name();
            if free(self, Kind::LatencySource, name, self.latency_sources.contains_key(name)) {
                self.add_source_of(origin, source.clone());
            }
        }
        Ok(taken)
    }

    /// Remembers why an installed plugin is not used, for errors about what it would offer.
    pub fn add_unusable(&mut self, plugin: &str, reason: impl Into<String>) {
        self.unusable.insert(plugin.into(), reason.into());
    }

    /// Where an item comes from, if it was loaded from a file.
    pub fn loaded(&self, kind: Kind, name: &str) -> Option<&Origin> {
        self.loaded.get(&format!("{kind}/{name}"))
    }

    /// Identities of loaded plugins by the names of what they offer.
    pub(crate) fn identities(&self) -> BTreeMap<String, String> {
        let of = |(item, origin): (&String, &Origin)| {
            let (_, name) = item.split_once('/')?;
            Some((name.to_owned(), origin.identity()?))
        };
        let mut identities: BTreeMap<String, String> = self.loaded.iter().filter_map(of).collect();
        for set in self.operator_sets.values() {
            let Some(identity) = identities.get(set.name()).cloned() else { continue };
            let types = set.block_types().into_iter().map(|block| block.name);
            identities.extend(types.map(|name| (name, identity.clone())));
        }
        identities
    }

    /// A target that can write and run its models: with the runtime of another target of the
    /// same model format, where it has none of its own.
    pub fn deployable(&self, name: &str) -> Result<Arc<dyn Target>> {
        let target = self.target(name)?;
        Ok(Borrowing::if_needed(target, self.targets.values()))
    }

    fn missing<'a>(
        &self,
        what: &str,
        name: &str,
        known: impl Iterator<Item = &'a str>,
    ) -> EngineError {
        let error = unknown(what, name, known);
        match self.unusable.first() {
            Some((plugin, reason)) if error.hint.is_none() => {
                error.with_hint(format!("the plugin `{plugin}` is not used: {reason}"))
            }
            _ => error,
        }
    }

    fn add_operators_of(&mut self, origin: &Origin, set: Arc<dyn OperatorSet>) {
        self.add_operators(set.name().to_owned(), CheckedOperators::wrap(origin, set));
    }

    fn add_quantizer_of(&mut self, origin: &Origin, quantizer: Arc<dyn Quantizer>) {
        self.add_quantizer(quantizer.name().to_owned(), CheckedQuantizer::wrap(origin, quantizer));
    }

    fn add_source_of(&mut self, origin: &Origin, source: Arc<dyn LatencySource>) {
        self.add_latency_source(source.name().to_owned(), CheckedSource::wrap(origin, source));
    }

    fn add_scorer_of(&mut self, origin: &Origin, scorer: Arc<dyn Scorer>) {
        self.add_scorer(scorer.name().to_owned(), CheckedScorer::wrap(origin, scorer));
    }

    fn add_target_of(&mut self, origin: &Origin, target: Arc<dyn Target>) {
        self.add_target(target.description().name, CheckedTarget::wrap(origin, target));
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
        /// The latency source of this name.
        latency_source, add_latency_source: latency_sources, "latency source", Arc<dyn LatencySource>;
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
    use spacewright_sdk::About;

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
        let about = About { name: "late".into(), ..About::default() };
        let origin = Origin { plugin: "late".into(), ..Origin::built_in("late") };
        let mut plugin = Plugin::new(about);
        plugin.quantizer = Some(spacewright_quantizers::quantizers().remove(0));
        let mut registry = Registry::built_in().unwrap();
        let known = registry.quantizer("lsq-plus").unwrap();
        let taken = registry.add_plugin(&origin, &plugin).unwrap();
        assert!(taken[0].ends_with("there is another quantizer `lsq-plus` already"), "{taken:?}");
        assert!(Arc::ptr_eq(&registry.quantizer("lsq-plus").unwrap(), &known));
        assert!(registry.loaded(Kind::Quantizer, "lsq-plus").is_none());
    }
}
