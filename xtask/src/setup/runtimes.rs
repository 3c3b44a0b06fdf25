//! Libraries that run models, out of their Python wheels.

use super::{LINUX_X86_64, announce, staging, wheels};
use crate::repo;
use anyhow::{Context, Result, bail};
use std::{
    env, fs,
    path::{Path, PathBuf},
};
use wheels::{Take, Wheel};

/// A runtime: its wheel, and what is taken from it.
struct Runtime {
    name: &'static str,
    size: &'static str,
    /// The environment variable that names another library file.
    variable: &'static str,
    folder: &'static str,
    wheel: Wheel,
    /// The library's path in the wheel, as a pattern.
    packed: &'static str,
    /// Its file's name afterwards, which tells the version.
    library: &'static str,
}

const ONNX_RUNTIME: Runtime = Runtime {
    name: "ONNX Runtime",
    size: "28 MB",
    variable: "SPACEWRIGHT_ONNXRUNTIME",
    folder: "onnxruntime",
    wheel: Wheel {
        name: "onnxruntime",
        version: "1.32.0",
        sha256: "99e1074c4b2197accd5073052a465361be17b89c093b8ffb6e6bd8f986c52df8",
    },
    packed: "onnxruntime/capi/libonnxruntime.so.1.32.0*",
    library: "libonnxruntime.so.1.32.0",
};

const LITERT: Runtime = Runtime {
    name: "LiteRT",
    size: "22 MB",
    variable: "SPACEWRIGHT_LITERT",
    folder: "litert",
    wheel: Wheel {
        name: "ai-edge-litert",
        version: "2.3.0",
        sha256: "dc9f56c23e0dcf182b6c35f23fbb102ed048296588882b806d5eff7654c04c88",
    },
    packed: "ai_edge_litert/libLiteRt.so*",
    library: "libLiteRt.so.2.3.0",
};

/// Makes sure that there is an ONNX Runtime to load.
pub fn onnx_runtime() -> Result<()> {
    ensure(ONNX_RUNTIME)
}

/// Makes sure that there is a LiteRT to load.
pub fn litert() -> Result<()> {
    ensure(LITERT)
}

/// The variables that name libraries, and where those are that were fetched.
pub fn fetched() -> [(&'static str, PathBuf); 2] {
    let place = |runtime: Runtime| repo::deps().join(runtime.folder).join(runtime.library);
    [ONNX_RUNTIME, LITERT].map(|runtime| {
        let variable = runtime.variable;
        (variable, place(runtime))
    })
}

fn ensure(runtime: Runtime) -> Result<()> {
    let Runtime { name, size, variable, folder, wheel, packed, library } = runtime;
    if let Some(own) = env::var_os(variable) {
        let own = Path::new(&own);
        if !own.is_file() {
            bail!(
                "{variable} is set to {}, which is no file\n\
                 hint: unset {variable} to let the set-up fetch {name}",
                own.display()
            );
        }
        eprintln!("using the {name} that {variable} names: {}", own.display());
        return Ok(());
    }
    if repo::deps().join(folder).join(library).is_file() {
        return Ok(());
    }
    let version = wheel.version;
    if !LINUX_X86_64 {
        bail!(
            "{name} can be fetched for Linux on x86-64 only, and this is {} on {}\n\
             hint: install {name} {version} and set {variable} to its library",
            env::consts::OS,
            env::consts::ARCH
        );
    }
    announce(&format!("{name} {version}"), size);
    staging::publish(folder, |folder, scratch| {
        wheels::fetch(&[wheel], &[Take { pattern: packed, folder: "." }], scratch, folder)?;
        let file = Path::new(packed.trim_end_matches('*')).file_name().unwrap_or_default();
        let unpacked = folder.join(file);
        fs::rename(&unpacked, folder.join(library))
            .with_context(|| format!("cannot rename {}", unpacked.display()))
    })
}
