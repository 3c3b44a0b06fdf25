//! A folder that is either complete or not there.

use crate::repo;
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Builds `.deps/<name>` with `fill`, which gets an empty folder to fill and one for scratch.
///
/// The filled folder is renamed to its place only when `fill` succeeds; the scratch folder is
/// always removed.
pub fn publish(name: &str, fill: impl FnOnce(&Path, &Path) -> Result<()>) -> Result<()> {
    publish_in(&repo::deps(), name, fill)
}

fn publish_in(
    deps: &Path,
    name: &str,
    fill: impl FnOnce(&Path, &Path) -> Result<()>,
) -> Result<()> {
    let partial = deps.join(format!("{name}.partial"));
    let scratch = deps.join(format!("{name}.scratch"));
    let place = deps.join(name);
    empty(&partial)?;
    empty(&scratch)?;
    let filled = fill(&partial, &scratch);
    remove(&scratch)?;
    if filled.is_err() {
        remove(&partial)?;
    }
    filled?;
    remove(&place)?;
    fs::rename(&partial, &place).with_context(|| format!("cannot create {}", place.display()))
}

fn empty(folder: &PathBuf) -> Result<()> {
    remove(folder)?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    /// A folder of the test's own, gone when the test ends.
    struct Deps(PathBuf);

    impl Deps {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Deps(path)
        }

        fn entries(&self) -> Vec<String> {
            let names = fs::read_dir(&self.0).unwrap();
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        }
    }

    impl Drop for Deps {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let deps = Deps::new("failure");
        let result = publish_in(&deps.0, "thing", |partial, _| {
            fs::write(partial.join("half"), "x")?;
            bail!("connection lost")
        });
        assert!(result.is_err());
        assert!(deps.entries().is_empty());
    }

    #[test]
    fn leftovers_and_an_older_version_are_replaced() {
        let deps = Deps::new("replace");
        for folder in ["thing", "thing.partial", "thing.scratch"] {
            fs::create_dir(deps.0.join(folder)).unwrap();
            fs::write(deps.0.join(folder).join("old"), "x").unwrap();
        }
        publish_in(&deps.0, "thing", |partial, _| Ok(fs::write(partial.join("new"), "x")?))
            .unwrap();
        assert_eq!(deps.entries(), ["thing"]);
        assert!(deps.0.join("thing/new").exists());
        assert!(!deps.0.join("thing/old").exists());
    }
}
