//! A study of one's own photographs: a folder with more classes than a byte can tell.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use super::{Place, tiny};

const CLASSES: usize = 300;

/// A BMP file of one colour, with a line through it.
fn picture(width: u32, height: u32, colour: [u8; 3]) -> Vec<u8> {
    let line = (3 * width).next_multiple_of(4);
    let size = 54 + line * height;
    let mut file = b"BM".to_vec();
    for field in [size, 0, 54, 40, width, height, 1 | 24 << 16, 0, line * height, 0, 0, 0, 0] {
        file.extend(field.to_le_bytes());
    }
    for row in 0..height {
        let colour = if row == height / 2 { [255 - colour[0]; 3] } else { colour };
        let mut pixels = colour.repeat(width as usize);
        pixels.resize(line as usize, 0);
        file.extend(pixels);
    }
    file
}

/// Four images of each class to train on, one to test on, none of the size that networks take.
fn write_set(folder: &Path) {
    for class in 0..CLASSES {
        for index in 0..5u32 {
            let part = if index == 0 { "test" } else { "train" };
            let folder = folder.join(part).join(format!("class-{class:03}"));
            fs::create_dir_all(&folder).unwrap();
            let colour = [class as u8, (class / 20 * 17) as u8, (40 * index) as u8];
            let file = picture(20 + index, 30 - 2 * index, colour);
            fs::write(folder.join(format!("{index}.bmp")), file).unwrap();
        }
    }
}

/// The tiny study with other images, whose features are computed whenever they are needed.
fn study(set: &Path) -> String {
    let text = fs::read_to_string(tiny()).unwrap();
    let space = tiny().with_file_name("tiny-space.toml");
    let (before, rest) = text.split_once("[data]").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    let before = before.replace("\"tiny-space.toml\"", &format!("{space:?}"));
    let after = after
        .replace("[distil]\n", "[distil]\ncache_gb = 0.0\n")
        .replace("[train]\n", "[train]\nteacher_views = 2\n")
        .replace("judge_images = 60", "judge_images = 300");
    format!(
        "{before}[data]
path = {set:?}
held_out = 300
transforms = [{{ resize = {{ crop_share = 0.9 }} }}, {{ center-crop = {{}} }}, {{ normalize = {{}} }}]
augment = [{{ random-resized-crop = {{}} }}, {{ flip = {{}} }}, {{ color-jitter = {{ hue = 0.1 }} }}]

{after}"
    )
}

#[test]
fn a_folder_of_photographs_becomes_verified_networks() {
    let place = Place::new();
    let set = place.folder.path().join("set");
    write_set(&set);
    let file = place.folder.path().join("photographs.toml");
    fs::write(&file, study(&set)).unwrap();
    let run = |arguments: &[&str]| place.command(arguments, &file).output().unwrap();
    let output = run(&["run", "--quiet"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let networks = place.report()["budgets"].as_array().unwrap().clone();
    assert!(!networks.is_empty());
    for network in &networks {
        assert!(network["identical_predictions"].as_f64().unwrap() > 0.9, "{network}");
    }
    let names = fs::read_to_string(place.run_folder().join("classes.txt")).unwrap();
    let names: Vec<&str> = names.lines().collect();
    assert_eq!((names.len(), names[0], names[299]), (CLASSES, "class-000", "class-299"));

    let models = place.results().1;
    let model = models.keys().find(|name| name.ends_with(".int8.onnx")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_spacewright"))
        .args(["--json", "model", "run"])
        .arg(place.run_folder().join(model))
        .args([set.join("test/class-290/0.bmp"), file.clone()])
        .env("SPACEWRIGHT_HOME", place.home())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "a text is no image");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let images = answer["images"].as_array().unwrap();
    let class = images[0]["classes"][0]["class"].as_str().unwrap();
    assert!(names.contains(&class), "{answer}");
    assert_eq!(images[1]["error"], "is no JPEG, PNG, WebP or BMP");

    let again = run(&["run"]);
    let stderr = String::from_utf8_lossy(&again.stderr);
    assert!(again.status.success() && stderr.contains("teach: unchanged"), "{stderr}");

    fs::write(set.join("train/class-007/scan.jpg"), "a note").unwrap();
    let refused = run(&["teach"]);
    let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("train/class-007/scan.jpg (class class-007)"), "{stderr}");
    assert!(stderr.contains("on_bad_image"), "{stderr}");
}
