//! The second program: where it is, and how it is started.

use std::{
    env,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Command,
};

use spacewright_core::train::Device;

/// The program that trains.
#[derive(Debug, Clone)]
pub struct WorkerProgram {
    path: PathBuf,
    /// Folders of libtorch, of which the first that is there is taken.
    libraries: Vec<PathBuf>,
}

/// Names another program.
const PROGRAM: &str = "SPACEWRIGHT_TRAINER";
/// Names the folder of the library that it computes with.
const LIBRARY: &str = "SPACEWRIGHT_TORCH";
/// Where `cargo xtask setup --cuda` puts a library that computes on GPUs, too, below the project's folder.
const WITH_CUDA: &str = ".deps/cuda/torch";
/// Where Linux and macOS look for libraries first.
const SEARCHED: [&str; 2] = ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"];

/// How threads wait for each other; OpenMP reads these when it is loaded. Ones that spin as long as they
/// like slow training down several times where cores are few; ones that do not spin at all sleep in each of
/// thousands of short loops. So they spin for a moment (docs/results/training.md), where GNU's OpenMP is
/// what computes; LLVM's knows whole milliseconds only.
const WAITING: [(&str, &str); 3] =
    [("OMP_WAIT_POLICY", "passive"), ("GOMP_SPINCOUNT", "10000"), ("KMP_BLOCKTIME", "0")];

impl WorkerProgram {
    /// The program of this name beside the one that runs, or the one that `SPACEWRIGHT_TRAINER` names.
    pub fn beside(name: &str) -> Self {
        let named = env::var_os(PROGRAM).map(PathBuf::from);
        let path = named.unwrap_or_else(|| {
            let own = env::current_exe().unwrap_or_default();
            let file = format!("{name}{}", env::consts::EXE_SUFFIX);
            // Tests lie in a folder below it.
            let folders = own.ancestors().skip(1).take(2);
            let mut places = folders.map(|folder| folder.join(&file));
            places.find(|place| place.is_file()).unwrap_or_else(|| own.with_file_name(&file))
        });
        Self { path, libraries: Vec::new() }
    }

    /// The program in this file.
    #[cfg(test)]
    pub fn at(path: PathBuf) -> Self {
        Self { path, libraries: Vec::new() }
    }

    /// Folders where the library may lie that it computes with, instead of the one that it was built with: the
    /// first that has it counts.
    pub fn with_libraries(self, libraries: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { libraries: libraries.into_iter().collect(), ..self }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it is started to compute on this device.
    pub fn command(&self, device: Device) -> Command {
        let mut command = Command::new(&self.path);
        // Lines after the one that says what went wrong are no use.
        command.env("RUST_BACKTRACE", "0");
        for (variable, value) in WAITING {
            if env::var_os(variable).is_none() {
                command.env(variable, value);
            }
        }
        if let Some(library) = self.library(device, env::var_os(LIBRARY)) {
            for variable in SEARCHED {
                let others = env::var_os(variable).unwrap_or_default();
                command.env(variable, first_of(&library.join("lib"), &others));
            }
        }
        command
    }

    /// The folder of the library that it is to find, where that is another one than it was built with: the `named`
    /// one, if there is one.
    fn library(&self, device: Device, named: Option<OsString>) -> Option<PathBuf> {
        if let Some(named) = named {
            return Some(named.into());
        }
        let fetched = self.path.ancestors().skip(1).map(|folder| folder.join(WITH_CUDA));
        let fetched = fetched.filter(|_| matches!(device, Device::Cuda(_)));
        fetched.chain(self.libraries.clone()).find(|folder| folder.join("lib").is_dir())
    }
}

/// A list of folders that starts with this one. An empty entry would be the current folder, which may be anybody's.
fn first_of(folder: &Path, others: &OsStr) -> OsString {
    let others = env::split_paths(others).filter(|path| !path.as_os_str().is_empty());
    let all = std::iter::once(folder.to_owned()).chain(others);
    env::join_paths(all).unwrap_or_else(|_| folder.into())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn nothing_is_looked_for_in_the_current_folder() {
        let list = |others: &str| first_of(Path::new("/lib"), others.as_ref());
        assert_eq!([list(""), list("/a::/b"), list(":")], ["/lib", "/lib:/a:/b", "/lib"]);
    }

    #[test]
    fn only_gpus_need_what_was_fetched_for_them() {
        let folder = tempfile::tempdir().unwrap();
        let program = WorkerProgram::at(folder.path().join("target/release/trainer"));
        assert_eq!(program.library(Device::Cuda(0), None), None);
        let fetched = folder.path().join(WITH_CUDA);
        fs::create_dir_all(fetched.join("lib")).unwrap();
        assert_eq!(program.library(Device::Cuda(0), None), Some(fetched.clone()));
        assert_eq!(program.library(Device::Cpu, None), None);
        let installed = folder.path().join("site-packages/torch");
        let program = program.with_libraries([folder.path().join("none"), installed.clone()]);
        assert_eq!(program.library(Device::Cpu, None), None);
        fs::create_dir_all(installed.join("lib")).unwrap();
        assert_eq!(program.library(Device::Cpu, None), Some(installed));
        assert_eq!(program.library(Device::Cuda(0), None), Some(fetched));
        for device in [Device::Cpu, Device::Cuda(0)] {
            assert_eq!(program.library(device, Some("/named".into())), Some("/named".into()));
        }
    }
}
