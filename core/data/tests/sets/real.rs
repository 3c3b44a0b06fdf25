//! The sets that `SPACEWRIGHT_IMAGES` names the folder of.

use std::{env, path::PathBuf, process::Command};

use spacewright_data::{Part, Wanted, check, open};

fn images() -> PathBuf {
    PathBuf::from(env::var_os("SPACEWRIGHT_IMAGES").unwrap())
}

#[test]
#[cfg_attr(not(spacewright_images), ignore = "SPACEWRIGHT_IMAGES names no folder of image sets")]
fn cifar_10_as_packed_shards() {
    let catalog = open(
        &[
            images().join("cifar10-train-{000000..000009}.tar.gz"),
            images().join("cifar10-test-{000000..000001}.tar.gz"),
        ],
        None,
    )
    .unwrap();
    assert_eq!((catalog.classes.len(), &catalog.classes[3][..]), (10, "cat"));
    assert_eq!((catalog.count(Part::Train), catalog.count(Part::Test)), (50_000, 10_000));
    let checked =
        check(&catalog, &Wanted { held_out: 5000, ..Wanted::default() }, |_, _| true).unwrap();
    assert_eq!((&checked.bad[..], checked.study.held_out), (&[][..], 5000));
    let train = &checked.parts["train"];
    assert!(train.classes.values().all(|count| *count == 5000), "{:?}", train.classes);
    assert_eq!((train.width.smallest, train.height.largest), (32, 32));
}

#[test]
#[cfg_attr(not(spacewright_images), ignore = "SPACEWRIGHT_IMAGES names no folder of image sets")]
fn clothing_photographs_as_folders() {
    let folder = tempfile::tempdir().unwrap();
    let archive = images().join("clothing-160.tar.gz");
    let unpacked =
        Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(folder.path()).status();
    assert!(unpacked.unwrap().success());
    let catalog = open(&[folder.path().join("clothing")], None).unwrap();
    let checked =
        check(&catalog, &Wanted { held_out: 300, ..Wanted::default() }, |_, _| true).unwrap();
    let count = |part: &str| checked.parts[part].images;
    assert_eq!([count("train"), count("validation"), count("test")], [3068, 341, 372]);
    assert_eq!((checked.parts["train"].classes.len(), checked.bad.len()), (10, 0));
}
