//! Compiles the kernels against libtorch and tells the linker where it is.

use std::{env, fs, path::PathBuf};

/// Sources that are compiled together. libtorch's headers take far longer to compile than what is here: each
/// group reads them once. Those whose own names clash are alone.
const GROUPS: [&[&str]; 7] = [
    &["kernels", "descend", "fake_quant", "normalize", "part", "strided", "cuda/depthwise"],
    &[
        "processor/descend",
        "processor/elements",
        "processor/fake_quant",
        "processor/normalize",
        "processor/strided",
    ],
    &["composed"],
    &["cuda/driver"],
    &["cuda/kernels"],
    &["cuda/nccl"],
    &["processes/group"],
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
    let sources = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("cpp");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let units = GROUPS.map(|group| {
        let line = |name: &&str| {
            format!("#include \"{}\"\n", sources.join(name).with_extension("cpp").display())
        };
        let unit = out.join(format!("{}.cpp", group[0].replace('/', "_")));
        let text: String = group.iter().map(line).collect();
        fs::write(&unit, text).unwrap_or_else(|error| panic!("{}: {error}", unit.display()));
        unit
    });
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
        .files(units)
        .compile("spacewright_kernels");
    // Of the functions that load libraries.
    println!("cargo::rustc-link-lib=dl");
    println!("cargo::metadata=lib={}", root.join("lib").display());
    println!("cargo::rustc-link-search=native={}", root.join("lib").display());
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", root.join("lib").display());
}
