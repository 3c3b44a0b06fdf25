//! What plugins are built with: cargo, the WebAssembly standard library, a C compiler.

use std::{
    env, fs,
    path::{self, Path, PathBuf},
    process::{Command, Stdio},
};

use spacewright_engine::{default_home, home, room};

use crate::render::Failure;

/// The platform that components are compiled for.
pub const WASM: &str = "wasm32-unknown-unknown";

/// Names an archive with the standard library for [`WASM`], or a folder that one was unpacked into, where
/// rustup cannot fetch it.
pub const STD_VARIABLE: &str = "SPACEWRIGHT_WASM_STD";

/// Products of 64 bits by 64, which random numbers are made of, and vectors.
const FEATURES: &str = "+wide-arithmetic,+simd128";

/// A folder in which nobody leaves settings: programs whose versions are asked look for those in
/// the current folder and above it.
pub fn nobodys_folder() -> &'static Path {
    Path::new("/")
}

/// The cargo that runs this program, or the one of the path.
pub fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs a command to its end and gives its standard output.
pub fn output(command: &mut Command) -> Result<String, Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| Failure::failed(format!("{name}: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::failed(format!("{name} failed: {}", said.trim())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Where the standard library for [`WASM`] comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WasmStd {
    /// The toolchain has it.
    Installed,
    /// It was unpacked from an archive; rustc takes this folder as its sysroot.
    Unpacked(PathBuf),
}

impl WasmStd {
    /// Finds it for the toolchain that is used in `folder`, unpacking the archive if need be; an
    /// error says both ways to get it.
    pub fn find(folder: &Path) -> Result<Self, Failure> {
        let mut rustc = Command::new(rustc());
        let sysroot = output(rustc.args(["--print", "sysroot"]).current_dir(folder))?;
        if has_library(Path::new(sysroot.trim())) {
            return Ok(Self::Installed);
        }
        match env::var_os(STD_VARIABLE).filter(|archive| !archive.is_empty()) {
            Some(archive) => unpack(Path::new(&archive)).map(Self::Unpacked),
            None => Err(Failure::failed(format!(
                "the Rust toolchain has no standard library for {WASM}: run `rustup target add \
                 {WASM}`, or let {STD_VARIABLE} name an archive of it (`rust-std-*.tar.xz` of the \
                 same Rust version, or the folder that it was unpacked into)"
            ))),
        }
    }

    /// Makes cargo use it, and compile for what the host offers beyond the first version of
    /// WebAssembly.
    pub fn apply(&self, command: &mut Command) {
        // Without the last, rustc says of each crate that the name of a feature may change.
        let mut flags =
            vec!["-C".to_owned(), format!("target-feature={FEATURES}"), "-Awarnings".into()];
        if let Self::Unpacked(folder) = self {
            flags.push(format!("--sysroot={}", folder.display()));
        }
        command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    }
}

fn rustc() -> std::ffi::OsString {
    env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())
}

/// The sysroot in an archive, or in a folder that one was unpacked into. An archive is unpacked below the
/// program's home where that was not done yet, or where what it gave is no longer whole.
fn unpack(archive: &Path) -> Result<PathBuf, Failure> {
    if archive.is_dir() {
        return sysroot_in(archive).ok_or_else(|| no_library(archive));
    }
    let home = default_home()?;
    home::make(&home)?;
    unpack_into(&room::wasm_std(&home), archive)
}

/// The same for an archive, which gets a folder of its own in this one.
fn unpack_into(folder: &Path, archive: &Path) -> Result<PathBuf, Failure> {
    let of = |path: &Path, error: std::io::Error| {
        Failure::failed(format!("{}: {error}", path.display()))
    };
    let found = fs::metadata(archive).map_err(|error| {
        Failure::failed(format!("{STD_VARIABLE}: {}: {error}", archive.display()))
    })?;
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    let unpacked = folder.join(format!("{name}-{}", found.len()));
    if let Some(sysroot) = sysroot_in(&unpacked) {
        return Ok(sysroot);
    }
    fs::create_dir_all(folder).map_err(|error| of(folder, error))?;
    let temporary = tempfile::tempdir_in(folder).map_err(|error| of(folder, error))?;
    output(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(temporary.path()))?;
    if sysroot_in(temporary.path()).is_none() {
        return Err(no_library(archive));
    }
    // Remains, unless another process was faster.
    if unpacked.is_dir() && sysroot_in(&unpacked).is_none() {
        fs::remove_dir_all(&unpacked).map_err(|error| of(&unpacked, error))?;
    }
    let renamed = fs::rename(temporary.path(), &unpacked);
    sysroot_in(&unpacked).ok_or_else(|| match renamed {
        Err(error) => of(&unpacked, error),
        Ok(()) => no_library(&unpacked),
    })
}

