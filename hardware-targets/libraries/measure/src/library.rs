//! Finds the library of a runtime.

use std::{
    env,
    path::{Path, PathBuf},
};

use thiserror::Error;

/// Why there is no library.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LibraryError {
    /// The variable names something else.
    #[error(
        "{variable} names {}, which is no file\nhint: name the library file of {runtime}, or unset \
         the variable and run `cargo xtask setup`",
        file.display()
    )]
    NoFile {
        /// The variable.
        variable: &'static str,
        /// What it names.
        file: PathBuf,
        /// The runtime.
        runtime: &'static str,
    },
    /// Nothing is where the set-up puts it.
    #[error(
        "no {runtime} library in {folder} beside or above this program\n\
         hint: run `cargo xtask setup`, or name the library file in {variable}"
    )]
    NotFound {
        /// The variable that can name it.
        variable: &'static str,
        /// Where it was looked for.
        folder: &'static str,
        /// The runtime.
        runtime: &'static str,
    },
}

/// The library of a runtime, and where it is looked for.
#[derive(Debug, Clone, Copy)]
pub struct RuntimeLibrary {
    /// What users call the runtime.
    pub runtime: &'static str,
    /// The environment variable that can name the library file.
    pub variable: &'static str,
    /// The folder where the set-up puts it, below that of the project.
    pub folder: &'static str,
    /// How its file's name begins.
    pub prefix: &'static str,
}

impl RuntimeLibrary {
    /// The file that [`variable`](Self::variable) names, else the last by name in
    /// [`folder`](Self::folder) beside or above this program. Nothing is taken from the current
    /// folder, which may be anybody's.
    pub fn find(&self) -> Result<PathBuf, LibraryError> {
        let Self { runtime, variable, folder, .. } = *self;
        if let Some(file) = env::var_os(variable) {
            let file = PathBuf::from(file);
            let no_file = |file| LibraryError::NoFile { variable, file, runtime };
            return if file.is_file() { Ok(file) } else { Err(no_file(file)) };
        }
        let program = env::current_exe().ok();
        let mut folders = program.iter().flat_map(|program| program.ancestors().skip(1));
        let missing = LibraryError::NotFound { variable, folder, runtime };
        folders.find_map(|folder| self.below(folder)).ok_or(missing)
    }

    fn below(&self, folder: &Path) -> Option<PathBuf> {
        let files = folder.join(self.folder).read_dir().ok()?;
        let is_library = |file: &PathBuf| {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with(self.prefix)
        };
        files.filter_map(|file| Some(file.ok()?.path())).filter(is_library).max()
    }
}

/// The version in the name of a library file, such as `1.32.0`; else `unknown`.
pub fn version(path: &Path) -> String {
    let file = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_number = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
    let numbers: Vec<&str> = name.split('.').filter(is_number).collect();
    if numbers.is_empty() { "unknown".into() } else { numbers.join(".") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: RuntimeLibrary = RuntimeLibrary {
        runtime: "Some Runtime",
        variable: "SPACEWRIGHT_NO_SUCH_VARIABLE",
        folder: ".deps/some",
        prefix: "libsome.",
    };

    #[test]
    fn the_library_is_found_below_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(WANTED.below(folder.path()), None);
        let deps = folder.path().join(WANTED.folder);
        std::fs::create_dir_all(&deps).unwrap();
        for name in ["libsome.so.1.31.0", "libsome.so.1.32.0", "LICENSE"] {
            std::fs::write(deps.join(name), "").unwrap();
        }
        assert_eq!(WANTED.below(folder.path()), Some(deps.join("libsome.so.1.32.0")));
    }

    #[test]
    fn the_version_comes_from_the_file() {
        let check = |file: &str, expected| assert_eq!(version(Path::new(file)), expected);
        check("/x/libonnxruntime.so.1.32.0", "1.32.0");
        check("/x/libonnxruntime.1.32.0.dylib", "1.32.0");
        check("/x/onnxruntime.dll", "unknown");
    }

    #[test]
    fn a_missing_library_says_what_to_do() {
        let error = WANTED.find().unwrap_err().to_string();
        assert!(error.starts_with("no Some Runtime library in .deps/some"), "{error}");
        assert!(error.ends_with("SPACEWRIGHT_NO_SUCH_VARIABLE"), "{error}");
    }
}
