//! Finds and loads the ONNX Runtime library, once per process.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use ort::{environment::Environment, logging::LogLevel};
use spacewright_core::foreign::Escaped;
use spacewright_measure::library::{self, RuntimeLibrary};

use crate::error::OrtError;

/// Names the library file itself.
pub const VARIABLE: &str = "SPACEWRIGHT_ONNXRUNTIME";

const WANTED: RuntimeLibrary = RuntimeLibrary {
    runtime: "ONNX Runtime",
    variable: VARIABLE,
    folder: ".deps/onnxruntime",
    package: "onnxruntime",
    packed: "onnxruntime/capi",
    prefix: if cfg!(windows) { "onnxruntime." } else { "libonnxruntime." },
};

pub(crate) struct Library {
    pub(crate) environment: Environment,
    /// Version from the file's name and commit of the build, such as `1.32.0 (1a2b3c4)`.
    pub(crate) version: String,
}

/// The library, which is looked for and loaded once.
pub(crate) fn library() -> Result<&'static Library, &'static OrtError> {
    static LIBRARY: OnceLock<Result<Library, OrtError>> = OnceLock::new();
    LIBRARY.get_or_init(|| load(&WANTED.find()?)).as_ref()
}

fn load(path: &Path) -> Result<Library, OrtError> {
    let builder = ort::init_from(path).map_err(OrtError::Load)?;
    // Its lines hold names of models.
    let log = |_: LogLevel, _: &str, _: &str, _: &str, line: &str| {
        tracing::debug!("ONNX Runtime: {}", Escaped(line));
    };
    let builder = builder.with_logger(Arc::new(log));
    let environment = builder.build().map_err(OrtError::Start)?;
    environment.set_log_level(LogLevel::Error);
    Ok(Library { environment, version: version(path, ort::info()) })
}

fn version(path: &Path, info: &str) -> String {
    let version = library::version(path);
    let commit = info.split_once("git-commit-id=").map_or("unknown", |(_, rest)| rest);
    format!("{version} ({})", commit.split([',', ' ']).next().unwrap_or(commit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_comes_from_the_file_and_the_build() {
        let info = "ORT Build Info: git-branch=HEAD, git-commit-id=26250ae, build type=Release";
        let check = |file: &str, info, expected| {
            assert_eq!(version(Path::new(file), info), expected);
        };
        check("/x/libonnxruntime.so.1.32.0", info, "1.32.0 (26250ae)");
        check("/x/libonnxruntime.1.32.0.dylib", "?", "1.32.0 (unknown)");
        check("/x/onnxruntime.dll", info, "unknown (26250ae)");
    }
}
