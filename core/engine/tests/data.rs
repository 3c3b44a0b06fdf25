//! Data sets: files, caps and what identifies them.

use std::{fs, io::Write, path::Path};

use flate2::{Compression, write::GzEncoder};
use spacewright_core::data::{Normalize, Pad, Resize, StudyImages, Transform};
use spacewright_engine::{DataKind, DataSettings, EngineError, OnBadImage, StudyData};

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
    write("train-labels-idx1-ubyte", &idx(&[4], &[0, 1, 0, 1]));
    write("t10k-images-idx3-ubyte", &idx(&[2, 2, 2], &[9; 8]));
    write("t10k-labels-idx1-ubyte", &idx(&[2], &[0, 1]));
}

fn transforms() -> Vec<Transform> {
    vec![Transform::Pad(Pad { to: 2 })]
}

fn settings() -> DataSettings {
    DataSettings {
        path: "set".into(),
        transforms: transforms(),
        augment: transforms(),
        held_out: 1,
        ..Default::default()
    }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("set")).unwrap();
    folder
}

fn data(settings: DataSettings, folder: &Path) -> StudyData {
    StudyData::new(settings, folder.to_owned(), &folder.join("home"), 0)
}

fn images(settings: DataSettings, folder: &Path) -> Result<StudyImages, EngineError> {
    data(settings, folder).images(&[2], &[], |_, _| true)
}

