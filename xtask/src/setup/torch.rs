//! libtorch out of PyTorch's wheel: the CPU library with its headers, a tenth of a full install.

use super::{LINUX_X86_64, announce, staging, wheels};
use crate::{process, repo};
use anyhow::{Context, Result, bail};
use std::{env, fs, path::Path, path::PathBuf};
use wheels::{Take, Wheel};

/// The version that the `tch` crate in Cargo.toml is made for.
pub(super) const VERSION: &str = "2.11.0";

/// PyTorch, and the two of NVIDIA's that `libtorch_cpu.so` is linked to even where there is no GPU.
pub(super) const WHEELS: [Wheel; 3] = [
    Wheel {
        name: "torch",
        version: VERSION,
        sha256: "0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756",
    },
    Wheel {
        name: "nvidia-cuda-runtime",
        version: "13.0.96",
        sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
    },
    Wheel {
        name: "nvidia-cuda-cupti",
        version: "13.0.85",
        sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
    },
];

const TAKES: [Take; 6] = [
    Take { pattern: "torch/include/*", folder: "include" },
    Take { pattern: "torch/lib/libc10.so*", folder: "lib" },
    Take { pattern: "torch/lib/libtorch_cpu.so*", folder: "lib" },
    Take { pattern: "torch/lib/libgomp*.so*", folder: "lib" },
    Take { pattern: "nvidia/cu13/lib/libcudart.so*", folder: "lib" },
    Take { pattern: "nvidia/cu13/lib/libcupti.so*", folder: "lib" },
];

/// Makes sure that the build finds a libtorch.
pub fn ensure() -> Result<()> {
    let place = repo::deps().join("torch");
    if let Some(own) = users_choice(&place) {
        return check_users_choice(&own);
    }
    // The version file is written last; a folder without it, or with another, is made anew.
    if fs::read_to_string(place.join("build-version")).is_ok_and(|text| text.trim() == VERSION) {
        return Ok(());
    }
    if !LINUX_X86_64 {
        bail!(
            "libtorch can be fetched for Linux on x86-64 only, and this is {} on {}\n\
             hint: install PyTorch {VERSION} or libtorch {VERSION} and set LIBTORCH to the folder \
             that holds its include/ and lib/",
            env::consts::OS,
            env::consts::ARCH
        );
    }
    announce(&format!("libtorch {VERSION}"), "544 MB, 500 MB unpacked");
    staging::publish("torch", |folder, scratch| {
        wheels::fetch(&WHEELS, &TAKES, scratch, folder)?;
        let lib = folder.join("lib");
        // A linker script: what links to `torch` gets the CPU library, without the wheel's GPU
        // half.
        write(&lib.join("libtorch.so"), "INPUT(-ltorch_cpu)\n")?;
        check_loads(&lib.join("libtorch_cpu.so"))?;
        write(&folder.join("build-version"), &format!("{VERSION}\n"))
    })
}

/// The folder in `LIBTORCH`, unless it is the one that `.cargo/config.toml` sets.
fn users_choice(place: &Path) -> Option<PathBuf> {
    let own = PathBuf::from(env::var_os("LIBTORCH")?);
    let same = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    (same(&own) != same(place)).then_some(own)
}

fn check_users_choice(folder: &Path) -> Result<()> {
    if !folder.join("include/torch").is_dir() {
        bail!(
            "LIBTORCH is set to {}, which has no include/torch\n\
             hint: unset LIBTORCH to let the set-up fetch libtorch {VERSION}",
            folder.display()
        );
    }
    eprintln!("using the libtorch that LIBTORCH names: {}", folder.display());
    Ok(())
}

/// Loads the library, which fails when one that it is linked to is missing.
pub(super) fn check_loads(library: &Path) -> Result<()> {
    process::read(process::python("import ctypes, sys\nctypes.CDLL(sys.argv[1])").arg(library))
        .map(drop)
        .with_context(|| {
            format!(
                "libtorch {VERSION} does not load on this machine\n\
                 hint: install the library that the last line names; libtorch needs glibc 2.28 or \
                 newer"
            )
        })
}

pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
