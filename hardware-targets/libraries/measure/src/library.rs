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
    /// Nothing is where the set-up puts it, nor where pip does.
    #[error(
        "no {runtime} library in {folder} beside or above this program, nor in its Python environment\n\
         hint: run `cargo xtask setup`, `pip install {package}` where this program was installed by \
         pip, or name the library file in {variable}"
    )]
    NotFound {
        /// The variable that can name it.
        variable: &'static str,
        /// Where it was looked for.
        folder: &'static str,
        /// The Python package that has it.
        package: &'static str,
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
    /// The Python package that has it.
    pub package: &'static str,
    /// The folder where that package has it, below a folder of installed packages.
    pub packed: &'static str,
    /// How its file's name begins.
    pub prefix: &'static str,
}

/// Where pip puts packages that it installs together with a program: below the folder above that of the
/// program, as in `env/lib/python3.12/site-packages` for `env/bin/program`; the last version first.
pub fn site_packages(program: &Path) -> Vec<PathBuf> {
    let environment = program.parent().and_then(Path::parent);
    let folders = environment.and_then(|folder| folder.join("lib").read_dir().ok());
    let mut found: Vec<PathBuf> = folders
        .into_iter()
        .flatten()
        .filter_map(|folder| Some(folder.ok()?.path()))
        .filter(|folder| file_name(folder).starts_with("python3"))
        .flat_map(|folder| ["site-packages", "dist-packages"].map(|name| folder.join(name)))
        .filter(|folder| folder.is_dir())
        .collect();
    let minor = |folder: &PathBuf| {
        let name = folder.parent().map(file_name).unwrap_or_default();
        name.strip_prefix("python3.").and_then(|minor| minor.parse::<u32>().ok())
    };
    found.sort_by(|a, b| minor(b).cmp(&minor(a)).then(b.cmp(a)));
    found
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

impl RuntimeLibrary {
    /// The file that [`variable`](Self::variable) names, else that of the Python environment in which this program is
    /// installed, else the last by name in [`folder`](Self::folder) beside or above this program, where that belongs
    /// to the owner of the program or to the system. Nothing is taken from the current folder, which may be anybody's.
    pub fn find(&self) -> Result<PathBuf, LibraryError> {
        let Self { runtime, variable, folder, package, packed, .. } = *self;
        if let Some(file) = env::var_os(variable) {
            let file = PathBuf::from(file);
            let no_file = |file| LibraryError::NoFile { variable, file, runtime };
            return if file.is_file() { Ok(file) } else { Err(no_file(file)) };
        }
        let program = env::current_exe().unwrap_or_default();
        let fetched = program.ancestors().skip(1).map(|above| above.join(folder));
        let fetched = fetched.filter(|folder| is_of_owner(folder, &program));
        let installed = site_packages(&program).into_iter().map(|folder| folder.join(packed));
        let missing = LibraryError::NotFound { variable, folder, package, runtime };
        installed.chain(fetched).find_map(|folder| self.inside(&folder)).ok_or(missing)
    }

    fn inside(&self, folder: &Path) -> Option<PathBuf> {
        let files = folder.read_dir().ok()?.filter_map(|file| Some(file.ok()?.path()));
        files.filter(|file| file_name(file).starts_with(self.prefix)).max()
    }
}

/// Whether a folder, and the one that it is in, belong to the owner of a program or to the system, and nobody else may
/// write in them.
#[cfg(unix)]
fn is_of_owner(folder: &Path, program: &Path) -> bool {
    use std::{fs::metadata, os::unix::fs::MetadataExt};
    const WRITABLE_BY_ALL: u32 = 0o002;
    let Ok(owner) = metadata(program).map(|found| found.uid()) else { return false };
    let is_safe = |folder: &Path| {
        metadata(folder).is_ok_and(|found| {
            [0, owner].contains(&found.uid()) && found.mode() & WRITABLE_BY_ALL == 0
        })
    };
    is_safe(folder) && folder.parent().is_some_and(is_safe)
}

#[cfg(not(unix))]
fn is_of_owner(_: &Path, _: &Path) -> bool {
    true
}

/// The version in the name of a library file, such as `1.32.0`, or of the Python package that it is part of;
/// else `unknown`.
pub fn version(path: &Path) -> String {
    let file = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let is_number = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
    let numbers: Vec<&str> = file_name(&file).split('.').filter(is_number).collect();
    match &numbers[..] {
        [] => version_of_package(&file).unwrap_or_else(|| "unknown".into()),
        numbers => numbers.join("."),
    }
}

/// What pip has noted beside the folder of a package: `NAME-VERSION.dist-info`.
fn version_of_package(file: &Path) -> Option<String> {
    let package = file.parent()?;
    let version = |folder: PathBuf| {
        let noted = file_name(&folder).strip_suffix(".dist-info")?;
        Some(noted.strip_prefix(file_name(package))?.strip_prefix('-')?.to_owned())
    };
    package.parent()?.read_dir().ok()?.find_map(|folder| version(folder.ok()?.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: RuntimeLibrary = RuntimeLibrary {
        runtime: "Some Runtime",
        variable: "SPACEWRIGHT_NO_SUCH_VARIABLE",
        folder: ".deps/some",
        package: "some-runtime",
        packed: "some_runtime",
        prefix: "libsome.",
    };

    #[test]
    fn the_library_is_found_below_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let deps = folder.path().join(WANTED.folder);
        assert_eq!(WANTED.inside(&deps), None);
        std::fs::create_dir_all(&deps).unwrap();
        for name in ["libsome.so.1.31.0", "libsome.so.1.32.0", "LICENSE"] {
            std::fs::write(deps.join(name), "").unwrap();
        }
        assert_eq!(WANTED.inside(&deps), Some(deps.join("libsome.so.1.32.0")));
    }

    #[test]
    fn packages_are_those_of_the_environment_of_the_program() {
        let environment = tempfile::tempdir().unwrap();
        let program = environment.path().join("bin/program");
        assert!(site_packages(&program).is_empty());
        let packages = environment.path().join("lib/python3.12/site-packages");
        for folder in ["some_runtime", "some_runtime-2.3.0.dist-info", "other-1.0.dist-info"] {
            std::fs::create_dir_all(packages.join(folder)).unwrap();
        }
        std::fs::create_dir_all(environment.path().join("lib/pkgconfig")).unwrap();
        assert_eq!(site_packages(&program), [packages.as_path()]);
        let library = packages.join("some_runtime/libsome.so");
        std::fs::write(&library, "").unwrap();
        assert_eq!(WANTED.inside(&packages.join(WANTED.packed)), Some(library.clone()));
        assert_eq!(version(&library), "2.3.0");
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
