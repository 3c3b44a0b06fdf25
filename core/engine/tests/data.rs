//! Data sets: files, caps and what identifies them.

use std::{fs, io::Write, path::Path};

use flate2::{Compression, write::GzEncoder};
use spacewright_engine::{DataKind, DataSettings};

fn idx(sizes: &[u32], content: &[u8]) -> Vec<u8> {
    let mut bytes = (0x800 + sizes.len() as u32).to_be_bytes().to_vec();
    sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
    bytes.extend(content);
    bytes
}

fn write_set(folder: &Path, gzip: bool) {
    let write = |name: &str, bytes: &[u8]| {
        if gzip {
            let file = fs::File::create(folder.join(format!("{name}.gz"))).unwrap();
            let mut encoder = GzEncoder::new(file, Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap();
        } else {
            fs::write(folder.join(name), bytes).unwrap();
        }
    };
    write("train-images-idx3-ubyte", &idx(&[4, 2, 2], &[7; 16]));
    write("train-labels-idx1-ubyte", &idx(&[4], &[0, 1, 2, 3]));
    write("t10k-images-idx3-ubyte", &idx(&[2, 2, 2], &[9; 8]));
    write("t10k-labels-idx1-ubyte", &idx(&[2], &[4, 5]));
}

fn settings() -> DataSettings {
    DataSettings { set: DataKind::Idx, folder: "set".into(), held_out: 1, ..Default::default() }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("set")).unwrap();
    folder
}

#[test]
fn idx_files_are_read_plain_and_gzipped() {
    for gzip in [false, true] {
        let folder = folder();
        write_set(&folder.path().join("set"), gzip);
        let loaded = settings().load(folder.path(), 0).unwrap();
        assert_eq!(loaded.data.train.labels, [0, 1, 2, 3]);
        assert_eq!(loaded.data.test.pixels, [9; 8]);
        assert_eq!(loaded.held_out.len(), 1);
        let capped = DataSettings { train_images: 2, ..settings() };
        assert_eq!(capped.load(folder.path(), 0).unwrap().data.train.labels, [0, 1]);
    }
}

#[test]
fn colours_are_planes_however_they_are_stored() {
    for (sizes, content) in [([2, 1, 2, 3], [1, 2, 3, 4, 5, 6]), ([2, 3, 1, 2], [1, 4, 2, 5, 3, 6])]
    {
        let folder = folder();
        let set = folder.path().join("set");
        for part in ["train", "t10k"] {
            let images = idx(&sizes, &[content, content].concat());
            fs::write(set.join(format!("{part}-images-idx4-ubyte")), images).unwrap();
            fs::write(set.join(format!("{part}-labels-idx1-ubyte")), idx(&[2], &[0, 1])).unwrap();
        }
        let train = &settings().load(folder.path(), 0).unwrap().data.train;
        assert_eq!((train.channels, train.height, train.width), (3, 1, 2));
        assert_eq!(train.pixels[..6], [1, 4, 2, 5, 3, 6]);
        let inputs = train.inputs(&[0], 2, 2).into_iter().filter(|value| *value > 0.0);
        let bytes: Vec<u8> = inputs.map(|value| (value * 255.0).round() as u8).collect();
        assert_eq!(bytes, [1, 4, 2, 5, 3, 6]);
    }
}

#[test]
fn the_fingerprint_follows_the_content() {
    let folder = folder();
    let set = folder.path().join("set");
    write_set(&set, false);
    let before = settings().fingerprint(folder.path()).unwrap();
    assert_eq!(settings().fingerprint(folder.path()).unwrap(), before);
    fs::write(set.join("t10k-labels-idx1-ubyte"), idx(&[2], &[4, 6])).unwrap();
    assert_ne!(settings().fingerprint(folder.path()).unwrap(), before);
}

#[test]
fn a_missing_file_is_named() {
    let folder = folder();
    let error = settings().load(folder.path(), 0).unwrap_err();
    assert!(error.to_string().ends_with("set: no images"), "{error}");
    assert!(error.hint.unwrap().contains("t10k-labels-idx1-ubyte"));
    let error = settings().fingerprint(folder.path()).unwrap_err();
    assert!(error.to_string().ends_with("set: not all files are there"), "{error}");
    let hint = error.hint.unwrap();
    assert!(hint.contains("t10k-labels-idx1-ubyte"), "{hint}");
}

