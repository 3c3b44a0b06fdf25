//! Sets of images in every layout, good ones and bad ones.

mod bad_images;
mod cifar;
mod files;
mod folder;
mod idx;
mod real;
mod shards;
mod streaming;

use std::{fs, path::Path};

use spacewright_data::{Catalog, DataError, Division, Part, Wanted, divide, open};

use files::png;

/// What a study uses the images for.
fn divided(catalog: &Catalog, held_out: usize, seed: u64) -> Division {
    divide(catalog, |_| true, &Wanted { held_out, seed, ..Wanted::default() })
}

/// A folder that is removed in the end.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file, and the folders that lead to it.
    fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    fn open(&self) -> Result<Catalog, DataError> {
        open(&[self.path().to_owned()], None)
    }

    /// What opening it is refused with, without the folder.
    fn refused(&self) -> String {
        let error = self.open().unwrap_err();
        let text = format!("{error}; {}", error.hint().unwrap_or_default());
        text.replace(self.path().to_str().unwrap(), "SET")
    }
}

/// Part, class and name of every image.
fn listed(catalog: &Catalog) -> Vec<(Part, String, String)> {
    let samples = catalog.samples.iter();
    let class = |class: u32| catalog.classes[class as usize].clone();
    samples.map(|sample| (sample.part, class(sample.class), catalog.name(sample))).collect()
}

/// The first channel of the first pixel of every image.
fn reds(catalog: &Catalog) -> Vec<u8> {
    let samples = catalog.samples.iter();
    samples.map(|sample| catalog.decode(sample).unwrap().data[0]).collect()
}

/// Name and reason of every image that is refused without decoding.
fn refused(catalog: &Catalog) -> Vec<String> {
    catalog.refused.iter().map(ToString::to_string).collect()
}

#[test]
fn a_folder_of_nothing_names_the_layouts() {
    let folder = Folder::new();
    assert!(folder.refused().starts_with("SET: no known layout of images; known are cifar: "));
    folder.write("notes", "");
    for (class, image) in [("cat", 0), ("cat", 1), ("dog", 2)] {
        folder.write(format!("{class}/{image}.TIF"), "");
    }
    folder.write("dog/3.heic", "");
    folder.write("dog/3.xmp", "");
    folder.write(".thumbs/0.jpg", "");
    let refused = folder.refused();
    let holds = "(files: 3 .tif, 1 .heic, 1 .xmp and others); known are cifar: ";
    assert!(refused.starts_with(&format!("SET: no known layout of images {holds}")), "{refused}");
    assert!(refused.ends_with("; images are JPEG, PNG, WebP or BMP"), "{refused}");
    for layout in ["idx: ", "webdataset: ", "image-folder: "] {
        assert!(refused.contains(layout), "{refused}");
    }
}

#[test]
fn what_is_not_there_is_told() {
    let error = open(&["nowhere".into()], None).unwrap_err();
    assert_eq!(error.to_string(), "nowhere: there is no such folder or file");
    let error = open(&["a-{00..02}.tar".into()], None).unwrap_err();
    assert_eq!(error.to_string(), "a-{00..02}.tar: 3 of 3 files are missing, a-00.tar first");
}

#[test]
fn a_folder_of_two_layouts_is_told() {
    let folder = Folder::new();
    folder.write("train/cat/1.png", png(1)).write("a.tar", "");
    assert_eq!(
        folder.refused(),
        "SET: looks like webdataset and like image-folder; say which it is: --layout"
    );
    let named = open(&[folder.path().to_owned()], Some("image-folder")).unwrap();
    assert_eq!((named.layout, named.samples.len()), ("image-folder", 1));
    let error = open(&[folder.path().to_owned()], Some("csv")).unwrap_err();
    assert!(error.to_string().ends_with("no layout `csv`"), "{error}");
}
