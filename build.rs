//! Tells the linker where libtorch is, and the tests whether the published quality tables are at
//! hand: `SPACEWRIGHT_TABLES` names the folder that holds `spaceevo-block-lut`.

use std::{env, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SPACEWRIGHT_TABLES");
    println!("cargo::rustc-check-cfg=cfg(spacewright_tables)");
    // Set by the trainer's build script, where the feature `torch` is on.
    if let Ok(folder) = env::var("DEP_SPACEWRIGHT_TORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}");
    }
    let Ok(folder) = env::var("SPACEWRIGHT_TABLES") else { return };
    let tables = Path::new(&folder).join("spaceevo-block-lut");
    if tables.is_dir() {
        println!("cargo::rustc-cfg=spacewright_tables");
        println!("cargo::rustc-env=SPACEWRIGHT_TABLES={folder}");
    } else {
        println!("cargo::warning=SPACEWRIGHT_TABLES: there is no folder {}", tables.display());
    }
}
