//! A study over the rows of published tables.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    slice,
};

use serde_json::Value;

use crate::{Place, check_schema};

/// Columns of a row besides its sub-stage and its input: loss, multiply-adds, parameters, latency.
fn row(sub_stage: &str, width: usize, side: usize, loss: f64) -> String {
    format!("{sub_stage},1x{width}x{side}x{side},{loss},1.0,0.1,2.5\n")
}

/// Tables of the tiny hyperspace, for images of 16, 24 and 32 pixels.
fn write_tables(folder: &Path) {
    fs::create_dir(folder).unwrap();
    let expands: [&[&str]; 3] = [&["2"], &["1", "2"], &["0.5", "1.0"]];
    for (block, expands) in expands.iter().enumerate() {
        let rows = |widths: &[usize], inputs: &[usize], stride: usize| {
            let mut text = String::new();
            for (index, width) in widths.iter().enumerate() {
                for expand in *expands {
                    for input in inputs {
                        for side in [16, 24, 32] {
                            let loss = 0.2 + 0.1 * block as f64 + 0.01 * index as f64;
                            text +=
                                &row(&format!("3#{width}#{expand}"), *input, side / stride, loss);
                        }
                    }
                }
            }
            text
        };
        let write = |name: &str, text: String| fs::write(folder.join(name), text).unwrap();
        write(&format!("stage1_{block}_0.csv"), rows(&[8, 16], &[8], 2));
        write(&format!("stage2_{block}_0.csv"), rows(&[16], &[8, 16], 4));
        write(&format!("stage2_{block}_1.csv"), rows(&[24], &[8, 16], 4));
    }
}

/// The tiny study beside published tables.
struct Published {
    place: Place,
}

impl Published {
    fn new() -> Self {
        let published = Self { place: Place::new() };
        write_tables(&published.at("tables"));
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/study");
        fs::copy(tests.join("tiny-space.toml"), published.at("tiny-space.toml")).unwrap();
        published
    }

    fn at(&self, name: &str) -> PathBuf {
        self.place.folder.path().join(name)
    }

    /// A command on the study whose `[tables]` begins with these lines.
    fn command(&self, arguments: &[&str], tables: &str) -> Command {
        let text = include_str!("tiny.toml");
        let tables = format!("[tables]\n{tables}rows = 2\n");
        let study = self.at("tiny.toml");
        fs::write(&study, text.replace("[tables]\nrows = 2\n", &tables)).unwrap();
        self.place.command(arguments, &study)
    }
}

#[test]
fn a_space_is_found_where_tables_have_gaps() {
    let published = Published::new();
    let at = |name: &str| published.at(name);
    let cut = |name: &str, columns: &str| {
        let table = at("tables").join(name);
        let text = fs::read_to_string(&table).unwrap();
        let left: String = text
            .lines()
            .filter(|line| !line.contains(columns))
            .map(|line| line.to_owned() + "\n")
            .collect();
        assert!(left.len() < text.len(), "no row of {name} has {columns}");
        fs::write(&table, left).unwrap();
    };
    // Without them no subnet goes on from a first stage of 8 channels.
    for block in 0..3 {
        cut(&format!("stage2_{block}_0.csv"), ",1x8x");
        cut(&format!("stage2_{block}_1.csv"), ",1x8x");
    }
    let arguments = ["evolve", "--with-inputs"];
    let output = published.command(&arguments, "published = \"tables\"\n").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("no published row for "), "{said}");
}

#[test]
fn losses_stand_beside_those_that_were_published_for_the_same_rows() {
    let published = Published::new();
    let at = |name: &str| published.at(name);
    let compare = |tables: &str, json: &[&str]| {
        let mut command = published.command(&[&["table", "compare"], json].concat(), tables);
        let output = command.arg("--tables").arg(at("tables")).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, report, said) = compare("published = \"tables\"\n", &["--json"]);
    assert_eq!(code, Some(0), "{said}");
    let report: Value = serde_json::from_str(&report).unwrap();
    check_schema("published", slice::from_ref(&report));
    assert_eq!(report["not_published"], 0);
    assert!(report["rows"].as_u64().unwrap() > 20, "{report}");
    for stage in report["stages"].as_array().unwrap() {
        assert_eq!(stage["blocks"].as_array().unwrap().len(), 3, "{stage}");
        let between = stage["between"].as_f64().unwrap();
        assert!((-1.0..=1.0).contains(&between), "{stage}");
        for block in stage["blocks"].as_array().unwrap() {
            let (found, published) = (block["loss"].as_f64(), block["published_loss"].as_f64());
            assert!(found.unwrap() > 0.0 && published.unwrap() > 0.19, "{block}");
        }
    }
    let (code, text, _) = compare("published = \"tables\"\n", &["--quiet"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("rho within block types") && text.contains("stage2"), "{text}");

    let (code, _, said) = compare("published = \"nowhere\"\n", &[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("[tables] published: there is no folder"), "{said}");
    let file = at("tables/stage1_0_0.csv");
    let rows = fs::read_to_string(&file).unwrap();
    fs::write(&file, row("3#8#wide", 8, 8, 0.5)).unwrap();
    let (code, _, said) = compare("published = \"tables\"\n", &[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("stage1_0_0.csv, line 1, sub-stage: `3#8#wide`: expand"), "{said}");

    // What the hyperspace does not hold is left out, unless nothing remains.
    let (widths, depths) = (row("3#12#2", 8, 8, 0.5), row(&["3#8#2"; 9].join("_"), 8, 8, 0.5));
    let elsewhere = format!("{}{widths}{depths}", row("3#8#2", 7, 8, 0.5));
    fs::write(&file, format!("{elsewhere}{rows}")).unwrap();
    let (code, again, said) = compare("published = \"tables\"\n", &["--json"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(serde_json::from_str::<Value>(&again).unwrap(), report);
    fs::write(&file, elsewhere).unwrap();
    let (code, _, said) = compare("published = \"tables\"\n", &[]);
    assert_ne!(code, Some(0), "{said}");
    assert!(said.contains("none of the rows of `stage1-0-"), "{said}");
}
