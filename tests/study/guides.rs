//! The guides, typed as they stand: each of their commands runs, in the order in which a reader meets them.
//!
//! Only what takes hours is made short: the study that `study new` writes keeps its name and its images, and
//! gets the hyperspace and the steps of the tiny study.

use std::{
    env, fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Command,
};

use jpeg_encoder::{ColorType, Encoder};

use super::{Place, tiny};

const CLASSES: u16 = 5;

/// Commands that need what the reader's study has not: a model with open sizes, and a hyperspace with published tables.
const LEFT_OUT: [&str; 2] =
    ["spacewright target measure model.onnx --size", "spacewright table compare my-study.toml"];

/// A photograph of a class: a colour with stripes, and no two alike.
fn write_photograph(file: &Path, class: u16, index: u16) {
    let (width, height) = (40 + index % 3, 36);
    let stripes = |row: u16, column: u16| (row * (class + 1) + column * index) % 7 * 20;
    let pixel = |at: u16| {
        let bright = stripes(at / width, at % width) as u8;
        [bright, 40 * class as u8, index as u8]
    };
    let pixels: Vec<u8> = (0..width * height).flat_map(pixel).collect();
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    Encoder::new_file(file, 90).unwrap().encode(&pixels, width, height, ColorType::Rgb).unwrap();
}

/// What the reader of the guides has: a folder of images, and shards of images.
fn write_images(folder: &Path) {
    for (part, count) in [("train", 120), ("test", 12)] {
        for class in 0..CLASSES {
            for index in 0..count {
                let name = format!("photographs/{part}/class-{class}/{part}-{index}.jpg");
                write_photograph(&folder.join(name), class, index);
            }
        }
    }
    for name in ["photograph.jpg", "a.jpg"] {
        write_photograph(&folder.join(name), 1, 0);
    }
}

/// Shards with two images each, as WebDataset names what belongs together.
fn write_shards(folder: &Path) {
    let shards = folder.join("shards");
    fs::create_dir(&shards).unwrap();
    for (part, count) in [("train", 147), ("val", 7)] {
        for number in 0..count {
            let folder = folder.join("sample");
            for sample in 0..2 {
                let class = (2 * number + sample) % CLASSES;
                let name = folder.join(format!("{part}-{number}-{sample}.jpg"));
                write_photograph(&name, class, number);
                fs::write(name.with_extension("cls"), class.to_string()).unwrap();
            }
            let mut tar = Command::new("tar");
            tar.arg("--sort=name").arg("-cf").arg(shards.join(format!("{part}-{number:03}.tar")));
            assert!(tar.arg("-C").arg(&folder).arg(".").status().unwrap().success());
            fs::remove_dir_all(folder).unwrap();
        }
    }
}

