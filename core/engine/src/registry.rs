//! All plugins of the program, by name.

use std::{collections::BTreeMap, fmt, sync::Arc};

use indexmap::IndexMap;
use spacewright_core::{
    import::NetworkReader,
    latency::LatencySource,
    operators::{OperatorSet, Operators},
    quant::Quantizer,
    score::Scorer,
    search::Strategy,
    space::{Hyperspace, HyperspaceError},
    study::{Method, sections_of},
    target::Target,
    train::{Compute, Trainer},
};
use spacewright_plugin::{BuiltInItem, Kind, Plugin, Registration, registrations, text::shown};

use crate::{
    checked::{CheckedOperators, CheckedQuantizer, CheckedScorer, CheckedSource, CheckedTarget},
    error::{EngineError, ErrorKind, Result},
    hyperspace,
    keys::Identities,
    origin::Origin,
    study::Study,
    study_target::StudyTarget,
    suggest::unknown,
};

/// Makes trainers that compute so.
pub type TrainerFactory = Arc<dyn Fn(&Compute) -> Vec<Arc<dyn Trainer>> + Send + Sync>;

/// What the program can do. No two plugins have something of the same kind and name.
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
    /// Who reads trained networks out of files.
    pub network_readers: Vec<Arc<dyn NetworkReader>>,
    /// The plugin of everything that has a name.
    owners: IndexMap<(Named, String), Origin>,
    /// Why installed plugins are not used, by their names.
    unusable: IndexMap<String, String>,
}

/// What can have a name that nothing else of its sort may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Named {
    /// What a plugin offers.
    Item(Kind),
    /// A block type of an operator set.
    BlockType,
    /// A search strategy.
    Strategy,
    /// A method.
    Method,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Item(kind) => f.write_str(&kind.name().replace('-', " ")),
            Self::BlockType => f.write_str("block type"),
            Self::Strategy => f.write_str("strategy"),
            Self::Method => f.write_str("method"),
        }
    }
}

/// A name that something of another plugin has already.
struct Clash {
    newcomer: Origin,
    owner: Origin,
    named: Named,
    name: String,
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { newcomer, owner, named, name } = self;
        write!(f, "{newcomer}: ")?;
        match newcomer.is_loaded() && !owner.is_loaded() {
            true => f.write_str("the program itself")?,
            false => write!(f, "{owner}")?,
        }
        write!(f, " has another {named} `{name}` already: choose another name")
    }
}

/// Whether people take one name for the other.
fn are_alike(one: &str, other: &str) -> bool {
    let plain = |c: u8| if c == b'_' { b'-' } else { c.to_ascii_lowercase() };
    one.bytes().map(plain).eq(other.bytes().map(plain))
}

/// Something that the registry keeps under its name.
trait Entry: Sized {
    /// What it is.
    const NAMED: Named;
    /// Its name.
    fn name(&self) -> String;
    /// Where it is kept.
    fn table(registry: &mut Registry) -> &mut IndexMap<String, Self>;
    /// The same, whose answers are checked.
    fn checked(self, origin: &Origin) -> Self;
    /// The names of its parts that have to be unique, too.
    fn parts(&self) -> Vec<(Named, String)> {
        Vec::new()
    }
}

