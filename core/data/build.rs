//! Tells the tests whether `SPACEWRIGHT_IMAGES` names a folder of real sets of images.

use std::{env, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SPACEWRIGHT_IMAGES");
    println!("cargo::rustc-check-cfg=cfg(spacewright_images)");
    let Ok(folder) = env::var("SPACEWRIGHT_IMAGES") else { return };
    if Path::new(&folder).is_dir() {
        println!("cargo::rustc-cfg=spacewright_images");
    } else {
        println!("cargo::warning=SPACEWRIGHT_IMAGES: there is no folder {folder}");
    }
}
