//! Plugins from files. Which way a plugin is carried is known here only: what comes out is a
//! [`Plugin`] like one that is linked into the program.

#[cfg_attr(not(any(feature = "native-plugins", feature = "wasm-plugins")), allow(dead_code))]
mod claims;
#[cfg_attr(not(feature = "wasm-plugins"), allow(dead_code))]
mod code_cache;
#[cfg_attr(not(feature = "wasm-plugins"), allow(dead_code))]
mod compiler;
#[cfg_attr(not(any(feature = "native-plugins", feature = "wasm-plugins")), allow(dead_code))]
mod error;
#[cfg(any(feature = "native-plugins", feature = "wasm-plugins"))]
mod items;
#[cfg_attr(not(feature = "wasm-plugins"), allow(dead_code))]
mod limits;
mod meter;
#[cfg(feature = "native-plugins")]
mod native;
#[cfg_attr(not(feature = "wasm-plugins"), allow(dead_code))]
mod said;
mod store;
mod trust;
#[cfg(feature = "wasm-plugins")]
mod wasm;

use std::{
    fs::{self, File as SystemFile},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use spacewright_core::call::CallError;
use spacewright_plugin::Plugin;

pub use code_cache::CodeCache;
pub use compiler::{Compiler, REFUSED};
pub use limits::Limits;
pub use meter::{CallCost, Meter};
pub use store::{Installed, PluginStore};
pub use trust::{Trust, Trusted};
#[cfg(feature = "wasm-plugins")]
pub use wasm::{ComponentizeError, componentize};

use self::{error::LoadError, said::Said};
use crate::{
    error::{EngineError, ErrorKind, Result},
    hash,
    origin::{Carrier, Origin},
};

/// How plugins are loaded.
#[derive(Debug, Clone, Default)]
pub struct Loader {
    /// Bounds of what plugins use; of native ones, all but that of an answer are without effect.
    pub limits: Limits,
    /// Where compiled code is kept; nowhere if `None`.
    pub cache: Option<CodeCache>,
    /// The process that compiles components; this one if `None`, with limits of what they consist
    /// of, but none of time and memory.
    pub compiler: Option<Compiler>,
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
    /// What it has said of itself, where that stays the same.
    said: Arc<Said>,
}

/// A plugin's file as it was read.
pub struct PluginFile {
    /// Its content.
    pub bytes: Vec<u8>,
    /// SHA-256 of that.
    pub sha256: String,
}

impl PluginFile {
    /// Reads a file, whatever it is, unless it is larger than a plugin may be.
    pub fn read(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Err(EngineError::study(format!("{}: a folder, no file", path.display()))
                .with_hint("name the file that `spacewright plugin build` makes in it"));
        }
        let bytes = read_bounded(path).map_err(|error| {
            EngineError::study(format!("{}: {error}", path.display()))
                .with_hint("`spacewright plugin build` makes the file")
        })?;
        let sha256 = hash::of_bytes(&bytes);
        Ok(Self { bytes, sha256 })
    }
}

/// Bytes of a native library.
const MOST_LIBRARY_BYTES: u64 = 1 << 30;
/// Bytes of any other file.
const MOST_OTHER_BYTES: u64 = 8 << 20;

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let refused = |reason: String| Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    if !fs::metadata(path)?.is_file() {
        return refused("no file with content of its own".into());
    }
    let file = SystemFile::open(path)?;
    let mut bytes = Vec::new();
    (&file).take(4).read_to_end(&mut bytes)?;
    let most = match carrier_of(&bytes) {
        Some(Carrier::Native) => MOST_LIBRARY_BYTES,
        _ => MOST_OTHER_BYTES,
    };
    (&file).take(most).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > most {
        true => refused(format!("more than {most} bytes, the most that a plugin may have")),
        false => Ok(bytes),
    }
}

impl Loader {
    /// Loads a plugin; its carrier shows in its first bytes. A native library must be trusted, and
    /// it is the trusted copy of it that is loaded.
    pub fn load(&self, path: &Path) -> Result<Loaded> {
        let start = Instant::now();
        let file = PluginFile::read(path)?;
        let mut loaded = self.load_file(path, Arc::new(file), Arc::default())?;
        loaded.load_time = start.elapsed();
        Ok(loaded)
    }

    /// Loads a plugin whose file, at `path`, was read, and which has said something of itself.
    fn load_file(&self, path: &Path, content: Arc<PluginFile>, said: Arc<Said>) -> Result<Loaded> {
        let start = Instant::now();
        let PluginFile { bytes, sha256 } = &*content;
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
        let file = File { path: &code, content: content.clone(), meter: &meter };
        let opened = self.open(carrier, &file, said.clone()).map_err(failed)?;
        let Opened { interface, plugin, ping } = opened;
        let about = &plugin.about;
        claims::check_name(&about.name).map_err(|error| failed(error.into()))?;
        let origin = Origin {
            plugin: about.name.clone(),
            version: about.version.clone(),
            carrier,
            sha256: sha256.clone(),
        };
        Ok(Loaded { origin, interface, plugin, load_time: start.elapsed(), meter, ping, said })
    }

    fn trusted(&self, path: &Path, sha256: &str) -> Result<PathBuf> {
        let trust = self.trust.as_ref().ok_or_else(|| trust::untrusted(path))?;
        trust.copy_of(path, sha256)
    }

    #[cfg_attr(
        not(any(feature = "native-plugins", feature = "wasm-plugins")),
        allow(unused_variables)
    )]
    fn open(
        &self,
        carrier: Carrier,
        file: &File<'_>,
        said: Arc<Said>,
    ) -> Result<Opened, LoadError> {
        match carrier {
            #[cfg(feature = "native-plugins")]
            Carrier::Native => native::load(self, file),
            #[cfg(feature = "wasm-plugins")]
            Carrier::Wasm => wasm::load(self, file, said),
            _ => Err(LoadError::Carrier(carrier)),
        }
    }
}

/// Compiles a component to the machine code that a [`Compiler`] gives. Memory and processor time of
/// this process are limited from now on: call it in a process that does nothing else.
#[cfg(feature = "wasm-plugins")]
pub fn compile(component: &[u8], limits: &Limits) -> Result<Vec<u8>> {
    let failed = |reason: String| EngineError::new(ErrorKind::Plugin, reason);
    compiler::confine(limits.compile_memory, limits.compile_time)
        .map_err(|error| failed(error.to_string()))?;
    wasm::compile::compile(component, limits).map_err(|error| failed(error.to_string()))
}

/// A plugin's file, and who counts its calls.
#[allow(dead_code)]
struct File<'a> {
    /// What the system loads.
    path: &'a Path,
    content: Arc<PluginFile>,
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
