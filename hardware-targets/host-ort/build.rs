//! Sets `have_ort` where tests can find an ONNX Runtime library; the crate itself is the same
//! with and without.

use std::{env, path::Path};

fn main() {
    println!("cargo::rustc-check-cfg=cfg(have_ort)");
    println!("cargo::rerun-if-env-changed=SPACEWRIGHT_ONNXRUNTIME");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.deps/onnxruntime");
    println!("cargo::rerun-if-changed={}", folder.display());
    let named =
        env::var_os("SPACEWRIGHT_ONNXRUNTIME").is_some_and(|file| Path::new(&file).is_file());
    let unpacked = folder.read_dir().is_ok_and(|mut files| files.next().is_some());
    if named || unpacked {
        println!("cargo::rustc-cfg=have_ort");
    }
}
