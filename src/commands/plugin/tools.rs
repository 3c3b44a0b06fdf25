//! What plugins are built with: cargo, the WebAssembly standard library, a C compiler.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use spacewright_engine::{default_home, home};

use crate::render::Failure;

/// The platform that components are compiled for.
pub const WASM: &str = "wasm32-unknown-unknown";

/// Names an archive or folder with the standard library for [`WASM`], where rustup cannot fetch it.
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
    /// It was unpacked from an archive into this folder.
    Unpacked(PathBuf),
}

impl WasmStd {
    /// Finds it for the toolchain that is used in `folder`, unpacking the archive if need be; an
    /// error says both ways to get it.
    pub fn find(folder: &Path) -> Result<Self, Failure> {
        let mut rustc = Command::new(rustc());
        let sysroot = output(rustc.args(["--print", "sysroot"]).current_dir(folder))?;
        let installed = Path::new(sysroot.trim()).join("lib/rustlib").join(WASM);
        if installed.is_dir() {
            return Ok(Self::Installed);
        }
        match env::var_os(STD_VARIABLE).filter(|archive| !archive.is_empty()) {
            Some(archive) => unpack(Path::new(&archive)).map(Self::Unpacked),
            None => Err(Failure::failed(format!(
                "the Rust toolchain has no standard library for {WASM}: run `rustup target add \
                 {WASM}`, or let {STD_VARIABLE} name an archive of it (`rust-std-*.tar.xz` of the \
                 same Rust version, or its folder)"
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

/// Unpacks the archive below the program's home, once; a folder is taken as unpacked.
fn unpack(archive: &Path) -> Result<PathBuf, Failure> {
    if archive.is_dir() {
        return Ok(archive.to_owned());
    }
    let at = |error: std::io::Error| {
        Failure::failed(format!("{STD_VARIABLE}: {}: {error}", archive.display()))
    };
    let of = |path: &Path, error: std::io::Error| {
        Failure::failed(format!("{}: {error}", path.display()))
    };
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    let size = fs::metadata(archive).map_err(at)?.len();
    let home = default_home()?;
    home::make(&home)?;
    let cache = home.join("cache");
    let folder = cache.join(format!("{name}-{size}"));
    if folder.is_dir() {
        return Ok(folder);
    }
    fs::create_dir_all(&cache).map_err(|error| of(&cache, error))?;
    let temporary = tempfile::tempdir_in(&cache).map_err(|error| of(&cache, error))?;
    output(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(temporary.path()))?;
    match fs::rename(temporary.path(), &folder) {
        // Else another process was faster.
        Err(error) if !folder.is_dir() => Err(of(&folder, error)),
        _ => Ok(folder),
    }
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
