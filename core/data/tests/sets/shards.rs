use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use spacewright_data::{Part, open};

use super::{Folder, listed, png, reds, refused};

/// A tar file of these members.
fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *content).unwrap();
    }
    tar.into_inner().unwrap()
}

fn packed(content: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(content).unwrap();
    packed.finish().unwrap()
}

fn two(first: u8) -> Vec<u8> {
    tar(&[
        ("./a/000.png", &png(first)),
        ("./a/000.cls", b"1\n"),
        ("./a/000.txt", b"a caption"),
        ("./a/001.json", br#"{"label": 0, "width": 4}"#),
        ("./a/001.PNG", &png(first + 1)),
    ])
}

#[test]
fn shards_are_read_packed_and_plain() {
    let folder = Folder::new();
    folder
        .write("set-train-000000.tar", two(1))
        .write("set-train-000001.tar.gz", packed(&two(3)))
        .write("val/000000.tgz", packed(&two(5)))
        .write("set-classes.txt", "cat\ndog\n");
    let catalog = folder.open().unwrap();
    assert_eq!(
        (catalog.layout, &catalog.classes[..]),
        ("webdataset", &["cat", "dog"].map(str::to_owned)[..])
    );
    assert_eq!(reds(&catalog), [1, 2, 3, 4, 5, 6]);
    let listed = listed(&catalog);
    assert_eq!(listed[2], (Part::Train, "dog".into(), "set-train-000001.tar.gz: a/000.png".into()));
    assert_eq!(listed[5], (Part::Validation, "cat".into(), "val/000000.tgz: a/001.PNG".into()));
}

#[test]
fn of_several_images_the_first_is_used_and_that_is_told() {
    let folder = Folder::new();
    let members: [(&str, &[u8]); 5] = [
        ("0.jpg", &png(1)),
        ("0.png", &png(2)),
        ("0.json", br#"{"label": null, "cls": 1}"#),
        ("1.png", &png(3)),
        ("1.cls", b"0"),
    ];
    folder.write("train.tar", tar(&members));
    let catalog = folder.open().unwrap();
    assert_eq!(reds(&catalog), [1, 3]);
    assert_eq!(catalog.samples[0].class, 1);
    assert_eq!(catalog.notices, ["1 samples have several images, of which the first is used"]);
}

#[test]
fn patterns_name_shards() {
    let folder = Folder::new();
    for (name, red) in [("x-test-09.tar", 1), ("x-train-09.tar", 3), ("x-train-10.tar", 5)] {
        folder.write(name, two(red));
    }
    let at = |pattern: &str| folder.path().join(pattern);
    let catalog = open(&[at("x-train-{09..10}.tar"), at("x-test-09.tar")], None).unwrap();
    assert_eq!(reds(&catalog), [3, 4, 5, 6, 1, 2]);
    assert_eq!(catalog.classes, ["0", "1"]);
    let error = open(&[at("x-train-{09..12}.tar")], None).unwrap_err().to_string();
    assert!(error.ends_with("2 of 4 files are missing, x-train-11.tar first"), "{error}");
}

#[test]
fn long_names_are_whole() {
    let folder = Folder::new();
    let name = format!("{}/{}", "d".repeat(150), "n".repeat(90));
    let members: [(&str, &[u8]); 2] =
        [(&format!("{name}.png"), &png(9)), (&format!("{name}.cls"), b"0")];
    folder.write("a.tar", tar(&members)).write("b.tar.gz", packed(&tar(&members)));
    let catalog = folder.open().unwrap();
    assert_eq!(reds(&catalog), [9, 9]);
    assert_eq!(listed(&catalog)[1].2, format!("b.tar.gz: {name}.png"));
}

#[test]
fn samples_that_lack_something_are_told() {
    let folder = Folder::new();
    let members: [(&str, &[u8]); 12] = [
        ("good.png", &png(1)),
        ("good.cls", b"0001"),
        ("alone.png", &png(2)),
        ("no-image.cls", b"1"),
        ("word.png", &png(3)),
        ("word.cls", b"cat"),
        ("below.png", &png(4)),
        ("below.cls", b"-1"),
        ("above.png", &png(5)),
        ("above.cls", b"4000000000"),
        ("._hidden.png", b"x"),
        ("half.json", br#"{"label": 0.5}"#),
    ];
    folder.write("a.tar", tar(&members));
    let catalog = folder.open().unwrap();
    assert_eq!(reds(&catalog), [1]);
    assert_eq!(
        refused(&catalog),
        [
            "a.tar: alone.png: has no label: no .cls, no .json of that name beside it",
            "a.tar: no-image: has a label, but no image beside it",
            "a.tar: word.png: has a label that is no integer",
            "a.tar: below.png: has class -1, which is not from 0 to 99999",
            "a.tar: above.png: has class 4000000000, which is not from 0 to 99999",
            "a.tar: half: has a label, but no image beside it",
        ]
    );
    folder.write("classes.txt", "only\n");
    let catalog = folder.open().unwrap();
    assert_eq!(refused(&catalog)[0], "a.tar: good.png: has class 1, which is not from 0 to 0");
}

#[test]
fn labels_beside_much_text_are_read_but_not_without_bounds() {
    let folder = Folder::new();
    let json = |text: usize| format!(r#"{{"label": 1, "text": "{}"}}"#, "x".repeat(text));
    let (long, too_long) = (json(100_000), json(1 << 20));
    folder.write(
        "a.tar",
        tar(&[
            ("long.png", &png(1)),
            ("long.json", long.as_bytes()),
            ("longer.png", &png(2)),
            ("longer.json", too_long.as_bytes()),
        ]),
    );
    let catalog = folder.open().unwrap();
    assert_eq!(reds(&catalog), [1]);
    let reason = "has a label of 1048600 bytes, more than 1048576";
    assert_eq!(refused(&catalog), [format!("a.tar: longer.png: {reason}")]);
}

#[test]
fn names_of_classes_may_lie_beside_the_shards_of_a_part() {
    let folder = Folder::new();
    folder
        .write("test/0.tar", tar(&[("a.png", &png(1)), ("a.cls", b"1")]))
        .write("train/0.tar", tar(&[("a.png", &png(1)), ("a.cls", b"1")]))
        .write("train/classes.txt", "cat\ndog\n");
    assert_eq!(folder.open().unwrap().classes, ["cat", "dog"]);
    folder.write("classes.txt", "cow\nhen\n");
    assert_eq!(folder.open().unwrap().classes, ["cow", "hen"]);
}

#[test]
fn damaged_shards_are_told() {
    let folder = Folder::new();
    let (plain, gz) = (two(1), packed(&two(1)));
    let check = |name: &str, content: &[u8], expected: &str| {
        folder.write(name, content);
        let found = folder.refused();
        assert!(found.starts_with(&format!("SET/{name}: {expected}")), "{found}");
        std::fs::remove_file(folder.path().join(name)).unwrap();
    };
    check("a.tar", b"", "is no whole tar file: it has no end");
    check("a.tar", &plain[..700], "is no whole tar file: ");
    check("a.tar", &[b'x'; 2000], "is no whole tar file: ");
    check("a.tar.gz", &gz[..gz.len() / 2], "is no whole tar file: ");
    check("a.tar.gz", b"", "is no whole tar file: unexpected end of file");
    check("a.tar", &plain[..plain.len() - 1024], "is no whole tar file: it has no end");
    check("a.tar.gz", &plain, "is no whole tar file: ");
    check("a.tar", &tar(&[("train/cat/1.png", &png(1))]), "no image has a label");
}

/// A header that promises more than there is; the promise is not believed.
#[test]
fn promises_of_headers_are_not_believed() {
    let entry = |kind: tar::EntryType, name: &str, size: u64| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_path(name).unwrap();
        header.set_size(size);
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    let folder = Folder::new();
    let whole = two(1);
    let end = whole.len() - 1024;
    let huge = [&whole[..end], &entry(tar::EntryType::Regular, "b.png", 1 << 40)].concat();
    for (name, content) in [("a.tar", huge.clone()), ("a.tar.gz", packed(&huge))] {
        folder.write(name, content);
        assert!(folder.refused().contains("is no whole tar file"), "{}", folder.refused());
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    // 64 MB of attributes are held in memory by whoever believes them.
    let mut attributes = entry(tar::EntryType::XHeader, "x", 64 << 20);
    attributes.resize(attributes.len() + (64 << 20), b' ');
    for (name, content) in [("a.tar", attributes.clone()), ("a.tar.gz", packed(&attributes))] {
        folder.write(name, content);
        assert!(folder.refused().contains("headers of more than 1 MB"), "{}", folder.refused());
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    let long = "n".repeat(5000) + ".png";
    let named: [(&str, &[u8]); 1] = [(&long, b"x")];
    for (name, content) in [("a.tar", tar(&named)), ("a.tar.gz", packed(&tar(&named)))] {
        folder.write(name, content);
        assert!(
            folder.refused().contains("a name of more than 4096 bytes"),
            "{}",
            folder.refused()
        );
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    let sparse = [&entry(tar::EntryType::GNUSparse, "s.png", 0)[..], &[0; 1024]].concat();
    for (name, content) in [("a.tar", sparse.clone()), ("a.tar.gz", packed(&sparse))] {
        folder.write(name, content);
        assert!(folder.refused().contains("is no whole tar file"), "{}", folder.refused());
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
}

#[test]
fn labels_are_told_by_extensions_in_any_case() {
    let folder = Folder::new();
    let members: [(&str, &[u8]); 4] =
        [("0.PNG", &png(1)), ("0.CLS", b"1"), ("1.PNG", &png(2)), ("1.Json", br#"{"cls": 0}"#)];
    folder.write("a.tar", tar(&members));
    let catalog = folder.open().unwrap();
    assert_eq!(reds(&catalog), [1, 2]);
    assert_eq!(catalog.samples[0].class, 1);
}

#[test]
fn where_no_label_is_of_use_the_first_is_told() {
    let folder = Folder::new();
    let members: [(&str, &[u8]); 4] = [
        ("0.png", &png(1)),
        ("1.png", &png(2)),
        ("1.json", br#"{"label": "1"}"#),
        ("2.cls", b"-1"),
    ];
    folder.write("a.tar", tar(&members));
    assert_eq!(
        folder.refused(),
        "SET/a.tar: no label names a class: 1.png has a label that is no integer; a class is a number \
         from 0: what a .cls file holds as text, or a .json file by itself or as `label` or `cls`"
    );
}

#[test]
fn shards_have_one_layout() {
    let folder = Folder::new();
    folder.write("a.tar", two(1));
    let at = |layout| open(&[folder.path().join("a.tar")], Some(layout));
    assert_eq!(at("webdataset").unwrap().samples.len(), 2);
    let error = at("cifar").unwrap_err().to_string();
    assert!(error.ends_with("a.tar: shards have the layout `webdataset`, not `cifar`"), "{error}");
}

#[test]
fn no_shard_counts_twice() {
    let folder = Folder::new();
    folder.write("a.tar", two(1));
    let at = |name: &str| folder.path().join(name);
    let error = open(&[at("a.tar"), at("a.tar")], None).unwrap_err();
    assert!(error.to_string().ends_with("a.tar: is given twice"), "{error}");
    assert_eq!(error.hint(), Some("give each shard once"));
    folder.write("a.tar.gz", packed(&two(1)));
    assert_eq!(
        folder.refused(),
        "SET/a.tar.gz: `a.tar` beside it is for the same; leave one of them out"
    );
}

#[test]
fn braces_of_what_is_there_are_no_pattern() {
    let folder = Folder::new();
    for (name, red) in [("set{1}/a-0.tar", 1), ("set{1}/a-1.tar", 3), ("set{1}/b{2}.tar", 5)] {
        folder.write(name, two(red));
    }
    let opened = |name: &str| open(&[folder.path().join("set{1}").join(name)], None);
    assert_eq!(reds(&opened("a-{0..1}.tar").unwrap()), [1, 2, 3, 4]);
    assert_eq!(reds(&opened("b{2}.tar").unwrap()), [5, 6]);
    for (name, expected) in [
        ("c.tar", "set{1}/c.tar: there is no such folder or file"),
        ("a-{1..2}.tar", "set{1}/a-{1..2}.tar: 1 of 2 files are missing, a-2.tar first"),
        ("a-{1.tar", "set{1}/a-{1.tar: `{` without `}`"),
    ] {
        let error = opened(name).unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
    }
}

#[cfg(unix)]
mod unix {
    use std::{
        ffi::OsStr,
        fs,
        os::unix::{ffi::OsStrExt, fs::symlink, net::UnixListener},
    };

    use super::*;

    #[test]
    fn a_link_to_nothing_in_place_of_a_shard_is_told() {
        let folder = Folder::new();
        let link = |name: &str| symlink("gone.tar", folder.path().join(name)).unwrap();
        link("train-1.tar");
        let told = "SET/train-1.tar: is a link to nothing; mend the link, or remove it";
        assert_eq!(folder.refused(), told);
        folder.write("train-0.tar", two(1));
        assert_eq!(folder.refused(), told);
        fs::remove_file(folder.path().join("train-1.tar")).unwrap();
        link("val");
        assert_eq!(folder.refused(), "SET/val: is a link to nothing; mend the link, or remove it");
    }

    #[test]
    fn an_archive_that_is_gone_makes_no_shards_of_images() {
        let folder = Folder::new();
        folder.write("cat/1.png", png(1));
        symlink("gone.tar", folder.path().join("set.tar")).unwrap();
        let catalog = folder.open().unwrap();
        assert_eq!((catalog.layout, reds(&catalog)), ("image-folder", vec![1]));
        assert_eq!(refused(&catalog), ["set.tar: is a link to nothing"]);
    }

    #[test]
    fn names_of_shards_need_not_be_text() {
        let folder = Folder::new();
        let names = [&b"a\xff.tar"[..], b"b\xff.tar.gz"].map(OsStr::from_bytes);
        folder.write(names[0], two(1)).write(names[1], packed(&two(3)));
        let catalog = folder.open().unwrap();
        assert_eq!(reds(&catalog), [1, 2, 3, 4]);
        assert_eq!(catalog.files(), names.map(|name| folder.path().join(name)));
    }

    #[test]
    fn what_is_no_file_is_no_shard() {
        let folder = Folder::new();
        folder.write("train/0.tar", two(1)).write("train/old.tar/1.txt", "");
        let socket = folder.path().join("train/1.tar");
        let _listener = UnixListener::bind(&socket).unwrap();
        let catalog = folder.open().unwrap();
        assert_eq!(reds(&catalog), [1, 2]);
        let old = folder.path().join("train/old.tar");
        let told = [socket, old].map(|path| format!("{} is no file: left out", path.display()));
        assert_eq!(catalog.notices, told);
    }

    #[test]
    fn a_link_to_a_shard_counts_in_another_part_only() {
        let folder = Folder::new();
        folder.write("a.tar", two(1));
        symlink("a.tar", folder.path().join("a-val.tar")).unwrap();
        let catalog = folder.open().unwrap();
        assert_eq!([Part::Train, Part::Validation].map(|part| catalog.count(part)), [2, 2]);
        symlink("a.tar", folder.path().join("b.tar")).unwrap();
        let told = "SET/b.tar: is the same file as SET/a.tar; give each shard once";
        assert_eq!(folder.refused(), told);
    }
}

#[test]
fn the_folder_of_a_set_does_not_say_which_part_it_is() {
    let folder = Folder::new();
    folder.write("test/000.tar", two(1));
    let catalog = open(&[folder.path().join("test")], None).unwrap();
    assert_eq!(catalog.count(Part::Train), 2);
    assert_eq!(
        folder.refused(),
        "SET: no image to train on; images to train on lie in `train`, or in shards with that word in \
         their names"
    );
}
