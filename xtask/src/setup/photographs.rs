//! Photographs with a class of ImageNet in each, for a test of imported networks: those that scikit-image brings
//! (public domain, or CC0).

use super::{announce, staging, wheels};
use crate::repo;
use anyhow::Result;
use wheels::{Take, Wheel};

const FOLDER: &str = "photographs";

const WHEEL: Wheel = Wheel {
    name: "scikit-image",
    version: "0.25.2",
    sha256: "a17e17eb8562660cc0d31bb55643a4da996a81944b82c54805c91b3fe66f4824",
};

const FILES: [&str; 3] =
    ["skimage/data/chelsea.png", "skimage/data/coffee.png", "skimage/data/rocket.jpg"];

/// Makes sure that the files are there.
pub fn ensure() -> Result<()> {
    if repo::deps().join(FOLDER).is_dir() {
        return Ok(());
    }
    announce("photographs of scikit-image 0.25.2", "15 MB");
    staging::publish(FOLDER, |folder, scratch| {
        let takes = FILES.map(|pattern| Take { pattern, folder: "." });
        wheels::fetch(&[WHEEL], &takes, scratch, folder)
    })
}
