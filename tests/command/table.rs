use std::fs;

use insta::assert_snapshot;

use crate::{refusal, run};

/// Tables of a hyperspace with one stage, one block type and one window.
fn one_table(row: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let hyperspace = r#"
name = "one"
input_channels = 3
classes = 10
resolutions = [32]
table_resolutions = [32]
[[stem]]
name = "stem"
stride = 2
widths = [16]
depths = [1, 1]
block = "conv"
activation = "relu"
choices = { kernel = [3] }
[[candidate]]
block = "mobilenet-v1-dual"
activation = "relu"
choices = { kernel = [3, 5] }
[[stage]]
name = "body"
stride = 2
widths = [24, 32]
window = 2
depths = [1, 2]
[[head]]
name = "logits"
block = "logits"
activation = "relu"
width = 10
"#;
    fs::write(folder.path().join("one.toml"), hyperspace).unwrap();
    fs::write(folder.path().join("body_0_0.csv"), row).unwrap();
    let path = folder.path().to_str().unwrap();
    let arguments = format!("table check {path} --hyperspace {path}/one.toml");
    (folder, arguments)
}

#[test]
fn mismatches_are_listed_and_fail() {
    // 3·3·16 + 16·24 + 3·3·24 + 24·24 + 16·24 multiply-adds at each of 8×8 pixels; the
    // parameters are those and two per channel of five normalizations and three per convolution.
    let (_folder, check) = one_table("3#24#None,1x16x16x16,0.5,0.1091,0.0019,1.0\n");
    let ran = run(&check);
    assert_snapshot!(ran.stdout, @"1 rows in 1 files: macs equal in 1, params equal in 1");
    assert_eq!(ran.code, 0);
    let (_folder, marked) = one_table("\u{feff}3#24#None,1x16x16x16,0.5,0.1091,0.0019,1.0\r\n");
    assert_eq!(run(&marked).stdout, ran.stdout);
    let (_folder, check) = one_table("3#24#None,1x16x16x16,0.5,0.1191,0.0019,1.0\n");
    let ran = run(&check);
    assert_snapshot!(ran.stdout, @"
    1 rows in 1 files: macs equal in 0, params equal in 1
    1 mismatches, in millions:
    file          line  figure  printed   counted
    body_0_0.csv     1  macs     0.1191  0.109056
    ");
    assert_eq!(ran.code, 1);
}

#[test]
fn faults_are_named_with_file_line_and_field() {
    for (row, part) in [
        ("3#25#None,1x16x16x16,0.5,0.1,0.1,1.0", "body_0_0.csv, line 1, sub-stage: "),
        ("3#24#None,1x17x16x16,0.5,0.1,0.1,1.0", "body_0_0.csv, line 1, input shape: 17 channels"),
        ("3#24#None,1x16x16x16,0.5,0.1", "body_0_0.csv, line 1, row: 4 columns, needs 6"),
    ] {
        let (folder, check) = one_table(row);
        let error = refusal(&check);
        assert!(error.contains(&format!("{}/", folder.path().display())), "{error}");
        assert!(error.contains(&format!("/{part}")), "{error}");
    }
    assert!(refusal("table check /nowhere --hyperspace mobilew").contains("hint: "));
}
