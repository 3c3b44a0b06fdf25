//! Says to the tests whether those are wanted that take long (`SPACEWRIGHT_TEST_LONG`): the others show as
//! ignored.

use std::env;

fn main() {
    const LONG: &str = "SPACEWRIGHT_TEST_LONG";
    println!("cargo::rustc-check-cfg=cfg(spacewright_long)");
    println!("cargo::rerun-if-env-changed={LONG}");
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os(LONG).is_some() {
        println!("cargo::rustc-cfg=spacewright_long");
    }
}
