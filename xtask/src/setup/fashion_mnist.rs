//! Fashion-MNIST: Debian's package where there is one, else the data set's own site.

use super::{announce, staging};
use crate::{message::reason, process, repo};
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

const SUMS: &str = "\
import gzip, hashlib, sys
for path in sys.argv[1:]:
    with gzip.open(path) as file:
        print(hashlib.sha256(file.read()).hexdigest())
";

/// Makes sure that the four files are there.
pub fn ensure() -> Result<()> {
    let place = repo::deps().join("fashion-mnist");
    if FILES.iter().all(|(name, _)| place.join(name).is_file()) {
        // Checked every time: where both sources fail, users put the files there themselves.
        return verify(&place, &FILES);
    }
    announce("Fashion-MNIST", "31 MB");
    staging::publish("fashion-mnist", |folder, scratch| {
        if let Err(error) = from_debian(folder, scratch) {
            eprintln!("not from Debian's package ({}): trying its own site", reason(&error));
            from_site(folder)?;
        }
        verify(folder, &FILES)
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

/// Fails when what is in one of the packed `files` of `folder` does not have the sum beside it.
fn verify(folder: &Path, files: &[(&str, &str)]) -> Result<()> {
    let paths = files.iter().map(|(name, _)| folder.join(name));
    let found = process::read(process::python(SUMS).args(paths))
        .with_context(|| format!("cannot unpack the data in {}", folder.display()))?;
    for ((name, sum), found) in files.iter().zip(found.lines()) {
        if found != *sum {
            bail!(
                "{name} is not the file it should be: its content has SHA-256 {found} instead of \
                 {sum}\n\
                 hint: remove {} and try again; do not train on such data",
                repo::deps().join("fashion-mnist").display()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_sum_is_an_error_that_names_the_file() {
        let folder = std::env::temp_dir();
        let name = format!("xtask-sum-{}.gz", std::process::id());
        let pack = "import gzip, sys\ngzip.open(sys.argv[1], 'wb').write(b'abc')";
        process::read(process::python(pack).arg(folder.join(&name))).unwrap();
        let right = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let good = verify(&folder, &[(&name, right)]);
        let bad = verify(&folder, &[(&name, right), (&name, FILES[0].1)]);
        fs::remove_file(folder.join(&name)).unwrap();
        good.unwrap();
        let text = bad.unwrap_err().to_string();
        assert!(text.starts_with(&name) && text.contains(right), "{text}");
    }
}
