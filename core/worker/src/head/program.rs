//! The second program: where it is, and how it is started.

use std::{
    env,
    ffi::OsString,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// The program that trains.
#[derive(Debug, Clone)]
pub struct WorkerProgram {
    path: PathBuf,
}

/// Names another program.
const PROGRAM: &str = "SPACEWRIGHT_TRAINER";
/// Names the folder of the library that it computes with.
const LIBRARY: &str = "SPACEWRIGHT_TORCH";
/// Where Linux and macOS look for libraries first.
const SEARCHED: [&str; 2] = ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"];

/// How threads wait for each other; OpenMP reads these when it is loaded. Ones that spin as long as they
/// like slow training down several times where cores are few; ones that do not spin at all sleep in each of
/// thousands of short loops. So they spin for a moment (docs/results.md, training speed), where GNU's OpenMP is
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
        Self { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it is started.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        // Ctrl-C is for the head, which asks workers to stop at a safe point.
        command.process_group(0);
        // Lines after the one that says what went wrong are no use.
        command.env("RUST_BACKTRACE", "0");
        for (variable, value) in WAITING {
            if env::var_os(variable).is_none() {
                command.env(variable, value);
            }
        }
        if let Some(library) = env::var_os(LIBRARY) {
            for variable in SEARCHED {
                command.env(variable, first_of(&PathBuf::from(&library).join("lib"), variable));
            }
        }
        command
    }
}

/// A list of folders that starts with this one.
fn first_of(folder: &Path, variable: &str) -> OsString {
    let others = env::var_os(variable).unwrap_or_default();
    let all = std::iter::once(folder.to_owned()).chain(env::split_paths(&others));
    env::join_paths(all).unwrap_or_else(|_| folder.into())
}
