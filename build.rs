//! Tells the linker where the command finds libtorch when it runs.

use std::env;

fn main() {
    // Set by the trainer's build script, where the feature `torch` is on.
    if let Some(folder) = env::var_os("DEP_SPACEWRIGHT_TORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", folder.display());
    }
}
