//! Tells the linker where the program that trains finds libtorch, and the tests whether those that take long
//! are wanted (`SPACEWRIGHT_TEST_LONG`), and then whether there is a Slurm, a Ray (`SPACEWRIGHT_RAY` names its
//! program) and PyTorch's `torchrun` (`SPACEWRIGHT_TORCHRUN` names it) for them, whether the runtimes of this
//! machine, and networks and photographs to import, are unpacked, whether there is a C compiler for WebAssembly,
//! and whether published measurements are at hand: `SPACEWRIGHT_TABLES` names the folder that holds the quality
//! tables, `spaceevo-block-lut`, and beside them `vnni-block-latency.csv`.

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SPACEWRIGHT_TABLES");
    println!("cargo::rerun-if-env-changed=PYTHONPATH");
    println!("cargo::rustc-check-cfg=cfg(spacewright_tables, spacewright_vnni_latencies)");
    // Set by the trainer's build script, where the feature `torch` is on. A program for other machines finds the
    // library that is installed beside it.
    println!("cargo::rerun-if-env-changed=SPACEWRIGHT_PORTABLE");
    if env::var_os("SPACEWRIGHT_PORTABLE").is_none()
        && let Ok(folder) = env::var("DEP_SPACEWRIGHT_TORCH_LIB")
    {
        println!("cargo::rustc-link-arg-bin=spacewright-torch=-Wl,-rpath,{folder}");
    }
    println!("cargo::rerun-if-env-changed=SPACEWRIGHT_TEST_LONG");
    println!("cargo::rerun-if-env-changed=SPACEWRIGHT_RAY");
    println!("cargo::rerun-if-env-changed=SPACEWRIGHT_TORCHRUN");
    println!("cargo::rustc-check-cfg=cfg(spacewright_long, spacewright_slurm, have_teachers)");
    println!("cargo::rustc-check-cfg=cfg(spacewright_ray, spacewright_torchrun)");
    if env::var_os("SPACEWRIGHT_TEST_LONG").is_some() {
        println!("cargo::rustc-cfg=spacewright_long");
        // Not watched, as what is not there would be looked for, and the tests built, every time.
        if ["teachers", "photographs"].iter().all(|name| Path::new(".deps").join(name).is_dir()) {
            println!("cargo::rustc-cfg=have_teachers");
        }
        if ["slurmctld", "slurmd", "munged"].iter().all(|program| is_program(program)) {
            println!("cargo::rustc-cfg=spacewright_slurm");
        }
        for (name, argument) in [("ray", "--version"), ("torchrun", "--help")] {
            let variable = format!("SPACEWRIGHT_{}", name.to_uppercase());
            let program = env::var(&variable).unwrap_or_else(|_| name.into());
            if works(&program, &[argument]) {
                println!("cargo::rustc-cfg=spacewright_{name}");
                println!("cargo::rustc-env={variable}={program}");
            }
        }
    }
    println!("cargo::rustc-check-cfg=cfg(have_runtimes)");
    let unpacked = |runtime: &str| {
        let folder = Path::new(".deps").join(runtime);
        println!("cargo::rerun-if-changed={}", folder.display());
        folder.is_dir()
    };
    if unpacked("onnxruntime") & unpacked("litert") {
        println!("cargo::rustc-cfg=have_runtimes");
    }
    println!("cargo::rustc-check-cfg=cfg(spacewright_c_wasm)");
    if compiles_c_to_wasm() {
        println!("cargo::rustc-cfg=spacewright_c_wasm");
    }
    let Ok(folder) = env::var("SPACEWRIGHT_TABLES") else { return };
    let tables = Path::new(&folder).join("spaceevo-block-lut");
    if tables.is_dir() {
        println!("cargo::rustc-cfg=spacewright_tables");
        println!("cargo::rustc-env=SPACEWRIGHT_TABLES={folder}");
        if tables.with_file_name("vnni-block-latency.csv").is_file() {
            println!("cargo::rustc-cfg=spacewright_vnni_latencies");
        }
    } else {
        println!("cargo::warning=SPACEWRIGHT_TABLES: there is no folder {}", tables.display());
    }
}

/// Whether `plugin build` finds one of the compilers that it knows.
fn compiles_c_to_wasm() -> bool {
    works("clang", &["--version"]) && works("wasm-ld", &["--version"])
        || works("python3", &["-m", "ziglang", "version"])
}

fn works(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    let silent = command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    silent.status().is_ok_and(|status| status.success())
}

/// Whether a program of this name is found, without starting it.
fn is_program(name: &str) -> bool {
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders).any(|folder| folder.join(name).is_file())
}
