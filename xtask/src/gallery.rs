//! `cargo xtask gallery`: pictures of the pages of example studies, for the documents.

use crate::{process, repo, setup::chromium};
use anyhow::{Context, Result, bail};
use std::{fs, io, path::Path, process::Command};

/// The studies, which are those of `examples`.
const STUDIES: [&str; 3] = ["quickstart", "cifar10", "clothing"];
/// What a picture shows: the verdict, and the first drawing.
const WINDOW: &str = "--window-size=1280,1560";

/// Takes a picture of the page of each study that has run in a folder of runs; those that have not stay as
/// they are, and are named.
pub fn run(runs: &Path) -> Result<()> {
    chromium::ensure()?;
    let program = chromium::program().context("there is no Chromium")?;
    let gallery = repo::root().join("docs/gallery");
    fs::create_dir_all(&gallery).with_context(|| format!("cannot create {}", gallery.display()))?;
    let mut taken = 0;
    for study in STUDIES {
        let page = runs.join(study).join("report.html");
        let Ok(page) = page.canonicalize() else {
            eprintln!(
                "{} is not there: `spacewright run examples/{study}.toml` makes it",
                page.display()
            );
            continue;
        };
        let picture = gallery.join(format!("{study}.png"));
        take(program, &page, &picture)?;
        println!("{}", picture.display());
        taken += 1;
    }
    if taken == 0 {
        bail!("no example study has a page in {}", runs.display());
    }
    Ok(())
}

fn take(program: &str, page: &Path, picture: &Path) -> Result<()> {
    let files = std::env::temp_dir().join(format!("spacewright-gallery-{}", std::process::id()));
    let mut browser = Command::new(program);
    browser.args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", WINDOW]);
    browser.arg(format!("--user-data-dir={}", files.display()));
    browser.arg(format!("--screenshot={}", picture.display()));
    browser.arg(format!("file://{}", page.display())).stdout(io::stderr());
    let taken = process::run(&mut browser);
    let _ = fs::remove_dir_all(&files);
    taken
}
