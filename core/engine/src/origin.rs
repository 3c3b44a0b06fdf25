//! Where things come from: which plugin, and how it was carried.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use spacewright_core::call::PluginVersion;

/// How a plugin comes into the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carrier {
    /// Linked into it.
    BuiltIn,
    /// As a native library.
    Native,
    /// As a WebAssembly component.
    Wasm,
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BuiltIn => "built-in",
            Self::Native => "native",
            Self::Wasm => "wasm",
        })
    }
}

/// The plugin that something comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Origin {
    /// Name of the plugin.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// How it was carried.
    pub carrier: Carrier,
    /// SHA-256 of its file; empty where it is built in.
    pub sha256: String,
}

impl Origin {
    /// A plugin that is linked into the program, of the program's version.
    pub fn built_in(plugin: &str) -> Self {
        Self {
            plugin: plugin.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            carrier: Carrier::BuiltIn,
            sha256: String::new(),
        }
    }

    /// As errors about its calls name it.
    pub(crate) fn named(&self) -> Arc<PluginVersion> {
        Arc::new(PluginVersion { plugin: self.plugin.clone(), version: self.version.clone() })
    }

    /// Whether it was loaded from a file.
    pub fn is_loaded(&self) -> bool {
        self.carrier != Carrier::BuiltIn
    }

    /// What identifies a plugin that was loaded from a file: part of the keys of what is computed
    /// with it.
    pub fn identity(&self) -> Option<String> {
        self.is_loaded().then(|| format!("{} {} {}", self.plugin, self.version, self.sha256))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin `{}` {}", self.plugin, self.version)
    }
}
