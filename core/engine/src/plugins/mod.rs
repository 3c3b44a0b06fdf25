//! Plugins from files. Which way a plugin is carried is known here only: what comes out is a
//! [`Plugin`] like one that is linked into the program.

#[cfg_attr(not(any(feature = "native-plugins", feature = "wasm-plugins")), allow(dead_code))]
mod claims;
#[cfg_attr(not(any(feature = "native-plugins", feature = "wasm-plugins")), allow(dead_code))]
mod error;
#[cfg(any(feature = "native-plugins", feature = "wasm-plugins"))]
mod items;
mod meter;
#[cfg(feature = "native-plugins")]
mod native;
mod store;
mod trust;
#[cfg(feature = "wasm-plugins")]
mod wasm;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;
use spacewright_core::call::CallError;
use spacewright_plugin::Plugin;

pub use meter::{CallCost, Meter};
pub use store::{Installed, PluginStore};
pub use trust::{Trust, Trusted};
#[cfg(feature = "wasm-plugins")]
pub use wasm::{ComponentizeError, componentize};

use self::error::LoadError;
use crate::{
    error::{EngineError, ErrorKind, Result},
    hash,
    origin::{Carrier, Origin},
};

/// What a plugin may use. A plugin that exceeds a limit is stopped with an error that names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// WebAssembly instructions for starting, and for saying who it is.
    pub start_fuel: u64,
    /// WebAssembly instructions for every other call.
    pub call_fuel: u64,
    /// Bytes of memory.
    pub memory: usize,
    /// Bytes of one answer.
    pub answer: usize,
    /// Bytes of stack.
    pub stack: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            start_fuel: 2_000_000_000,
            call_fuel: 100_000_000_000,
            memory: 1 << 30,
            answer: 64 << 20,
            stack: 1 << 20,
        }
    }
}

/// How plugins are loaded.
#[derive(Debug, Clone, Default)]
pub struct Loader {
    /// Bounds of what plugins use; of native ones, all but that of an answer are without effect.
    pub limits: Limits,
    /// Where compiled code is kept; nowhere if `None`.
    pub cache: Option<PathBuf>,
    /// Native libraries that may be loaded; none if `None`.
    pub trust: Option<Trust>,
}

/// A call with nothing to do; an error says why a plugin cannot even do that.
pub type Ping = Arc<dyn Fn() -> Result<(), CallError> + Send + Sync>;

/// A plugin that was loaded from a file.
pub struct Loaded {
    /// Which plugin it is.
    pub origin: Origin,
    /// Version of the interface that it was built for.
    pub interface: String,
    /// Who it is and what it offers.
    pub plugin: Plugin,
    /// How long loading took.
    pub load_time: Duration,
    /// What its calls have cost so far.
    pub meter: Arc<Meter>,
    /// Calls a function of the plugin that does nothing, to show what a call costs.
    pub ping: Ping,
}

/// A plugin's file as it was read.
pub struct PluginFile {
    /// Its content.
    pub bytes: Vec<u8>,
    /// SHA-256 of that.
    pub sha256: String,
}

impl PluginFile {
    /// Reads a file, whatever it is.
    pub fn read(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Err(EngineError::study(format!("{}: a folder, no file", path.display()))
                .with_hint("name the file that `spacewright plugin build` makes in it"));
        }
        let bytes = fs::read(path).map_err(|error| {
            EngineError::study(format!("{}: {error}", path.display()))
                .with_hint("`spacewright plugin build` makes the file")
        })?;
        let sha256 = hash::of_bytes(&bytes);
        Ok(Self { bytes, sha256 })
    }
}

impl Loader {
    /// Loads a plugin; its carrier shows in its first bytes. A native library must be trusted, and
    /// it is the trusted copy of it that is loaded.
    pub fn load(&self, path: &Path) -> Result<Loaded> {
        let start = Instant::now();
        let file = PluginFile::read(path)?;
        let mut loaded = self.load_bytes(path, &file)?;
        loaded.load_time = start.elapsed();
        Ok(loaded)
    }

    /// Loads a plugin whose file, at `path`, was read.
    pub(crate) fn load_bytes(&self, path: &Path, file: &PluginFile) -> Result<Loaded> {
        let start = Instant::now();
        let PluginFile { bytes, sha256 } = file;
        let carrier = carrier_of(bytes).ok_or_else(|| {
            EngineError::file(path, "neither a WebAssembly component nor a native library")
        })?;
        let meter = Arc::new(Meter::default());
        let failed = |error: LoadError| {
            EngineError::new(ErrorKind::Plugin, format!("{}: {error}", path.display()))
        };
        let code = match carrier {
            Carrier::Native if cfg!(feature = "native-plugins") => self.trusted(path, sha256)?,
            _ => path.to_owned(),
        };
        let file = File { path: &code, bytes, sha256, meter: &meter };
        let Opened { interface, plugin, ping } = self.open(carrier, &file).map_err(failed)?;
        let about = &plugin.about;
        claims::check_name(&about.name).map_err(|error| failed(error.into()))?;
        let origin = Origin {
            plugin: about.name.clone(),
            version: about.version.clone(),
            carrier,
            sha256: sha256.clone(),
        };
        Ok(Loaded { origin, interface, plugin, load_time: start.elapsed(), meter, ping })
    }

    fn trusted(&self, path: &Path, sha256: &str) -> Result<PathBuf> {
        let trust = self.trust.as_ref().ok_or_else(|| trust::untrusted(path))?;
        trust.copy_of(path, sha256)
    }

    #[cfg_attr(
        not(any(feature = "native-plugins", feature = "wasm-plugins")),
        allow(unused_variables)
    )]
    fn open(&self, carrier: Carrier, file: &File<'_>) -> Result<Opened, LoadError> {
        match carrier {
            #[cfg(feature = "native-plugins")]
            Carrier::Native => native::load(self, file),
            #[cfg(feature = "wasm-plugins")]
            Carrier::Wasm => wasm::load(self, file),
            _ => Err(LoadError::Carrier(carrier)),
        }
    }
}

/// A plugin's file, and who counts its calls.
#[allow(dead_code)]
struct File<'a> {
    /// What the system loads.
    path: &'a Path,
    bytes: &'a [u8],
    sha256: &'a str,
    meter: &'a Arc<Meter>,
}

/// What a carrier makes of a plugin's file.
struct Opened {
    interface: String,
    plugin: Plugin,
    ping: Ping,
}

/// The carrier that a file's first bytes show.
pub fn carrier_of(bytes: &[u8]) -> Option<Carrier> {
    const NATIVE: [&[u8]; 5] =
        [b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xfe\xed\xfa\xcf"];
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    if starts(b"\0asm") {
        Some(Carrier::Wasm)
    } else {
        NATIVE.into_iter().any(starts).then_some(Carrier::Native)
    }
}