fn no_library(unpacked: &Path) -> Failure {
    Failure::failed(format!(
        "{STD_VARIABLE}: {} has no lib/rustlib/{WASM}/lib/libcore-*.rlib: name Rust's own archive, \
         `rust-std-*-{WASM}.tar.xz` of the same Rust version, or the folder that it was unpacked \
         into",
        unpacked.display()
    ))
}

/// How many folders the library may lie below: Rust's own archives have two, of the archive and of its part.
const DEPTH: usize = 3;

/// The folder that rustc takes as its sysroot, in one that an archive was unpacked into; `None` where there is no
/// whole library. It is absolute, as rustc runs in another folder.
fn sysroot_in(unpacked: &Path) -> Option<PathBuf> {
    let found = sysroot_below(unpacked, DEPTH)?;
    Some(path::absolute(&found).unwrap_or(found))
}

fn sysroot_below(folder: &Path, depth: usize) -> Option<PathBuf> {
    if has_library(folder) {
        return Some(folder.to_owned());
    }
    let depth = depth.checked_sub(1)?;
    let entries = fs::read_dir(folder).ok()?.flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).find_map(|inner| sysroot_below(&inner, depth))
}

/// Whether a sysroot has the library: nothing can be compiled without `core`.
fn has_library(sysroot: &Path) -> bool {
    let is_core = |entry: fs::DirEntry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libcore-") && name.ends_with(".rlib")
    };
    let libraries = fs::read_dir(sysroot.join("lib/rustlib").join(WASM).join("lib"));
    libraries.is_ok_and(|libraries| libraries.flatten().any(is_core))
}

/// The program of pip's `ziglang`. Python looks for modules in the current folder first, which
/// may be anybody's: that is left out.
fn ziglang() -> Command {
    const RUN: &str = "import sys; sys.path[:] = filter(None, sys.path); import runpy; \
                       runpy.run_module(\"ziglang\", run_name=\"__main__\", alter_sys=True)";
    let mut command = Command::new("python3");
    command.args(["-c", RUN]);
    command
}

/// A compiler from C to [`WASM`]: `clang`, or the one of pip's `ziglang`.
pub fn c_compiler() -> Result<Command, Failure> {
    let works = |command: &mut Command| {
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
    };
    if works(Command::new("clang").arg("--version"))
        && works(Command::new("wasm-ld").arg("--version"))
    {
        return Ok(Command::new("clang"));
    }
    if works(ziglang().arg("version")) {
        let mut command = ziglang();
        command.arg("cc");
        return Ok(command);
    }
    Err(Failure::failed(
        "no C compiler for WebAssembly: install clang and lld, or run `pip install ziglang`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive as Rust publishes it, beside the folder that is in it.
    fn archive(place: &Path) -> PathBuf {
        const WHOLE: &str = "rust-std-1.95.0-wasm32-unknown-unknown";
        const PART: &str = "rust-std-wasm32-unknown-unknown";
        let libraries = place.join(WHOLE).join(PART).join("lib/rustlib").join(WASM).join("lib");
        fs::create_dir_all(&libraries).unwrap();
        fs::write(libraries.join("libcore-2b1e1354ef991f55.rlib"), "code").unwrap();
        let archive = place.join("rust-std.tar");
        let mut command = Command::new("tar");
        command.arg("-cf").arg(&archive).arg("-C").arg(place).arg(WHOLE);
        output(&mut command).unwrap();
        archive
    }

    #[test]
    fn an_archive_is_unpacked_until_its_library_is_whole() {
        let place = tempfile::tempdir().unwrap();
        let (archive, folder) = (archive(place.path()), place.path().join("wasm-std"));
        let sysroot = unpack_into(&folder, &archive).unwrap();
        assert!(sysroot.ends_with("rust-std-wasm32-unknown-unknown") && has_library(&sysroot));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing temporary stays");
        // What is whole is not unpacked again.
        let mark = sysroot.join("mark");
        fs::write(&mark, "").unwrap();
        assert_eq!(unpack_into(&folder, &archive).unwrap(), sysroot);
        assert!(mark.exists());
        let library = sysroot.join("lib/rustlib").join(WASM).join("lib");
        fs::remove_file(library.join("libcore-2b1e1354ef991f55.rlib")).unwrap();
        assert_eq!(unpack_into(&folder, &archive).unwrap(), sysroot);
        assert!(has_library(&sysroot) && !mark.exists());
    }

    #[test]
    fn a_folder_without_the_library_is_refused() {
        let place = tempfile::tempdir().unwrap();
        archive(place.path());
        assert!(unpack(place.path()).unwrap().is_absolute());
        let empty = place.path().join("empty");
        fs::create_dir_all(empty.join("lib/rustlib").join(WASM).join("lib")).unwrap();
        let error = unpack(&empty).unwrap_err().to_string();
        assert!(
            error.contains("empty has no lib/rustlib/wasm32-unknown-unknown/lib/libcore-*"),
            "{error}"
        );
    }
}