#[test]
fn a_damaged_file_is_named() {
    let folder = folder();
    let set = folder.path().join("set");
    write_set(&set, false);
    fs::write(set.join("train-labels-idx1-ubyte"), idx(&[4], &[0])).unwrap();
    let error = settings().load(folder.path(), 0).unwrap_err();
    let expected =
        "set/train-labels-idx1-ubyte: has 9 bytes, where its header promises 12: sizes [4]";
    assert!(error.to_string().ends_with(expected), "{error}");
}

#[test]
fn held_out_images_depend_on_the_seed_alone() {
    let settings = DataSettings {
        set: DataKind::Synthetic,
        held_out: 20,
        train_images: 100,
        test_images: 10,
        ..Default::default()
    };
    let held_out = |seed| settings.load(Path::new("."), seed).unwrap().held_out;
    assert_eq!(held_out(1), held_out(1));
    assert_ne!(held_out(1), held_out(2));
    let error = DataSettings { held_out: 100, ..settings }.load(Path::new("."), 0).unwrap_err();
    assert_eq!(error.to_string(), "`held_out` = 100 of [data] leaves none of 100 images");
}

/// Writes a file of the set, packed.
fn pack(folder: &Path, name: &str, bytes: &[u8]) {
    let file = fs::File::create(folder.join(format!("set/{name}.gz"))).unwrap();
    let mut encoder = GzEncoder::new(file, Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap();
}

#[test]
fn images_that_teach_nothing_are_refused() {
    let images = "train-images-idx3-ubyte";
    let cases: [(&str, Vec<u8>, &str); 6] = [
        (images, idx(&[4, 0, 2], &[]), "has no pixels: its sizes are [4, 0, 2]"),
        (images, idx(&[0, 2, 2], &[]), "has no pixels: its sizes are [0, 2, 2]"),
        (
            "t10k-images-idx3-ubyte",
            idx(&[2, 1, 4], &[9; 8]),
            "training images are 1x2x2, test images 1x1x4: channels, height, width",
        ),
        ("train-labels-idx1-ubyte", idx(&[4], &[3; 4]), "all training images are of class 3"),
        (
            images,
            idx(&[4, 33, 2], &[1; 264]),
            "the training images have 33x2 pixels, more than the canvas of 32x32",
        ),
        (images, idx(&[4, u32::MAX, u32::MAX], &[1; 64]), "more than any file holds"),
    ];
    for (name, bytes, expected) in cases {
        let folder = folder();
        write_set(&folder.path().join("set"), false);
        fs::write(folder.path().join("set").join(name), bytes).unwrap();
        let error = settings().load(folder.path(), 0).unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
    }
    let folder = folder();
    write_set(&folder.path().join("set"), false);
    fs::write(folder.path().join("set/t10k-images-idx3-ubyte"), idx(&[0, 2, 2], &[])).unwrap();
    fs::write(folder.path().join("set/t10k-labels-idx1-ubyte"), idx(&[0], &[])).unwrap();
    let error = settings().load(folder.path(), 0).unwrap_err().to_string();
    assert!(error.contains("no pixels"), "{error}");
}

#[test]
fn no_more_is_unpacked_than_the_header_promises() {
    let folder = folder();
    write_set(&folder.path().join("set"), true);
    let mut bomb = idx(&[4, 2, 2], &[7; 16]);
    bomb.resize(200 << 20, 0);
    pack(folder.path(), "train-images-idx3-ubyte", &bomb);
    let error = settings().load(folder.path(), 0).unwrap_err().to_string();
    assert!(
        error.ends_with("has more bytes, where its header promises 32: sizes [4, 2, 2]"),
        "{error}"
    );
    pack(folder.path(), "train-images-idx3-ubyte", &idx(&[60_000, 600, 600], &[0; 99]));
    let error = settings().load(folder.path(), 0).unwrap_err().to_string();
    let expected = "has 115 bytes, where its header promises 21600000016: sizes [60000, 600, 600]";
    assert!(error.ends_with(expected), "{error}");
}
