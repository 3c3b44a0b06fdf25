//! The crates that plugin authors build on stay light: no database, no runtime, no libtorch.

use crate::process;
use anyhow::{Result, bail};

const LIGHT: [&str; 3] = ["spacewright-core", "spacewright-plugin", "spacewright-sdk"];
const HEAVY: [&str; 6] = ["rusqlite", "libsqlite3-sys", "tch", "torch-sys", "ort", "wasmtime"];

/// Fails, naming the offender, when a light crate depends on a heavy one; then compiles the SDK
/// alone.
pub fn check() -> Result<()> {
    for package in LIGHT {
        let tree = process::read(
            process::cargo().args(["tree", "-p", package, "-e", "normal", "--prefix", "none"]),
        )?;
        if let Some(offender) = offender(&tree) {
            bail!(
                "{package} depends on {offender}, which must stay out of it\n\
                 hint: `cargo tree -p {package} -e normal -i {offender}` shows the way in"
            );
        }
    }
    process::run(process::cargo().args(["check", "-p", "spacewright-sdk"]))
}

/// The first heavy package in the output of `cargo tree --prefix none`.
fn offender(tree: &str) -> Option<&str> {
    tree.lines().filter_map(|line| line.split_whitespace().next()).find(|name| HEAVY.contains(name))
}

#[cfg(test)]
mod tests {
    use super::offender;

    #[test]
    fn a_heavy_package_is_named() {
        assert_eq!(
            offender("spacewright-sdk v0.1.0\nserde v1.0.2\ntch v0.24.0 (*)\n"),
            Some("tch")
        );
    }

    #[test]
    fn a_name_that_only_begins_alike_is_no_offender() {
        assert_eq!(offender("spacewright-core v0.1.0\norto v1.0.0\nsort v2.0.0\n\n"), None);
    }
}
