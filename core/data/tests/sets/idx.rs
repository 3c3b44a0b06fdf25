use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use spacewright_data::Part;

use super::{Folder, reds, refused};

fn idx(kind: u8, sizes: &[u32], content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, kind, sizes.len() as u8];
    sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
    bytes.extend(content);
    bytes
}

fn packed(content: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(content).unwrap();
    packed.finish().unwrap()
}

fn set() -> Folder {
    let folder = Folder::new();
    folder
        .write("train-images-idx3-ubyte", idx(8, &[3, 2, 2], &[1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]))
        .write("train-labels.idx1-ubyte", idx(8, &[3], &[0, 2, 1]))
        .write("t10k-images.idx3-ubyte.gz", packed(&idx(8, &[1, 2, 2], &[4, 0, 0, 0])))
        .write("t10k-labels-idx1-ubyte.gz", packed(&idx(8, &[1], &[2])));
    folder
}

#[test]
fn all_spellings_are_read() {
    let catalog = set().open().unwrap();
    assert_eq!((catalog.layout, catalog.classes.len()), ("idx", 3));
    assert_eq!((catalog.count(Part::Train), catalog.count(Part::Test)), (3, 1));
    assert_eq!(reds(&catalog), [1, 2, 3, 4]);
    let pixels = catalog.decode(&catalog.samples[3]).unwrap();
    assert_eq!((pixels.height, pixels.width, pixels.channels), (2, 2, 1));
}

#[test]
fn colours_stand_before_or_after_rows_and_columns() {
    for (sizes, content) in [([1, 1, 2, 3], [1, 2, 3, 4, 5, 6]), ([1, 3, 1, 2], [1, 4, 2, 5, 3, 6])]
    {
        let folder = Folder::new();
        folder
            .write("train-images-idx4-ubyte", idx(8, &sizes, &content))
            .write("train-labels-idx1-ubyte", idx(8, &[1], &[0]));
        let catalog = folder.open().unwrap();
        let pixels = catalog.decode(&catalog.samples[0]).unwrap();
        assert_eq!((pixels.height, pixels.width, pixels.channels), (1, 2, 3));
        assert_eq!(pixels.data, [1, 2, 3, 4, 5, 6]);
    }
}

#[test]
fn labels_may_have_four_bytes_and_names() {
    let folder = set();
    folder
        .write("train-labels.idx1-ubyte", idx(0x0c, &[3], &[0, 0, 0, 1, 0, 0, 1, 44, 0, 0, 0, 7]));
    let catalog = folder.open().unwrap();
    assert_eq!((catalog.classes.len(), catalog.samples[1].class), (301, 300));
    folder.write("classes.txt", "a\nb\nc\n");
    let catalog = folder.open().unwrap();
    assert_eq!(catalog.classes, ["a", "b", "c"]);
    assert_eq!(
        refused(&catalog),
        [
            "train-images-idx3-ubyte: image 1: has class 300, which is not from 0 to 2",
            "train-images-idx3-ubyte: image 2: has class 7, which is not from 0 to 2"
        ]
    );
}

