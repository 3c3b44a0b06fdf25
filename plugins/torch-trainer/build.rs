//! Compiles the kernels against libtorch and tells the linker where it is.

use std::{env, path::PathBuf};

const SOURCES: [&str; 14] = [
    "composed",
    "cuda/depthwise",
    "cuda/driver",
    "cuda/kernels",
    "cuda/nccl",
    "descend",
    "fake_quant",
    "kernels",
    "normalize",
    "part",
    "processes/group",
    "processor/descend",
    "processor/fake_quant",
    "processor/normalize",
];

fn main() {
    println!("cargo::rerun-if-changed=cpp");
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    let Some(root) = env::var_os("LIBTORCH").map(PathBuf::from) else {
        panic!("LIBTORCH is not set\nhint: run `cargo xtask setup`");
    };
    let include = root.join("include");
    assert!(
        include.join("torch").exists(),
        "no libtorch in {}\nhint: run `cargo xtask setup`",
        root.display()
    );
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .opt_level(3)
        .debug(false)
        .warnings(false)
        .flag("-fno-math-errno")
        .flag("-fno-trapping-math")
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        .include(include.join("torch/csrc/api/include"))
        .include(&include)
        // Headers of Gloo, which libtorch does not bring.
        .include("cpp/processes")
        .files(SOURCES.map(|name| format!("cpp/{name}.cpp")))
        .compile("spacewright_kernels");
    // Of the functions that load libraries.
    println!("cargo::rustc-link-lib=dl");
    println!("cargo::metadata=lib={}", root.join("lib").display());
    println!("cargo::rustc-link-search=native={}", root.join("lib").display());
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", root.join("lib").display());
}
