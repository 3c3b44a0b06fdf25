//! Tells the tests whether the published measurements are at hand: `SPACEWRIGHT_TABLES` names the
//! folder that holds `vnni-block-latency.csv` and `spaceevo-block-lut`.

use std::{env, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SPACEWRIGHT_TABLES");
    println!("cargo::rustc-check-cfg=cfg(spacewright_tables)");
    let Ok(folder) = env::var("SPACEWRIGHT_TABLES") else { return };
    let folder = Path::new(&folder);
    let needed = ["vnni-block-latency.csv", "spaceevo-block-lut"].map(|name| folder.join(name));
    match needed.iter().find(|path| !path.exists()) {
        None => {
            println!("cargo::rustc-cfg=spacewright_tables");
            println!("cargo::rustc-env=SPACEWRIGHT_TABLES={}", folder.display());
        }
        Some(missing) => {
            println!("cargo::warning=SPACEWRIGHT_TABLES: there is no {}", missing.display());
        }
    }
}
