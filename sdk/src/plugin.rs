//! A plugin: who it is and what it offers, whichever way it is carried.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use spacewright_core::{
    latency::LatencySource, operators::OperatorSet, quant::Quantizer, score::Scorer, target::Target,
};

use crate::Kind;

/// Version of the contract between the program and its plugins: that of `wit/plugin.wit`. A
/// change of anything that crosses, natively or to a component, changes it.
pub const INTERFACE: &str = "0.1.0";

/// The text of `wit/plugin.wit`: the contract as WebAssembly components see it.
pub const WIT: &str = include_str!("../wit/plugin.wit");

/// Who a plugin is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct About {
    /// Letters, digits, `-` and `_`.
    pub name: String,
    /// Of the plugin itself.
    pub version: String,
    /// One sentence.
    pub summary: String,
}

/// The crate that the macro stands in, as [`About`]: its name, version and description.
#[macro_export]
macro_rules! about {
    () => {
        $crate::About {
            name: env!("CARGO_PKG_NAME").into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: env!("CARGO_PKG_DESCRIPTION").into(),
        }
    };
}

/// Who a plugin is and what it offers: at most one of each kind, but any number of hyperspaces.
#[derive(Clone, Default)]
pub struct Plugin {
    /// Who it is.
    pub about: About,
    /// Block types.
    pub operator_set: Option<Arc<dyn OperatorSet>>,
    /// TOML documents.
    pub hyperspaces: Vec<String>,
    /// Scales and zero points.
    pub quantizer: Option<Arc<dyn Quantizer>>,
    /// Milliseconds of graphs.
    pub latency_source: Option<Arc<dyn LatencySource>>,
    /// How good spaces are.
    pub scorer: Option<Arc<dyn Scorer>>,
    /// A piece of hardware with its runtime.
    pub target: Option<Arc<dyn Target>>,
}

macro_rules! offers {
    ($($(#[$doc:meta])* $name:ident: $kind:path;)*) => {
        $($(#[$doc])*
        pub fn $name(mut self, item: impl $kind + 'static) -> Self {
            self.$name = Some(Arc::new(item));
            self
        })*
    };
}

impl Plugin {
    /// A plugin that offers nothing yet.
    pub fn new(about: About) -> Self {
        Self { about, ..Self::default() }
    }

    offers! {
        /// Offers an operator set.
        operator_set: OperatorSet;
        /// Offers a quantizer.
        quantizer: Quantizer;
        /// Offers a latency source; a target brings its own, so no plugin offers both.
        latency_source: LatencySource;
        /// Offers a scorer.
        scorer: Scorer;
        /// Offers a target.
        target: Target;
    }

    /// Offers a hyperspace as TOML.
    pub fn hyperspace(mut self, toml: impl Into<String>) -> Self {
        self.hyperspaces.push(toml.into());
        self
    }

    /// The latency source that it offers, or that of its target; an error says why there is none.
    pub fn source(&self) -> Result<Arc<dyn LatencySource>, String> {
        match (&self.latency_source, &self.target) {
            (Some(_), Some(_)) => Err("the plugin offers a target, which has its own latency \
                source, and another one: make two plugins of it"
                .into()),
            (Some(source), None) => Ok(source.clone()),
            (None, Some(target)) => target.latency_source().map_err(|error| error.reason),
            (None, None) => Err("the plugin offers no latency source".into()),
        }
    }

    /// The kinds of what it offers.
    pub fn kinds(&self) -> Vec<Kind> {
        let offers = |kind: &Kind| match kind {
            Kind::OperatorSet => self.operator_set.is_some(),
            Kind::Hyperspace => !self.hyperspaces.is_empty(),
            Kind::Quantizer => self.quantizer.is_some(),
            Kind::LatencySource => self.latency_source.is_some(),
            Kind::Scorer => self.scorer.is_some(),
            Kind::Target => self.target.is_some(),
        };
        Kind::ALL.into_iter().filter(offers).collect()
    }
}
