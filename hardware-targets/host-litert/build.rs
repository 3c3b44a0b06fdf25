//! Sets `have_litert` where tests can find a LiteRT library, and `have_litert_python` where Python
//! has TFLite's interpreter; the crate itself is the same with and without.

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

fn main() {
    println!("cargo::rustc-check-cfg=cfg(have_litert)");
    println!("cargo::rerun-if-env-changed=SPACEWRIGHT_LITERT");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.deps/litert");
    println!("cargo::rerun-if-changed={}", folder.display());
    let named = env::var_os("SPACEWRIGHT_LITERT").is_some_and(|file| Path::new(&file).is_file());
    let unpacked = folder.read_dir().is_ok_and(|mut files| files.next().is_some());
    if named || unpacked {
        println!("cargo::rustc-cfg=have_litert");
    }
    println!("cargo::rustc-check-cfg=cfg(have_litert_python)");
    println!("cargo::rerun-if-env-changed=PYTHONPATH");
    let mut python = Command::new("python3");
    python.args(["-c", "import ai_edge_litert.interpreter"]);
    let quiet = python.stdout(Stdio::null()).stderr(Stdio::null());
    if quiet.status().is_ok_and(|status| status.success()) {
        println!("cargo::rustc-cfg=have_litert_python");
    }
}