fn error(settings: DataSettings, folder: &Path) -> String {
    images(settings, folder).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn images_have_to_suit_what_sections_do_with_them() {
    let folder = folder();
    write_set(&folder.path().join("set"), false);
    let data = || data(settings(), folder.path());
    let of = |to| [("train", vec![Transform::Pad(Pad { to })])];
    assert!(data().images(&[2], &of(2), |_, _| true).is_ok());
    let error = data().images(&[2], &of(3), |_, _| true).map(|_| ()).unwrap_err();
    let said = error.to_string();
    assert!(said.ends_with("(`augment` of [train])"), "{said}");
    // What suits them at one side does not have to at another.
    let resize = vec![Transform::Resize(Resize { crop_share: 1.0, ..Resize::default() })];
    let settings = DataSettings { transforms: resize.clone(), augment: resize, ..settings() };
    let home = folder.path().join("home");
    let data = || StudyData::new(settings.clone(), folder.path().into(), &home, 0);
    assert!(data().images(&[2], &of(2), |_, _| true).is_ok());
    let error = data().images(&[2, 3], &of(2), |_, _| true).map(|_| ()).unwrap_err().to_string();
    assert!(
        error.contains("has 2x2 pixels after all transforms, the network takes 3x3"),
        "{error}"
    );
}

#[test]
fn idx_files_are_read_plain_and_gzipped() {
    for gzip in [false, true] {
        let folder = folder();
        write_set(&folder.path().join("set"), gzip);
        let set = images(settings(), folder.path()).unwrap();
        let mut used: Vec<usize> = [&set.train[..], &set.held_out].concat();
        used.sort_unstable();
        assert_eq!(set.labels(&used), [0, 1, 0, 1]);
        assert_eq!((set.train.len(), set.held_out.len()), (3, 1));
        assert_eq!(set.judged(&set.test, 2).unwrap(), [9.0 / 255.0; 8]);
        let capped = DataSettings { train_images: 3, ..settings() };
        let capped = images(capped, folder.path()).unwrap();
        assert_eq!(capped.train.len() + capped.held_out.len(), 3);
    }
}

#[test]
fn colours_are_planes_however_they_are_stored() {
    for (sizes, content) in [([2, 1, 2, 3], [1, 2, 3, 4, 5, 6]), ([2, 3, 1, 2], [1, 4, 2, 5, 3, 6])]
    {
        let folder = folder();
        let set = folder.path().join("set");
        for part in ["train", "t10k"] {
            let images = idx(&[&[4], &sizes[1..]].concat(), &[content; 4].concat());
            fs::write(set.join(format!("{part}-images-idx4-ubyte")), images).unwrap();
            let labels = idx(&[4], &[0, 1, 0, 1]);
            fs::write(set.join(format!("{part}-labels-idx1-ubyte")), labels).unwrap();
        }
        let described = data(settings(), folder.path()).described().unwrap();
        assert_eq!((described.channels, described.classes.len()), (3, 2));
        let set = images(settings(), folder.path()).unwrap();
        let inputs = set.judged(&set.test[..1], 2).unwrap();
        let bytes: Vec<u8> =
            inputs.into_iter().map(|value| (value * 255.0).round() as u8).collect();
        let filled: Vec<u8> = bytes.into_iter().filter(|byte| *byte > 0).collect();
        assert_eq!(filled, [1, 4, 2, 5, 3, 6]);
    }
}

#[test]
fn the_fingerprint_follows_the_content() {
    let folder = folder();
    let set = folder.path().join("set");
    write_set(&set, false);
    let fingerprint = || data(settings(), folder.path()).fingerprint().unwrap();
    let before = fingerprint();
    // As the first version knew it: what was made of such images is still current.
    let content = "7f94116660e09c1e292a6acc740ff424636bc2989d4e4cb91f0ad938ee074685";
    assert!(before.starts_with(content), "{before}");
    assert_eq!(fingerprint(), before);
    fs::rename(&set, folder.path().join("moved")).unwrap();
    fs::create_dir(&set).unwrap();
    write_set(&set, false);
    assert_eq!(fingerprint(), before);
    fs::write(set.join("t10k-labels-idx1-ubyte"), idx(&[2], &[1, 0])).unwrap();
    let relabelled = fingerprint();
    assert_ne!(relabelled, before);
    fs::write(set.join("t10k-images-idx3-ubyte"), idx(&[2, 2, 2], &[8; 8])).unwrap();
    assert_ne!(fingerprint(), relabelled);
    let other = DataSettings { transforms: vec![], ..settings() };
    assert_ne!(data(other, folder.path()).fingerprint().unwrap(), fingerprint());
}

#[test]
fn which_images_are_left_out_is_part_of_the_fingerprint() {
    let fingerprint = |labels: &[u8]| {
        let folder = folder();
        let set = folder.path().join("set");
        write_set(&set, false);
        let count = labels.len() as u32;
        let pixels: Vec<u8> = (0..4 * labels.len() as u8).collect();
        fs::write(set.join("train-images-idx3-ubyte"), idx(&[count, 2, 2], &pixels)).unwrap();
        fs::write(set.join("train-labels-idx1-ubyte"), idx(&[count], labels)).unwrap();
        fs::write(set.join("classes.txt"), "a\nb\n").unwrap();
        let skipping = DataSettings { on_bad_image: OnBadImage::Skip, ..settings() };
        let data = data(skipping, folder.path());
        let classes: Vec<u32> =
            data.catalog().unwrap().samples.iter().map(|sample| sample.class).collect();
        (classes, data.fingerprint().unwrap())
    };
    let ((classes, first), (same, third)) =
        (fingerprint(&[9, 0, 1, 0, 1]), fingerprint(&[0, 1, 9, 0, 1]));
    assert_eq!((&classes, &classes[..]), (&same, &[0, 1, 0, 1, 0, 1][..]));
    assert_ne!(first, third);
}

#[test]
fn a_missing_file_is_named() {
    let folder = folder();
    let error = data(settings(), folder.path()).described().unwrap_err();
    assert!(error.to_string().ends_with("set: no known layout of images"), "{error}");
    assert!(error.hint.unwrap().contains("t10k-labels-idx1-ubyte"));
    let elsewhere = DataSettings { path: "elsewhere".into(), ..settings() };
    let error = data(elsewhere, folder.path()).described().unwrap_err();
    assert!(error.to_string().ends_with("there is no such folder or file"), "{error}");
}

#[test]
fn a_damaged_file_is_named() {
    let folder = folder();
    let set = folder.path().join("set");
    write_set(&set, false);
    fs::write(set.join("train-labels-idx1-ubyte"), idx(&[4], &[0])).unwrap();
    let error = error(settings(), folder.path());
    let expected =
        "set/train-labels-idx1-ubyte: has 9 bytes, where its header promises 12: sizes [4]";
    assert!(error.ends_with(expected), "{error}");
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
    let folder = tempfile::tempdir().unwrap();
    let held_out = |seed| {
        let data = StudyData::new(settings.clone(), "".into(), folder.path(), seed);
        data.images(&[32], &[], |_, _| true).unwrap().held_out
    };
    assert_eq!(held_out(1), held_out(1));
    assert_ne!(held_out(1), held_out(2));
    let none_left = DataSettings { held_out: 100, ..settings.clone() };
    let expected = "`held_out` = 100 of [data] leaves none of 100 images";
    assert_eq!(error(none_left, folder.path()), expected);
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
    let cases: [(&str, Vec<u8>, &str); 4] = [
        (images, idx(&[4, 0, 2], &[]), "has no pixels: its sizes are [4, 0, 2]"),
        (images, idx(&[0, 2, 2], &[]), "has no pixels: its sizes are [0, 2, 2]"),
        ("train-labels-idx1-ubyte", idx(&[4], &[3; 4]), "all training images are of class 3"),
        (images, idx(&[4, u32::MAX, u32::MAX], &[1; 64]), "more than any file holds"),
    ];
    for (name, bytes, expected) in cases {
        let folder = folder();
        write_set(&folder.path().join("set"), false);
        fs::write(folder.path().join("set").join(name), bytes).unwrap();
        let error = error(settings(), folder.path());
        assert!(error.ends_with(expected), "{error}");
    }
    let folder = folder();
    write_set(&folder.path().join("set"), false);
    fs::write(folder.path().join("set/t10k-images-idx3-ubyte"), idx(&[0, 2, 2], &[])).unwrap();
    fs::write(folder.path().join("set/t10k-labels-idx1-ubyte"), idx(&[0], &[])).unwrap();
    let error = error(settings(), folder.path());
    assert!(error.contains("no pixels"), "{error}");
}

#[test]
fn an_image_of_another_size_follows_the_transforms_and_nothing_else() {
    let folder = folder();
    write_set(&folder.path().join("set"), false);
    let train = idx(&[4, 3, 2], &[1; 24]);
    fs::write(folder.path().join("set/train-images-idx3-ubyte"), train).unwrap();
    let refused = error(settings(), folder.path());
    assert!(refused.starts_with("4 images cannot be used:\n"), "{refused}");
    assert!(
        refused.contains("has 2x3 pixels, more than `pad` to 2 (`transforms` of [data])"),
        "{refused}"
    );
    let larger = DataSettings {
        transforms: vec![Transform::Resize(Resize { crop_share: 0.5, ..Resize::default() })],
        ..settings()
    };
    let refused = error(larger, folder.path());
    assert!(refused.contains("has 4x6 pixels after all transforms"), "{refused}");
}

#[test]
fn images_that_are_only_judged_need_not_suit_what_augments() {
    let folder = folder();
    write_set(&folder.path().join("set"), false);
    let test = idx(&[2, 3, 3], &[9; 18]);
    fs::write(folder.path().join("set/t10k-images-idx3-ubyte"), test).unwrap();
    let judged = || {
        let resize = Transform::Resize(Resize { crop_share: 1.0, ..Resize::default() });
        DataSettings { transforms: vec![resize], ..settings() }
    };
    assert_eq!(images(judged(), folder.path()).unwrap().test.len(), 2);
    let train = idx(&[4, 3, 3], &[7; 36]);
    fs::write(folder.path().join("set/train-images-idx3-ubyte"), train).unwrap();
    let refused = error(judged(), folder.path());
    assert!(refused.starts_with("4 images cannot be used:\n"), "{refused}");
    assert!(refused.contains("(`augment` of [data])"), "{refused}");
}

#[test]
fn no_more_is_unpacked_than_the_header_promises() {
    let folder = folder();
    write_set(&folder.path().join("set"), true);
    let mut bomb = idx(&[4, 2, 2], &[7; 16]);
    bomb.resize(200 << 20, 0);
    pack(folder.path(), "train-images-idx3-ubyte", &bomb);
    let too_long = error(settings(), folder.path());
    assert!(
        too_long.ends_with("has more bytes, where its header promises 32: sizes [4, 2, 2]"),
        "{too_long}"
    );
    pack(folder.path(), "train-images-idx3-ubyte", &idx(&[60_000, 600, 600], &[0; 99]));
    let too_short = error(settings(), folder.path());
    let expected = "has 115 bytes, where its header promises 21600000016: sizes [60000, 600, 600]";
    assert!(too_short.ends_with(expected), "{too_short}");
}

/// A PNG file of a colour, by its place in the set: `<part>/<class>/<index>.png`.
fn write_png(folder: &Path, part: &str, class: &str, index: usize) {
    let folder = folder.join("set").join(part).join(class);
    fs::create_dir_all(&folder).unwrap();
    let file = fs::File::create(folder.join(format!("{index}.png"))).unwrap();
    let mut encoder = png::Encoder::new(file, 3, 3);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&[class.len() as u8, index as u8, 7].repeat(9)).unwrap();
}