#[test]
fn damaged_files_are_told() {
    let check = |name: &str, content: Vec<u8>, expected: &str| {
        let folder = set();
        folder.write(name, content);
        let found = folder.refused();
        assert_eq!(found.split("; ").next().unwrap(), format!("SET/{name}: {expected}"));
    };
    let images = "train-images-idx3-ubyte";
    check(images, vec![0, 0], "is shorter than an IDX header");
    check(images, vec![0, 0, 8, 3, 0, 0], "is shorter than an IDX header");
    check(images, vec![1, 0, 8, 3], "is no IDX file: it starts with [01, 00, 08, 03]");
    check(images, idx(0x0d, &[1], &[0; 4]), "has values of type 0x0d, which are no integers");
    check(images, idx(8, &[1; 5], &[0]), "has 5 dimensions, not one to four");
    check(
        images,
        idx(8, &[3, 2, 2], &[0; 11]),
        "has 27 bytes, where its header promises 28: sizes [3, 2, 2]",
    );
    check(images, idx(8, &[3, 2, 0], &[]), "has no pixels: its sizes are [3, 2, 0]");
    check(images, idx(8, &[0, 2, 2], &[]), "has no pixels: its sizes are [0, 2, 2]");

    check(images, idx(0x0c, &[1, 1, 1], &[0; 4]), "has pixels of 4 bytes, not one");
    check(images, idx(8, &[1, 2, 2, 2], &[0; 8]), "has sizes [1, 2, 2, 2], which are no images");
    let sizes = [u32::MAX; 3];
    check(
        images,
        idx(8, &sizes, &[]),
        "promises [4294967295, 4294967295, 4294967295] values, more than any file holds",
    );
    check(
        images,
        idx(8, &[1, 65_535, 65_535], &[0; 3]),
        "has images of 65535x65535 pixels, more than 64 million",
    );
    let labels = "train-labels.idx1-ubyte";
    check(labels, idx(8, &[1, 3], &[0; 3]), "has sizes [1, 3], which are no labels");
    check(labels, idx(8, &[2], &[0; 2]), "has 2 labels for 3 images");
    check(labels, idx(8, &[u32::MAX], &[0; 2]), "has 4294967295 labels for 3 images");
    let packed_images = "t10k-images.idx3-ubyte.gz";
    let promised = "where its header promises 20: sizes [1, 2, 2]";
    check(
        packed_images,
        packed(&idx(8, &[1, 2, 2], &[0; 3])),
        &format!("has 19 bytes, {promised}"),
    );
    check(
        packed_images,
        packed(&idx(8, &[1, 2, 2], &[0; 99])),
        &format!("has more bytes, {promised}"),
    );
}

#[test]
fn names_may_have_a_word_before_them() {
    let folder = Folder::new();
    folder
        .write("emnist-letters-train-images-idx3-ubyte", idx(8, &[1, 1, 1], &[5]))
        .write("emnist-letters-train-labels-idx1-ubyte", idx(8, &[1], &[1]))
        .write("emnist-letters-val-images-idx3-ubyte", idx(8, &[1, 1, 1], &[6]))
        .write("emnist-letters-val-labels-idx1-ubyte", idx(8, &[1], &[1]));
    let catalog = folder.open().unwrap();
    assert_eq!(catalog.count(Part::Validation), 1);
    assert_eq!(reds(&catalog), [5, 6]);
    folder.write("emnist-digits-train-images-idx3-ubyte", idx(8, &[1, 1, 1], &[5]));
    assert_eq!(
        folder.refused(),
        "SET: `emnist-digits-train-images-idx3-ubyte` and `emnist-letters-train-images-idx3-ubyte` are \
         for the same; leave one of them in the folder"
    );
}

#[test]
fn labels_that_name_no_class_are_told() {
    let folder = Folder::new();
    folder
        .write("train-images-idx3-ubyte", idx(8, &[1, 1, 1], &[5]))
        .write("train-labels-idx1-ubyte", idx(0x0c, &[1], &[255; 4]));
    assert_eq!(folder.refused(), "SET: no label names a class; classes count from 0");
    folder.write("train-labels-idx1-ubyte", idx(8, &[1], &[0])).write("classes.txt", "\n");
    assert_eq!(
        folder.refused(),
        "SET/classes.txt: names no class; write a line for each class, or remove it"
    );
    folder.write("classes.txt", "\u{feff}crane\ncrane\n");
    assert_eq!(folder.open().unwrap().classes, ["crane", "crane (1)"]);
    folder.write("classes.txt", "crane\ncrane\ncrane (1)\n");
    assert_eq!(folder.open().unwrap().classes, ["crane", "crane (1)", "crane (1) (2)"]);
}

#[test]
fn images_without_labels_are_told() {
    let folder = Folder::new();
    folder.write("train-images-idx3-ubyte", idx(8, &[1, 1, 1], &[0]));
    assert_eq!(
        folder.refused(),
        "SET/train-images-idx3-ubyte: has no labels; put train-labels-idx1-ubyte beside it"
    );
}
