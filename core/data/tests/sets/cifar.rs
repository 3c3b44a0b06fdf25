use spacewright_data::Part;

use super::{Folder, listed, refused};

/// A record whose red plane starts with a number.
fn record(labels: &[u8], red: u8) -> Vec<u8> {
    let mut record = labels.to_vec();
    record.resize(labels.len() + 3072, 9);
    record[labels.len()] = red;
    record[labels.len() + 1024] = 77;
    record
}

fn cifar_10() -> Folder {
    let folder = Folder::new();
    for batch in 1..=5u8 {
        let content = [record(&[batch], batch), record(&[0], 10 + batch)].concat();
        folder.write(format!("data_batch_{batch}.bin"), content);
    }
    folder.write("test_batch.bin", record(&[9], 99));
    folder.write(
        "batches.meta.txt",
        "plane\ncar\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n",
    );
    folder
}

#[test]
fn records_are_planes() {
    let catalog = cifar_10().open().unwrap();
    assert_eq!((catalog.layout, catalog.classes.len()), ("cifar", 10));
    assert_eq!((catalog.count(Part::Train), catalog.count(Part::Test)), (10, 1));
    let listed = listed(&catalog);
    assert_eq!(listed[3], (Part::Train, "plane".into(), "data_batch_2.bin: image 1".into()));
    let pixels = catalog.decode(&catalog.samples[3]).unwrap();
    assert_eq!((pixels.width, pixels.height, pixels.channels), (32, 32, 3));
    assert_eq!(pixels.data[..6], [12, 77, 9, 9, 9, 9]);
    assert_eq!(listed[10].1, "truck");
}

#[test]
fn the_folder_of_the_archive_is_found() {
    let inner = cifar_10();
    let folder = Folder::new();
    std::fs::rename(inner.path(), folder.path().join("cifar-10-batches-bin")).unwrap();
    // What it came in may lie beside it.
    folder.write("cifar-10-binary.tar.gz", "");
    assert_eq!(folder.open().unwrap().classes.len(), 10);
}

#[test]
fn cifar_100_has_fine_labels() {
    let folder = Folder::new();
    folder.write("train.bin", record(&[3, 98], 1)).write("test.bin", record(&[1, 0], 2));
    let catalog = folder.open().unwrap();
    assert_eq!(catalog.classes.len(), 100);
    assert_eq!(catalog.samples.iter().map(|sample| sample.class).collect::<Vec<_>>(), [98, 0]);
}

#[test]
fn damaged_files_are_told() {
    let folder = cifar_10();
    folder.write("test_batch.bin", [record(&[10], 1), record(&[1], 2)].concat());
    let catalog = folder.open().unwrap();
    assert_eq!(
        refused(&catalog),
        ["test_batch.bin: image 0: has class 10, which is not from 0 to 9"]
    );
    folder.write("data_batch_3.bin", &record(&[1], 2)[..3000]);
    assert_eq!(
        folder.refused(),
        "SET/data_batch_3.bin: ends within record 0 of 3073 bytes; unpack the set's archive anew"
    );
    folder.write("data_batch_3.bin", "");
    assert_eq!(
        folder.refused(),
        "SET/data_batch_3.bin: has no record; unpack the set's archive anew"
    );
}