/// A table of the registry for each line: how an item is looked up, added as it is, named and
/// checked.
macro_rules! tables {
    ($(
        $(#[$doc:meta])*
        $lookup:ident, $adder:ident: $field:ident, $named:expr, $item:ty {
            $name:expr, $checked:expr $(, $parts:expr)?
        }
    )*) => {
        impl Registry {
            $(
                $(#[$doc])*
                pub fn $lookup(&self, name: &str) -> Result<$item> {
                    self.$field.get(name).cloned().ok_or_else(|| {
                        self.missing($named, name, self.$field.keys().map(String::as_str))
                    })
                }

                /// Adds one of the program's own, unchecked, in place of what has its name.
                pub fn $adder(&mut self, name: impl Into<String>, item: $item) {
                    self.$field.insert(name.into(), item);
                }
            )*
        }

        $(impl Entry for $item {
            const NAMED: Named = $named;

            fn name(&self) -> String {
                let name: fn(&Self) -> String = $name;
                name(self)
            }

            fn table(registry: &mut Registry) -> &mut IndexMap<String, Self> {
                &mut registry.$field
            }

            fn checked(self, origin: &Origin) -> Self {
                let checked: fn(&Origin, Self) -> Self = $checked;
                checked(origin, self)
            }

            $(fn parts(&self) -> Vec<(Named, String)> {
                let parts: fn(&Self) -> Vec<(Named, String)> = $parts;
                parts(self)
            })?
        })*
    };
}

tables! {
    /// The operator set of this name.
    operator_set, add_operators: operator_sets, Named::Item(Kind::OperatorSet),
    Arc<dyn OperatorSet> {
        |set| OperatorSet::name(set.as_ref()).to_owned(),
        CheckedOperators::wrap,
        |set| set.block_types().into_iter().map(|block| (Named::BlockType, block.name)).collect()
    }
    /// The hyperspace of this name.
    hyperspace, add_hyperspace: hyperspaces, Named::Item(Kind::Hyperspace), Hyperspace {
        |hyperspace| hyperspace.name.clone(),
        |_, hyperspace| hyperspace
    }
    /// The quantizer of this name.
    quantizer, add_quantizer: quantizers, Named::Item(Kind::Quantizer), Arc<dyn Quantizer> {
        |quantizer| Quantizer::name(quantizer.as_ref()).to_owned(),
        CheckedQuantizer::wrap
    }
    /// The latency source of this name.
    latency_source, add_latency_source: latency_sources, Named::Item(Kind::LatencySource),
    Arc<dyn LatencySource> {
        |source| LatencySource::name(source.as_ref()).to_owned(),
        CheckedSource::wrap
    }
    /// The scorer of this name.
    scorer, add_scorer: scorers, Named::Item(Kind::Scorer), Arc<dyn Scorer> {
        |scorer| Scorer::name(scorer.as_ref()).to_owned(),
        CheckedScorer::wrap
    }
    /// The strategy of this name.
    strategy, add_strategy: strategies, Named::Strategy, Arc<dyn Strategy> {
        |strategy| Strategy::name(strategy.as_ref()).to_owned(),
        |_, strategy| strategy
    }
    /// The target of this name.
    target, add_target: targets, Named::Item(Kind::Target), Arc<dyn Target> {
        |target| target.description().name,
        CheckedTarget::wrap
    }
    /// The method of this name.
    method, add_method: methods, Named::Method, Arc<dyn Method> {
        |method| Method::name(method.as_ref()).to_owned(),
        |_, method| method
    }
}

impl Registry {
    /// Everything that is linked into the program, in the order of the plugins' names; an error
    /// where two plugins have something of the same name.
    pub fn built_in() -> Result<Self> {
        let mut all: Vec<&Registration> = registrations().collect();
        all.sort_by_key(|registration| registration.plugin);
        let mut registry = Self::default();
        for registration in all {
            registry.add(registration.plugin, &registration.item)?;
        }
        Ok(registry)
    }

    /// Adds what a built-in plugin offers; an error where something has its name already.
    pub fn add(&mut self, plugin: &str, item: &BuiltInItem) -> Result<()> {
        let origin = &Origin::built_in(plugin);
        match item {
            BuiltInItem::OperatorSets(make) => self.offer_all(origin, make()),
            BuiltInItem::Hyperspaces(make) => {
                let read = make().into_iter().map(|text| hyperspace::parse(text, plugin));
                self.offer_all(origin, read.collect::<Result<_>>()?)
            }
            BuiltInItem::Quantizers(make) => self.offer_all(origin, make()),
            BuiltInItem::LatencySources(make) => self.offer_all(origin, make()),
            BuiltInItem::Scorers(make) => self.offer_all(origin, make()),
            BuiltInItem::Strategies(make) => self.offer_all(origin, make()),
            BuiltInItem::Targets(make) => self.offer_all(origin, make()),
            BuiltInItem::Methods(make) => self.offer_all(origin, make()),
            BuiltInItem::Trainers(make) => {
                self.trainers.push(Arc::new(*make));
                Ok(())
            }
            BuiltInItem::NetworkReaders(make) => {
                self.network_readers.extend(make());
                Ok(())
            }
        }
    }

    fn offer_all<T: Entry>(&mut self, origin: &Origin, items: Vec<T>) -> Result<()> {
        items.into_iter().try_for_each(|item| {
            let clash = |clash: Box<Clash>| EngineError::new(ErrorKind::Plugin, clash.to_string());
            self.offer(origin, item).map_err(clash)
        })
    }

    /// Adds all that a loaded plugin offers. What has a name that is taken, or a hyperspace that
    /// is wrong, is left out: the answer says so, one sentence for each.
    pub fn add_plugin(&mut self, origin: &Origin, plugin: &Plugin) -> Vec<String> {
        self.add_loaded(origin, plugin, |hyperspace, operators| hyperspace.validate(operators))
    }

    /// The same, without a question to the plugin: its blocks are not asked whether they can be
    /// what its hyperspaces want of them.
    pub(crate) fn add_unasked(&mut self, origin: &Origin, plugin: &Plugin) -> Vec<String> {
        self.add_loaded(origin, plugin, |_, _| Ok(()))
    }

    fn add_loaded(
        &mut self,
        origin: &Origin,
        plugin: &Plugin,
        validate: impl Fn(&Hyperspace, &Operators) -> Result<(), HyperspaceError>,
    ) -> Vec<String> {
        let Plugin {
            about: _,
            operator_set,
            hyperspaces,
            quantizer,
            latency_source,
            scorer,
            target,
        } = plugin.clone();
        let clashes = [
            operator_set.map(|item| self.offer(origin, item)),
            quantizer.map(|item| self.offer(origin, item)),
            scorer.map(|item| self.offer(origin, item)),
            target.map(|item| self.offer(origin, item)),
            latency_source.map(|item| self.offer(origin, item)),
        ];
        let clashes = clashes.into_iter().flatten().filter_map(Result::err);
        let mut left_out: Vec<String> = clashes.map(|clash| clash.to_string()).collect();
        // After the operator set, whose blocks they may name.
        let operators = self.operators();
        for text in &hyperspaces {
            let read = || {
                let hyperspace =
                    hyperspace::parse(text, "its TOML").map_err(|error| error.to_string())?;
                validate(&hyperspace, &operators).map_err(|error| error.to_string())?;
                Ok(hyperspace)
            };
            let added = read()
                .map_err(|reason: String| format!("{origin}: {}", shown(&reason)))
                .and_then(|item| self.offer(origin, item).map_err(|clash| clash.to_string()));
            left_out.extend(added.err());
        }
        left_out
    }

    /// Adds one thing, with its answers checked; nothing where its name, or that of a part of it,
    /// is taken.
    fn offer<T: Entry>(&mut self, origin: &Origin, item: T) -> Result<(), Box<Clash>> {
        let name = item.name();
        let mut keys = vec![(T::NAMED, name.clone())];
        keys.extend(item.parts());
        for (named, name) in &keys {
            let alike = |other: &(&(Named, String), &Origin)| {
                other.0.0 == *named && are_alike(&other.0.1, name)
            };
            if let Some(((named, name), owner)) = self.owners.iter().find(alike) {
                let (newcomer, owner) = (origin.clone(), owner.clone());
                return Err(Box::new(Clash { newcomer, owner, named: *named, name: name.clone() }));
            }
        }
        self.owners.extend(keys.into_iter().map(|key| (key, origin.clone())));
        T::table(self).insert(name, item.checked(origin));
        Ok(())
    }

    /// What is built in and has a name that people take for this one: a plugin, or what it offers.
    pub fn built_in_alike(&self, name: &str) -> Option<&str> {
        let built_in = self.owners.iter().filter(|(_, origin)| !origin.is_loaded());
        let mut names = built_in.flat_map(|((_, item), origin)| [item, &origin.plugin]);
        names.find(|known| are_alike(known, name)).map(String::as_str)
    }

    /// Remembers why an installed plugin is not used, for errors about what it would offer.
    pub fn add_unusable(&mut self, plugin: &str, reason: impl Into<String>) {
        self.unusable.insert(plugin.into(), reason.into());
    }

    /// Where an item comes from, if it was loaded from a file.
    pub fn loaded(&self, kind: Kind, name: &str) -> Option<&Origin> {
        let owner = self.owners.get(&(Named::Item(kind), name.to_owned()));
        owner.filter(|origin| origin.is_loaded())
    }

    /// Which loaded plugins there are, by what they offer.
    pub(crate) fn identities(&self) -> Identities {
        let (mut items, mut blocks) = (BTreeMap::new(), BTreeMap::new());
        for ((named, name), origin) in &self.owners {
            let Some(identity) = origin.identity() else { continue };
            match named {
                Named::Item(kind) => drop(items.insert((*kind, name.clone()), identity)),
                Named::BlockType => drop(blocks.insert(name.clone(), identity)),
                Named::Strategy | Named::Method => {}
            }
        }
        Identities { items, blocks }
    }

    /// A target that can write and run its models, with the latencies of the source of this name
    /// instead of its own, unless the name is empty. Where the target has no runtime, that of
    /// another one with the same model format is used.
    pub fn deployable(&self, name: &str, source: &str) -> Result<StudyTarget> {
        let target = self.target(name)?;
        let source = (!source.is_empty()).then(|| self.latency_source(source)).transpose()?;
        Ok(StudyTarget::new(target, source, self.targets.values()))
    }

    /// The same for a study: targets that can be measured with as many threads as its sections ask
    /// for are. Steps refuse those that cannot.
    pub(crate) fn for_study(&self, study: &Study) -> Result<Self> {
        let mut registry = self.clone();
        for section in sections_of(&self.method(&study.method)?.steps()) {
            let threads = section.measuring_threads(&study.section(section.name));
            let Some(threads) = threads.map_err(|error| study.refuse(error))? else { continue };
            for target in registry.targets.values_mut().filter(|t| t.threads() != threads) {
                if let Ok(measured) = target.with_threads(threads) {
                    *target = measured;
                }
            }
        }
        Ok(registry)
    }

    fn missing<'a>(
        &self,
        named: Named,
        name: &str,
        known: impl Iterator<Item = &'a str>,
    ) -> EngineError {
        let error = unknown(&named.to_string(), name, known);
        match self.unusable.first() {
            Some((plugin, reason)) if error.hint.is_none() => {
                error.with_hint(format!("the plugin `{plugin}` is not used: {reason}"))
            }
            None if error.hint.is_none() && named == Named::Item(Kind::Target) => error.with_hint(
                "`spacewright plugin list` shows the plugins that are installed, `spacewright plugin install FILE` \
                 installs one",
            ),
            _ => error,
        }
    }

    /// All operator sets, joined.
    pub fn operators(&self) -> Operators {
        let mut operators = Operators::default();
        for set in self.operator_sets.values() {
            // Sets of plugins do not clash: only one that was added as it is can.
            if let Err(error) = operators.add(set.clone()) {
                tracing::warn!("{error}");
            }
        }
        operators
    }

    /// The trainer, where the program has one.
    pub fn trainer(&self, compute: &Compute) -> Option<Arc<dyn Trainer>> {
        self.trainers.iter().flat_map(|make| make(compute)).next()
    }
}

#[cfg(test)]
mod tests;