/// The programs that a reader calls: the one of the project, with one thread, and one that opens files.
fn write_programs(place: &Place) {
    let program = |name: &str, text: String| {
        let path = place.folder.path().join("programs").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    program(
        "spacewright",
        format!("exec '{}' --threads 1 \"$@\"", env!("CARGO_BIN_EXE_spacewright")),
    );
    program(
        "xdg-open",
        format!("echo \"$1\" >> '{}'", place.folder.path().join("opened").display()),
    );
}

fn read(file: &Path) -> toml::Table {
    fs::read_to_string(file).unwrap().parse().unwrap()
}

/// Gives a study that `study new` has written the hyperspace and the steps of the tiny one.
fn shorten(file: &Path) {
    let (written, mut study) = (read(file), read(&tiny()));
    for field in ["name", "data"] {
        study[field] = written[field].clone();
    }
    study["hyperspace"] = tiny().with_file_name("tiny-space.toml").display().to_string().into();
    fs::write(file, study.to_string()).unwrap();
}

/// The lines of the shell blocks of a document, where one that goes on in the next is one line.
fn lines(document: &str) -> Vec<String> {
    let blocks = document.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let joined: Vec<String> = blocks.map(|block| block.replace("\\\n", " ")).collect();
    joined.iter().flat_map(|block| block.lines()).map(str::to_owned).collect()
}

/// Writes the study of this name that a guide shows, with the steps of the tiny one.
fn write_shown(place: &Place, guide: &str, name: &str) {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(guide);
    let document = fs::read_to_string(document).unwrap();
    let mut blocks = document.split("```toml\n").map(|rest| rest.split("```").next().unwrap());
    let is_shown = |block: &&str| block.contains(&format!("name = \"{name}\""));
    let mut study: toml::Table = blocks.find(is_shown).unwrap().parse().unwrap();
    let tiny = read(&tiny());
    for section in ["measure", "evolve"] {
        study[section] = tiny[section].clone();
    }
    study["teach"]["phase"] = tiny["teach"]["phase"].clone();
    fs::write(place.folder.path().join(format!("{name}.toml")), study.to_string()).unwrap();
}

/// Types the commands of a guide into a shell; how many there were.
fn follow(place: &Place, guide: &str) -> usize {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(guide);
    let folder = place.folder.path();
    let path = format!("{}:{}", folder.join("programs").display(), env::var("PATH").unwrap());
    let lines = lines(&fs::read_to_string(document).unwrap());
    let is_possible = |line: &&String| !LEFT_OUT.iter().any(|left_out| line.starts_with(left_out));
    let possible = lines.iter().filter(is_possible);
    for line in possible.clone() {
        let mut shell = Command::new("bash");
        shell.args(["-euo", "pipefail", "-c", line]).current_dir(folder);
        shell.env("PATH", &path).env("SPACEWRIGHT_HOME", place.home());
        shell.env("OMP_WAIT_POLICY", "passive").env("OMP_NUM_THREADS", "1");
        let output = shell.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{guide}: {line}\n{stdout}\n{stderr}");
        if let Some(rest) = line.strip_prefix("spacewright study new ") {
            shorten(&folder.join(rest.split(' ').next().unwrap()));
        }
    }
    possible.count()
}

/// A reader who has followed the first guide.
fn reader() -> Place {
    let place = Place::new();
    write_images(place.folder.path());
    write_programs(&place);
    assert_eq!(follow(&place, "first-study.md"), 9);
    place
}

#[test]
fn the_first_guides_lead_from_images_to_networks() {
    let place = reader();
    let folder = place.folder.path();
    let run = folder.join("runs/my-study");
    let opened = fs::read_to_string(folder.join("opened")).unwrap();
    assert!(opened.trim().ends_with("runs/my-study/report.html"), "{opened}");
    assert!(run.join("plain.json").is_file() && run.join("network-1.int8.onnx").is_file());

    write_shards(folder);
    assert_eq!(follow(&place, "data.md"), 4);
    assert!(folder.join("sheet.png").is_file() && folder.join("found.json").is_file());

    // The models of others are the study's own here.
    for name in ["model.onnx", "mobilenet_v2.onnx"] {
        fs::copy(run.join("network-0.fp32.onnx"), folder.join(name)).unwrap();
    }
    assert_eq!(follow(&place, "models.md"), 6);
    for name in ["imported/graph.json", "in-int8/int8.onnx", "quantized/int8.onnx"] {
        assert!(folder.join(name).is_file(), "{name}");
    }
}

#[test]
#[cfg_attr(not(spacewright_long), ignore = "takes minutes; SPACEWRIGHT_TEST_LONG asks for it")]
fn the_later_guides_put_the_study_to_the_test() {
    let place = reader();
    let run = place.folder.path().join("runs/my-study");
    let study = fs::read_to_string(place.folder.path().join("my-study.toml")).unwrap();
    let other = study.replace("\"my-study\"", "\"my-other-study\"");
    fs::write(place.folder.path().join("my-other-study.toml"), other).unwrap();
    assert_eq!(follow(&place, "report.md"), 6);
    assert!(run.join("proxy.json").is_file() && run.join("spaces.json").is_file());
    assert!(place.folder.path().join("compared.html").is_file());
    assert_eq!(follow(&place, "runtimes.md"), 5);
    assert!(run.join("network-0.int8.tflite").is_file());
}

#[test]
#[cfg_attr(not(spacewright_long), ignore = "takes minutes; SPACEWRIGHT_TEST_LONG asks for it")]
#[cfg_attr(
    all(spacewright_long, not(spacewright_tables)),
    ignore = "SPACEWRIGHT_TABLES names no folder"
)]
fn the_guide_to_spaces_is_typed_with_published_tables() {
    let place = reader();
    write_shown(&place, "spaces.md", "with-another-teacher");
    let tables =
        Path::new(option_env!("SPACEWRIGHT_TABLES").unwrap_or_default()).join("spaceevo-block-lut");
    for name in ["DIR", "OTHER"] {
        symlink(&tables, place.folder.path().join(name)).unwrap();
    }
    assert_eq!(follow(&place, "spaces.md"), 5);
    let run = |name: &str| place.folder.path().join("runs").join(name);
    let teacher = |name: &str| fs::read(run(name).join("teacher/graph.json")).unwrap();
    assert_ne!(teacher("with-another-teacher"), teacher("my-study"));
    assert!(fs::read_dir(place.folder.path().join("plots")).unwrap().count() > 0);
}
