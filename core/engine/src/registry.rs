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
use spacewright_sdk::{Item, Kind, Plugin, Registration, registrations, text::shown};

use crate::{
    checked::{CheckedOperators, CheckedQuantizer, CheckedScorer, CheckedSource, CheckedTarget},
    deployed::Deployed,
    error::{EngineError, Result},
    hyperspace,
    keys::Identities,
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
    /// Plugins that were loaded from files, by what they offer.
    loaded: IndexMap<(Kind, String), Origin>,
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

/// A hyperspace as TOML, checked with these block types.
fn read_hyperspace(text: &str, operators: &Operators) -> Result<Hyperspace, String> {
    let hyperspace = hyperspace::parse(text, "its TOML").map_err(|error| error.message)?;
    hyperspace.validate(operators).map_err(|error| error.to_string())?;
    Ok(hyperspace)
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

    /// Adds all that a loaded plugin offers. What has a name that is taken, or a hyperspace that
    /// is wrong, is left out: the answer says so, one sentence for each.
    pub fn add_plugin(&mut self, origin: &Origin, plugin: &Plugin) -> Vec<String> {
        let (mut left_out, mut wrong) = (Vec::new(), Vec::new());
        let mut free = |registry: &mut Self, kind: Kind, name: &str, known: bool| {
            if known {
                let owner = match registry.loaded(kind, name) {
                    Some(owner) => owner.to_string(),
                    None => "the program itself".into(),
                };
                left_out.push(format!(
                    "{origin}: {owner} has another {kind} `{name}` already: choose another name"
                ));
            } else {
                registry.loaded.insert((kind, name.to_owned()), origin.clone());
            }
            !known
        };
        if let Some(set) = &plugin.operator_set {
            let name = set.name();
            let known = self.operators();
            let types = set.block_types();
            match types.iter().find(|block| known.block_type(&block.name).is_ok()) {
                Some(block) => wrong.push(format!(
                    "{origin}: there is another block type `{}` already: choose another name",
                    block.name
                )),
                None => {
                    let known = self.operator_sets.contains_key(name);
                    if free(self, Kind::OperatorSet, name, known) {
                        self.add_operators_of(origin, set.clone());
                    }
                }
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
        if let Some(source) = &plugin.latency_source {
            let name = source.name();
            if free(self, Kind::LatencySource, name, self.latency_sources.contains_key(name)) {
                self.add_source_of(origin, source.clone());
            }
        }
        let operators = self.operators();
        for text in &plugin.hyperspaces {
            match read_hyperspace(text, &operators) {
                Err(reason) => wrong.push(format!("{origin}: {}", shown(&reason))),
                Ok(hyperspace) => {
                    let name = hyperspace.name.clone();
                    let known = self.hyperspaces.contains_key(&name);
                    if free(self, Kind::Hyperspace, &name, known) {
                        self.add_hyperspace(name, hyperspace);
                    }
                }
            }
        }
        left_out.append(&mut wrong);
        left_out
    }

    /// Remembers why an installed plugin is not used, for errors about what it would offer.
    pub fn add_unusable(&mut self, plugin: &str, reason: impl Into<String>) {
        self.unusable.insert(plugin.into(), reason.into());
    }

    /// Where an item comes from, if it was loaded from a file.
    pub fn loaded(&self, kind: Kind, name: &str) -> Option<&Origin> {
        self.loaded.get(&(kind, name.to_owned()))
    }

    /// Which loaded plugins there are, by what they offer.
    pub(crate) fn identities(&self) -> Identities {
        let of = |((kind, name), origin): (&(Kind, String), &Origin)| {
            Some(((*kind, name.clone()), origin.identity()?))
        };
        let items = self.loaded.iter().filter_map(of).collect();
        let mut blocks = BTreeMap::new();
        for set in self.operator_sets.values() {
            let origin = self.loaded(Kind::OperatorSet, set.name());
            if let Some(identity) = origin.and_then(Origin::identity) {
                let types = set.block_types().into_iter().map(|block| block.name);
                blocks.extend(types.map(|name| (name, identity.clone())));
            }
        }
        Identities { items, blocks }
    }

    /// A target that can write and run its models, with the latencies of the source of this name
    /// instead of its own, unless the name is empty. Where the target has no runtime, that of
    /// another one with the same model format is used.
    pub fn deployable(&self, name: &str, source: &str) -> Result<Deployed> {
        let target = self.target(name)?;
        let source = (!source.is_empty()).then(|| self.latency_source(source)).transpose()?;
        Ok(Deployed::new(target, source, self.targets.values()))
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
        let taken = registry.add_plugin(&origin, &plugin);
        assert!(
            taken[0].contains("the program itself has another quantizer `lsq-plus` already"),
            "{taken:?}"
        );
        assert!(Arc::ptr_eq(&registry.quantizer("lsq-plus").unwrap(), &known));
        assert!(registry.loaded(Kind::Quantizer, "lsq-plus").is_none());
    }
}
