//! Finds and loads the ONNX Runtime library, once per process.

use std::{
    env,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use ort::{environment::Environment, logging::LogLevel};

/// Names the library file itself.
pub const VARIABLE: &str = "SPACEWRIGHT_ONNXRUNTIME";

const FOLDER: &str = ".deps/onnxruntime";

pub(crate) struct Library {
    pub(crate) environment: Environment,
    /// Version from the file's name and commit of the build, such as `1.32.0 (1a2b3c4)`.
    pub(crate) version: String,
}

/// The library, or a sentence that says why there is none.
pub(crate) fn library() -> Result<&'static Library, String> {
    static LIBRARY: OnceLock<Result<Library, String>> = OnceLock::new();
    LIBRARY.get_or_init(|| load(&find()?)).as_ref().map_err(Clone::clone)
}

fn load(path: &Path) -> Result<Library, String> {
    let wrong = |reason: String| format!("cannot load ONNX Runtime: {reason}");
    let builder = ort::init_from(path).map_err(|error| wrong(error.to_string()))?;
    let environment = builder.build().map_err(|error| wrong(error.to_string()))?;
    environment.set_log_level(LogLevel::Error);
    Ok(Library { environment, version: version(path, ort::info()) })
}

fn version(path: &Path, info: &str) -> String {
    let file = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_number = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
    let version: Vec<&str> = name.split('.').filter(is_number).collect();
    let version = if version.is_empty() { "unknown".into() } else { version.join(".") };
    let commit = info.split_once("git-commit-id=").map_or("unknown", |(_, rest)| rest);
    format!("{version} ({})", commit.split([',', ' ']).next().unwrap_or(commit))
}

fn find() -> Result<PathBuf, String> {
    if let Some(file) = env::var_os(VARIABLE) {
        let file = PathBuf::from(file);
        return if file.is_file() {
            Ok(file)
        } else {
            Err(format!(
                "{VARIABLE} names {}, which is no file\nhint: name the library file of ONNX \
                 Runtime, or unset the variable and run `cargo xtask setup`",
                file.display()
            ))
        };
    }
    let current = env::current_dir().ok();
    let program = env::current_exe().ok();
    let above = program.iter().flat_map(|program| program.ancestors().skip(1));
    let found = current.iter().map(PathBuf::as_path).chain(above).find_map(below);
    found.ok_or_else(|| {
        format!(
            "no ONNX Runtime library in {FOLDER} below the current folder or above this program\n\
             hint: run `cargo xtask setup`, or name the library file in {VARIABLE}"
        )
    })
}

/// The library in a folder's [`FOLDER`]; the last by name where there are several.
fn below(folder: &Path) -> Option<PathBuf> {
    let files = folder.join(FOLDER).read_dir().ok()?;
    files.filter_map(|file| Some(file.ok()?.path())).filter(|file| is_library(file)).max()
}

fn is_library(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with("libonnxruntime.") || name == "onnxruntime.dll"
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

    #[test]
    fn the_library_is_found_below_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(below(folder.path()), None);
        let deps = folder.path().join(FOLDER);
        std::fs::create_dir_all(&deps).unwrap();
        for name in ["libonnxruntime.so.1.31.0", "libonnxruntime.so.1.32.0", "LICENSE"] {
            std::fs::write(deps.join(name), "").unwrap();
        }
        assert_eq!(below(folder.path()), Some(deps.join("libonnxruntime.so.1.32.0")));
    }
}
