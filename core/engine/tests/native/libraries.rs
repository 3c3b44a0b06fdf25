//! The libraries that the tests load, built from `tests/fixtures/native`.

use std::{
    env::{
        self,
        consts::{DLL_PREFIX, DLL_SUFFIX},
    },
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Name, version, file and dependencies of a library.
const LIBRARIES: [(&str, &str, &str, &[&str]); 9] = [
    ("good", "1.2.3", "good.rs", &["sdk"]),
    ("interface", VERSION, "interface.rs", &["sdk", "abi_stable"]),
    ("layout", VERSION, "layout.rs", &["abi_stable"]),
    ("misnamed", "1.0.0", "misnamed.rs", &["sdk"]),
    ("other", "2.0.0", "other.rs", &["sdk"]),
    ("outdated", "0.0.9", "layout.rs", &["abi_stable"]),
    ("panics", "1.0.0", "panics.rs", &["sdk"]),
    ("plain", "1.0.0", "plain.rs", &[]),
    ("wrong", "1.0.0", "wrong.rs", &["sdk"]),
];

/// The file of a library; all of them are built at the first call.
pub fn library(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build).join(format!("{DLL_PREFIX}{name}{DLL_SUFFIX}"))
}

/// Makes a workspace of all libraries, with the dependencies that this one is locked to, and
/// builds it. Tests in other processes wait for each other.
fn build() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("native");
    fs::create_dir_all(&folder).unwrap();
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let mut members = Vec::new();
    for (name, version, file, dependencies) in LIBRARIES {
        let member = folder.join(name);
        fs::create_dir_all(&member).unwrap();
        write(&member.join("Cargo.toml"), &manifest(name, version, file, dependencies));
        members.push(format!("{name:?}"));
    }
    let members = members.join(", ");
    write(
        &folder.join("Cargo.toml"),
        &format!(
            "[workspace]\nresolver = \"3\"\nmembers = [{members}]\n\n[profile.dev]\ndebug = false\n"
        ),
    );
    // Cargo takes what it does not need out of a lock file: `locked` is what it was.
    let locked = fs::read_to_string(repository().join("Cargo.lock")).unwrap();
    if fs::read_to_string(folder.join("locked")).ok().as_ref() != Some(&locked) {
        fs::write(folder.join("Cargo.lock"), &locked).unwrap();
        fs::write(folder.join("locked"), &locked).unwrap();
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--offline", "--target-dir", "target"])
        .current_dir(&folder)
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("CARGO_BUILD_TARGET")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the test libraries do not build:\n{errors}");
    folder.join("target/debug")
}

fn manifest(name: &str, version: &str, file: &str, dependencies: &[&str]) -> String {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/native");
    let sdk = repository().join("sdk");
    let mut text = format!(
        "[package]\nname = {name:?}\nversion = {version:?}\nedition = \"2024\"\n\
         description = \"For tests\"\n\n[lib]\npath = {:?}\ncrate-type = [\"cdylib\"]\n\n\
         [dependencies]\n",
        sources.join(file)
    );
    for dependency in dependencies {
        text.push_str(&match *dependency {
            "sdk" => {
                format!("spacewright-sdk = {{ path = {sdk:?}, features = [\"native\"] }}\n")
            }
            other => format!("{other} = {{ version = \"*\", default-features = false }}\n"),
        });
    }
    text
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Leaves a file alone that is as it should be, so that cargo builds nothing anew.
fn write(path: &Path, text: &str) {
    if fs::read_to_string(path).ok().as_deref() != Some(text) {
        fs::write(path, text).unwrap();
    }
}