fn write_photographs(folder: &Path) {
    for (class, index) in (0..10).flat_map(|index| [("cat", index), ("horse", index)]) {
        write_png(folder, "train", class, index);
        write_png(folder, "test", class, 100 + index);
    }
}

fn photographs() -> DataSettings {
    let resize = Transform::Resize(Resize { crop_share: 1.0, ..Resize::default() });
    let normalize = Transform::Normalize(Normalize::default());
    DataSettings {
        transforms: vec![resize.clone(), normalize],
        augment: vec![resize],
        held_out: 4,
        ..settings()
    }
}

#[test]
fn photographs_are_decoded_once_and_kept() {
    let folder = folder();
    write_photographs(folder.path());
    let first = images(photographs(), folder.path()).unwrap();
    assert_eq!((first.train.len(), first.held_out.len(), first.test.len()), (16, 4, 20));
    let inputs = |set: &StudyImages| set.judged(&set.test, 2).unwrap();
    let wanted = inputs(&first);
    let [Transform::Resize(_), Transform::Normalize(Normalize { mean, std })] = &first.judging[..]
    else {
        panic!("{:?}", first.judging)
    };
    assert!((mean[0] - 4.0 / 255.0).abs() < 1e-12 && (std[0] - 1.0 / 255.0).abs() < 1e-9);

    // Pixels come from where they are kept, or from the files where these are damaged.
    let kept = |extension: &str| {
        let files = fs::read_dir(folder.path().join("home/cache/images")).unwrap();
        let mut paths = files.map(|file| file.unwrap().path());
        paths.find(|path| path.extension().is_some_and(|found| found == extension))
    };
    let pixels = kept("pixels").unwrap();
    assert_eq!(fs::metadata(&pixels).unwrap().len(), 40 * 27);
    let second = images(photographs(), folder.path()).unwrap();
    let mut damaged = fs::read(&pixels).unwrap();
    damaged[20] ^= 1;
    fs::write(&pixels, damaged).unwrap();
    assert_eq!(inputs(&second), wanted);
    assert_eq!(kept("survey"), None);
    assert_eq!(inputs(&images(photographs(), folder.path()).unwrap()), wanted);

    let streamed = DataSettings { keep_decoded: 0.0, ..photographs() };
    fs::remove_dir_all(folder.path().join("home")).unwrap();
    assert_eq!(inputs(&images(streamed, folder.path()).unwrap()), wanted);
    assert_eq!(kept("pixels"), None);
    assert_eq!(inputs(&images(photographs(), folder.path()).unwrap()), wanted);
    assert!(kept("pixels").is_some(), "more may be kept now");

    // In grey, mean and deviation are those of the grey images.
    let grey = DataSettings { channels: 1, ..photographs() };
    let grey = images(grey, folder.path()).unwrap();
    let values = grey.judged(&grey.train, 2).unwrap();
    let mean = values.iter().sum::<f32>() / values.len() as f32;
    assert!(mean.abs() < 0.2, "{mean}");
}

