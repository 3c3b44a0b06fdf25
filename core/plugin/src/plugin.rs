//! Who a plugin is, and the contract that it was made for.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use spacewright_core::{latency::LatencySource, target::TargetError};
use thiserror::Error;

use crate::Plugin;

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

/// Why a plugin has no latency source.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoSource {
    /// It is not clear which one is meant.
    #[error(
        "the plugin offers a target, which has its own latency source, and another one: make two \
         plugins of it"
    )]
    Two,
    /// It offers neither a source nor a target.
    #[error("the plugin offers no latency source")]
    None,
    /// Its target says why.
    #[error("{}", .0.reason)]
    Target(#[source] TargetError),
}

impl Plugin {
    /// A plugin that offers nothing yet.
    pub fn new(about: About) -> Self {
        Self { about, ..Self::default() }
    }

    /// The latency source that it offers, or that of its target.
    pub fn source(&self) -> Result<Arc<dyn LatencySource>, NoSource> {
        match (&self.latency_source, &self.target) {
            (Some(_), Some(_)) => Err(NoSource::Two),
            (Some(source), None) => Ok(source.clone()),
            (None, Some(target)) => target.latency_source().map_err(NoSource::Target),
            (None, None) => Err(NoSource::None),
        }
    }
}
