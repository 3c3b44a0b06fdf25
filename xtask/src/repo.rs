//! Where things are in the repository.

use std::path::{Path, PathBuf};

/// The repository's root folder.
pub fn root() -> &'static Path {
    // The manifest's folder is `<root>/xtask`, so it has a parent.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Where fetched libraries and data live; git ignores it.
pub fn deps() -> PathBuf {
    root().join(".deps")
}

/// The executable `spacewright` of a cargo profile.
///
/// Found next to the folder this program runs from, so that it follows `CARGO_TARGET_DIR` and
/// every other setting that moves cargo's output.
pub fn spacewright(profile: &str) -> std::io::Result<PathBuf> {
    let this = std::env::current_exe()?;
    let target = this.ancestors().nth(2).unwrap_or(root());
    Ok(target.join(profile).join(format!("spacewright{}", std::env::consts::EXE_SUFFIX)))
}
