//! Fashion-MNIST: Debian's package where there is one, else the data set's own site.

use super::{announce, staging};
use crate::{process, repo};
use anyhow::{Context, Result, bail};
use std::{fs, path::Path, process::Command};

/// The files, and the SHA-256 of what is in them. The packed bytes depend on who packed them.
const FILES: [(&str, &str); 4] = [
    (
        "train-images-idx3-ubyte.gz",
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    (
        "train-labels-idx1-ubyte.gz",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    (
        "t10k-images-idx3-ubyte.gz",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    (
        "t10k-labels-idx1-ubyte.gz",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
];

const PACKAGE: &str = "dataset-fashion-mnist";
const SITE: &str = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com";

const DOWNLOAD: &str = "\
import shutil, sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=60) as source, open(sys.argv[2], 'wb') as file:
    shutil.copyfileobj(source, file)
";

const SUM: &str = "\
import gzip, hashlib, sys
with gzip.open(sys.argv[1]) as file:
    print(hashlib.sha256(file.read()).hexdigest())
";

/// Makes sure that the four files are there.
pub fn ensure() -> Result<()> {
    let place = repo::deps().join("fashion-mnist");
    if FILES.iter().all(|(name, _)| place.join(name).is_file()) {
        return Ok(());
    }
    announce("Fashion-MNIST", "31 MB");
    staging::publish("fashion-mnist", |folder, scratch| {
        if let Err(error) = from_debian(folder, scratch) {
            eprintln!("no Debian package of Fashion-MNIST ({error:#}): trying its own site");
            from_site(folder)?;
        }
        FILES.iter().try_for_each(|(name, sum)| verify(&folder.join(name), sum))
    })
}

fn from_debian(folder: &Path, scratch: &Path) -> Result<()> {
    let download =
        || process::read(Command::new("apt-get").args(["download", PACKAGE]).current_dir(scratch));
    if let Err(error) = download() {
        // A fresh container has no package lists, and only root can fetch them.
        if !is_root() {
            return Err(error);
        }
        process::read(Command::new("apt-get").arg("update"))?;
        download()?;
    }
    let package = fs::read_dir(scratch)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|ending| ending == "deb"))
        .context("apt-get left no package")?;
    process::read(Command::new("dpkg-deb").arg("-x").arg(package).arg(scratch))?;
    for (name, _) in FILES {
        let packed = scratch.join("usr/share/datasets/fashion-mnist").join(name);
        fs::rename(&packed, folder.join(name))
            .with_context(|| format!("the package has no {name}"))?;
    }
    Ok(())
}

fn from_site(folder: &Path) -> Result<()> {
    for (name, _) in FILES {
        let url = format!("{SITE}/{name}");
        process::read(process::python(DOWNLOAD).arg(&url).arg(folder.join(name))).with_context(
            || {
                let place = repo::deps().join("fashion-mnist");
                format!(
                    "cannot fetch {url}\nhint: check the network connection, or put the four \
                     files into {}",
                    place.display()
                )
            },
        )?;
    }
    Ok(())
}

fn is_root() -> bool {
    process::read(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

/// Fails when what is in the packed `file` is not what it should be.
fn verify(file: &Path, sum: &str) -> Result<()> {
    let found = process::read(process::python(SUM).arg(file))
        .with_context(|| format!("cannot unpack {}", file.display()))?;
    let found = found.trim();
    if found != sum {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        bail!(
            "{name} is not the file it should be: its content has SHA-256 {found} instead of {sum}\n\
             hint: try again, and report it if it stays so; do not train on such data"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_sum_is_an_error_that_names_the_file() {
        let file = std::env::temp_dir().join(format!("xtask-sum-{}.gz", std::process::id()));
        let pack = "import gzip, sys\ngzip.open(sys.argv[1], 'wb').write(b'abc')";
        process::read(process::python(pack).arg(&file)).unwrap();
        let right = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let good = verify(&file, right);
        let bad = verify(&file, FILES[0].1);
        fs::remove_file(&file).unwrap();
        good.unwrap();
        let text = bad.unwrap_err().to_string();
        assert!(text.contains("xtask-sum-") && text.contains(right), "{text}");
    }
}
