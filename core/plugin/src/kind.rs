//! The kinds of things that a plugin offers: the one list of them.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use spacewright_core::{
    import::NetworkReader,
    latency::LatencySource,
    operators::OperatorSet,
    quant::Quantizer,
    score::Scorer,
    search::Strategy,
    study::Method,
    target::Target,
    train::{Compute, Trainer},
};
use thiserror::Error;

use crate::About;

/// How a plugin holds what it offers of one kind: one item at most, or any number of them.
#[doc(hidden)]
pub trait Held {
    /// One item.
    type Item;
    /// What a loaded plugin gives that offers this kind.
    type Loaded;
    /// Holds what was loaded.
    fn of(loaded: Self::Loaded) -> Self;
    /// Adds an item, in place of another one where there is room for one only.
    fn put(&mut self, item: Self::Item);
    /// Whether there is no item.
    fn is_empty(&self) -> bool;
}

impl<T> Held for Option<T> {
    type Item = T;
    type Loaded = T;

    fn of(loaded: T) -> Self {
        Some(loaded)
    }

    fn put(&mut self, item: T) {
        *self = Some(item);
    }

    fn is_empty(&self) -> bool {
        self.is_none()
    }
}

impl<T> Held for Vec<T> {
    type Item = T;
    type Loaded = Self;

    fn of(loaded: Self) -> Self {
        loaded
    }

    fn put(&mut self, item: T) {
        self.push(item);
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

/// From one list of kinds: [`Kind`], [`Plugin`] with a field for each and a function that fills it,
/// [`LoadItems`] and [`BuiltInItem`].
macro_rules! kinds {
    ($(
        $(#[$doc:meta])*
        $kind:ident = $name:literal {
            $field:ident: $held:ty,
            $(#[$offers:meta])*
            $method:ident($given:ty) via $convert:path,
            built_in: $plural:ident($registered:ty),
        }
    )*) => {
        /// What a plugin can offer. The names are those of the interfaces in `wit/plugin.wit`.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
        )]
        #[serde(rename_all = "kebab-case")]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            /// Every kind, in the order of declaration.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$kind),*];

            /// The name used in text.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }
        }

        /// Who a plugin is and what it offers: at most one of each kind, but any number of
        /// hyperspaces.
        #[derive(Clone, Default)]
        pub struct Plugin {
            /// Who it is.
            pub about: About,
            $($(#[$doc])* pub $field: $held,)*
        }

        impl Plugin {
            $($(#[$offers])*
            pub fn $method(mut self, item: $given) -> Self {
                Held::put(&mut self.$field, $convert(item));
                self
            })*

            /// The kinds of what it offers.
            pub fn kinds(&self) -> Vec<Kind> {
                let mut kinds = Vec::new();
                $(if !Held::is_empty(&self.$field) {
                    kinds.push(Kind::$kind);
                })*
                kinds
            }

            /// A plugin with all that a carrier loads of these kinds.
            pub fn load<L: LoadItems>(
                about: About,
                kinds: &[Kind],
                loader: &L,
            ) -> Result<Self, L::Error> {
                let mut plugin = Self::new(about);
                for kind in kinds {
                    match kind {
                        $(Kind::$kind => plugin.$field = Held::of(loader.$field()?),)*
                    }
                }
                Ok(plugin)
            }
        }

        /// What a carrier of plugins can load: the items of each kind, if the plugin offers it.
        pub trait LoadItems {
            /// Why something cannot be loaded.
            type Error;

            $($(#[$doc])*
            fn $field(&self) -> Result<<$held as Held>::Loaded, Self::Error>;)*
        }

        /// What a built-in plugin offers, made on demand.
        #[derive(Clone, Copy)]
        pub enum BuiltInItem {
            $($(#[$doc])* $plural(fn() -> Vec<$registered>),)*
            /// Search strategies.
            Strategies(fn() -> Vec<Arc<dyn Strategy>>),
            /// Methods.
            Methods(fn() -> Vec<Arc<dyn Method>>),
            /// Trainers that compute so.
            Trainers(fn(&Compute) -> Vec<Arc<dyn Trainer>>),
            /// Readers of trained networks.
            NetworkReaders(fn() -> Vec<Arc<dyn NetworkReader>>),
        }
    };
}

kinds! {
    /// Block types.
    OperatorSet = "operator-set" {
        operator_set: Option<Arc<dyn OperatorSet>>,
        /// Offers an operator set.
        operator_set(impl OperatorSet + 'static) via Arc::new,
        built_in: OperatorSets(Arc<dyn OperatorSet>),
    }
    /// Candidate spaces as data: TOML documents.
    Hyperspace = "hyperspace" {
        hyperspaces: Vec<String>,
        /// Offers a hyperspace as TOML.
        hyperspace(impl Into<String>) via Into::into,
        built_in: Hyperspaces(&'static str),
    }
    /// Scales and zero points.
    Quantizer = "quantizer" {
        quantizer: Option<Arc<dyn Quantizer>>,
        /// Offers a quantizer.
        quantizer(impl Quantizer + 'static) via Arc::new,
        built_in: Quantizers(Arc<dyn Quantizer>),
    }
    /// Milliseconds of graphs, without a target.
    LatencySource = "latency-source" {
        latency_source: Option<Arc<dyn LatencySource>>,
        /// Offers a latency source; a target brings its own, so no plugin offers both.
        latency_source(impl LatencySource + 'static) via Arc::new,
        built_in: LatencySources(Arc<dyn LatencySource>),
    }
    /// How good spaces are.
    Scorer = "scorer" {
        scorer: Option<Arc<dyn Scorer>>,
        /// Offers a scorer.
        scorer(impl Scorer + 'static) via Arc::new,
        built_in: Scorers(Arc<dyn Scorer>),
    }
    /// A piece of hardware with its runtime.
    Target = "target" {
        target: Option<Arc<dyn Target>>,
        /// Offers a target.
        target(impl Target + 'static) via Arc::new,
        built_in: Targets(Arc<dyn Target>),
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no kind has.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no kind `{name}`; there are {}", Kind::ALL.map(Kind::name).join(", "))]
pub struct UnknownKind {
    /// The name.
    pub name: String,
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        let named = Self::ALL.into_iter().find(|kind| kind.name() == name);
        named.ok_or_else(|| UnknownKind { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_interfaces() {
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert_eq!(crate::text::name_of(&kind), kind.name());
            assert!(crate::WIT.contains(&format!("interface {kind} {{")), "{kind}");
        }
        let error = "optimizer".parse::<Kind>().unwrap_err().to_string();
        assert!(error.starts_with("no kind `optimizer`; there are operator-set, "), "{error}");
    }

    #[test]
    fn a_plugin_knows_what_it_offers() {
        let plugin = Plugin::new(About::default());
        assert!(plugin.kinds().is_empty());
        let plugin = plugin.hyperspace("name = \"a\"").hyperspace("name = \"b\"");
        assert_eq!(plugin.kinds(), [Kind::Hyperspace]);
        assert_eq!(plugin.hyperspaces.len(), 2);
    }
}
