//! `spacewright data …`.

use std::{fs, io::BufReader, path::Path};

use serde_json::Value;

use super::{refusal, run, text};

/// Writes a small picture.
fn write(path: &Path, red: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), 40, 30);
    encoder.set_color(png::ColorType::Rgb);
    let data = [red, 80, 120].repeat(40 * 30);
    encoder.write_header().unwrap().write_image_data(&data).unwrap();
}

fn set() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for index in 0..20 {
        let class = if index % 3 == 0 { "cat" } else { "dog" };
        write(&folder.path().join(format!("train/{class}/{index}.png")), index);
    }
    write(&folder.path().join("test/cat/100.png"), 100);
    folder
}

#[test]
fn a_good_set_is_described() {
    let folder = set();
    let shown = text(&format!("--quiet data check {}", folder.path().display()));
    insta::assert_snapshot!(shown, @r"
    layout  image-folder

    part   images  classes  width  height  grey
    train      20        2     40      30     0
    test        1        1     40      30     0

    class  train  test
    cat        7     1
    dog       13     0

    a study would train on 18 images, choose by 2 and test on 1
    ");
}

#[test]
fn bad_files_are_listed_and_counted() {
    let folder = set();
    for index in 0..25 {
        fs::write(folder.path().join(format!("train/dog/bad-{index:02}.jpg")), "").unwrap();
    }
    write(&folder.path().join("test/dog/same.png"), 4);
    let path = folder.path().display();
    let ran = run(&format!("--quiet data check {path}"));
    assert_eq!((ran.code, &*ran.stderr), (1, ""));
    for line in [
        "the same pixels for different uses, 1 times:\n  train/dog/4.png = test/dog/same.png\n",
        "images that cannot be used: 25\n  train/dog/bad-00.jpg (class dog): is empty\n",
        "  … and 5 more: --json lists all\n",
    ] {
        assert!(ran.stdout.contains(line), "{}", ran.stdout);
    }
    let ran = run(&format!("--quiet --json data check {path}"));
    assert_eq!(ran.code, 1);
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(found["layout"], "image-folder");
    assert_eq!(found["parts"]["train"]["images"], 20);
    assert_eq!(found["parts"]["train"]["classes"]["dog"], 13);
    assert_eq!(found["bad"].as_array().unwrap().len(), 25);
    assert_eq!(found["bad"][24]["file"], "train/dog/bad-24.jpg");
}

#[test]
fn a_set_of_bad_images_is_described() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("train/cat")).unwrap();
    fs::write(folder.path().join("train/cat/1.jpg"), "").unwrap();
    let (path, sheet) = (folder.path().display(), folder.path().join("sheet.png"));
    let ran = run(&format!("--quiet data check {path} --sheet {}", sheet.display()));
    assert_eq!((ran.code, &*ran.stderr), (1, ""));
    assert!(ran.stdout.contains("train/cat/1.jpg (class cat): is empty"), "{}", ran.stdout);
    let said = refusal(&format!("data check {path} --held-out 1"));
    assert_eq!(said, "error: --held-out 1 leaves none of 1 images to train on\n");
    let said = refusal(&format!("data check {path} --held-out 0"));
    assert_eq!(said, "error: --held-out 0 leaves no image to choose by\n");
    assert!(!sheet.exists(), "there is nothing to show");
    fs::write(&sheet, "mine").unwrap();
    let said = refusal(&format!("data check {path} --sheet {}", sheet.display()));
    assert!(said.contains("sheet.png: there is such a file already, in the set\n"), "{said}");
    assert_eq!(fs::read_to_string(&sheet).unwrap(), "mine");
    let said = refusal(&format!("data check {path} --sheet {path}/sheet.txt"));
    assert!(
        said.contains("sheet.txt: a sheet is a PNG file\nhint: give it a name that "),
        "{said}"
    );
    let place = tempfile::tempdir().unwrap();
    let taken = place.path().join("folder.png");
    fs::create_dir(&taken).unwrap();
    let said = refusal(&format!("data check {path} --sheet {}", taken.display()));
    assert!(said.contains("folder.png: is no file\n"), "{said}");
}

#[test]
fn a_few_images_are_enough() {
    let folder = tempfile::tempdir().unwrap();
    for (class, red) in [("cat", 1), ("cat", 2), ("dog", 3), ("dog", 4)] {
        write(&folder.path().join(format!("{class}/{red}.png")), red);
    }
    let path = folder.path().display();
    let said = text(&format!("--quiet data check {path}"));
    assert!(said.contains("train on 2 images, choose by 1 and test on 1"), "{said}");
}

#[cfg(unix)]
#[test]
fn names_of_files_begin_no_lines() {
    let folder = set();
    fs::write(folder.path().join("train/dog/a\nstudy would.png"), "").unwrap();
    let ran = run(&format!("--quiet data check {}", folder.path().display()));
    assert!(ran.stdout.contains("  train/dog/a\\nstudy would.png (class dog)"), "{}", ran.stdout);
}

#[test]
fn a_sheet_shows_images_with_their_classes() {
    let folder = set();
    let sheet = folder.path().join("sheet.png");
    let (path, file) = (folder.path().display(), sheet.display());
    text(&format!("--quiet data check {path} --sheet {file}"));
    let file = BufReader::new(fs::File::open(&sheet).unwrap());
    let mut png = png::Decoder::new(file).read_info().unwrap();
    // 20 images but for two held out, in rows of 8, each 128 pixels and a line of text high.
    let (width, height) = (8 * 128, 3 * 140);
    assert_eq!((png.info().width, png.info().height), (width, height));
    let mut pixels = vec![0; (width * height * 3) as usize];
    png.next_frame(&mut pixels).unwrap();
    // Below the first stands its class, in black.
    let is_black = |x: u32, y: u32| pixels[((y * width + x) * 3) as usize..][..3] == [0; 3];
    let dark = (0..128).filter(|x| (128..140).any(|y| is_black(*x, y))).count();
    assert!((8..40).contains(&dark), "{dark}");
}

#[test]
fn what_is_no_set_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let said = refusal(&format!("data check {}", folder.path().display()));
    assert!(said.contains("no known layout of images\nhint: known are cifar: "), "{said}");
    assert!(refusal("data check nowhere").starts_with("error: nowhere: there is no such folder"));
}
