//! Why a file is not loaded as a plugin.

use spacewright_core::call::CallError;
use spacewright_plugin::{
    INTERFACE, UnknownKind,
    text::{LONGEST_NAME, shown},
};
use thiserror::Error;

use crate::origin::Carrier;

/// What to do about a plugin that was built for another version.
pub(super) const REMEDY: &str = "build it with the SDK of this version";

/// Why a file is not loaded as a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum LoadError {
    /// What it says of itself cannot be used.
    #[error(transparent)]
    Call(Box<CallError>),
    /// The plugin's own name.
    #[error(transparent)]
    Name(#[from] IllegalName),
    /// There is no item in it.
    #[error("it offers nothing{0}")]
    OffersNothing(&'static str),
    /// It exports the interface of a kind that there is not.
    #[cfg_attr(not(feature = "wasm-plugins"), allow(dead_code))]
    #[error("`{interface}`: {source}")]
    Kind {
        /// The interface.
        interface: String,
        /// What there is.
        #[source]
        source: UnknownKind,
    },
    /// It is not clear which latencies are meant.
    #[cfg_attr(not(feature = "native-plugins"), allow(dead_code))]
    #[error("it offers a target, which has its own latency source, and another one")]
    TwoSources,
    /// It was built for another version of the interface.
    #[error("it is built for version {found} of {what}, this program has {INTERFACE}: {REMEDY}")]
    Version {
        /// What has the version.
        what: String,
        /// The version.
        found: String,
    },
    /// The program was built without this carrier.
    #[error("this program loads no {0} plugins")]
    Carrier(Carrier),
    /// The file, as the system or the compiler of components sees it.
    #[error("{0}")]
    File(String),
}

impl From<CallError> for LoadError {
    fn from(error: CallError) -> Self {
        Self::Call(Box::new(error))
    }
}

/// A name that becomes no part of file names, study files and messages.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{}` cannot be the name of a plugin: up to {LONGEST_NAME} letters, digits, `-` and `_`",
    shown(.name)
)]
pub(super) struct IllegalName {
    /// The name.
    pub name: String,
}