#[test]
fn bad_images_stop_a_study_or_are_left_out() {
    let folder = folder();
    write_photographs(folder.path());
    let set = folder.path().join("set");
    fs::write(set.join("train/cat/3.png"), "no image").unwrap();
    let error = error(photographs(), folder.path());
    let expected =
        "an image cannot be used: train/cat/3.png (class cat): is no JPEG, PNG, WebP or BMP";
    assert_eq!(error, expected);
    let skipping = DataSettings { on_bad_image: OnBadImage::Skip, ..photographs() };
    let set = images(skipping, folder.path()).unwrap();
    assert_eq!(set.train.len() + set.held_out.len(), 19);
    let usable = [&set.train[..], &set.held_out, &set.test].concat();
    assert!(set.judged(&usable, 2).is_ok());
}

#[test]
fn a_part_or_a_class_of_bad_images_is_not_skipped() {
    let folder = folder();
    write_photographs(folder.path());
    let skipping = || DataSettings { on_bad_image: OnBadImage::Skip, ..photographs() };
    let spoil = |part: &str, class: &str| {
        for file in fs::read_dir(folder.path().join("set").join(part).join(class)).unwrap() {
            fs::write(file.unwrap().path(), "no image").unwrap();
        }
    };
    spoil("train", "horse");
    write_png(folder.path(), "train", "ox", 1);
    let refused = images(skipping(), folder.path()).map(|_| ()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "class horse has images to choose by or to test on, but none to train on that can be used"
    );
    assert!(refused.hint.unwrap().contains("or remove it from all parts"));
    spoil("test", "horse");
    assert!(images(skipping(), folder.path()).is_ok(), "no network is judged on it");
    spoil("test", "cat");
    assert_eq!(error(skipping(), folder.path()), "no image of the test part can be used");
}

#[cfg(unix)]
#[test]
fn an_image_that_may_not_be_read_is_a_bad_one() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    write_photographs(folder.path());
    let path = folder.path().join("set/train/cat/3.png");
    let permit = |mode: u32| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    let readable = data(photographs(), folder.path()).fingerprint().unwrap();
    permit(0);
    // The administrator may read everything.
    if fs::read(&path).is_ok() {
        return;
    }
    let said = error(photographs(), folder.path());
    let start = "an image cannot be used: train/cat/3.png (class cat): cannot be read: ";
    assert!(said.starts_with(start), "{said}");
    let skipping = || DataSettings { on_bad_image: OnBadImage::Skip, ..photographs() };
    let set = images(skipping(), folder.path()).unwrap();
    assert_eq!(set.train.len() + set.held_out.len(), 19);
    permit(0o644);
    assert_eq!(data(photographs(), folder.path()).fingerprint().unwrap(), readable);
    let set = images(skipping(), folder.path()).unwrap();
    assert_eq!(set.train.len() + set.held_out.len(), 20);
}
