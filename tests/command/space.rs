use std::{fs, path::Path};

use insta::assert_snapshot;

use crate::{command, json, refusal, text};

#[test]
fn count() {
    assert_snapshot!(text("space count mobilew"), @"mobilew has 1,185,901,920 spaces: 7 block types and [2, 6, 6, 7, 5, 4] width windows in its stages");
    assert_eq!(json("space count onnxw")["spaces"], "95551488");
}

#[test]
fn the_hyperspace_of_the_reference_is_one() {
    let page = include_str!("../../docs/reference/hyperspace.md");
    let mut blocks = page.split("```toml\n").filter_map(|rest| rest.split("```").next());
    let example = blocks.find(|block| block.starts_with("name = \"garden\"")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("garden.toml");
    fs::write(&file, example).unwrap();
    assert_eq!(json(&format!("space count {}", file.display()))["spaces"], "16");
}

#[test]
fn show() {
    assert_snapshot!(text("space show onnxw-151122-023231"), @"
    space        onnxw-151122-023231
    subnets      8.29e38
    resolutions  160 176 192 208 224

    stage       block             activation  stride  widths                       depths  kernels  expand   other  sub-stages
    first_conv  conv              relu             2  16 32                        1-1     3        -        -      2
    stage0      resnet            relu             1  16 32                        1-2     3        0.5      -      6
    stage1      mobilenet-v2-res  relu6            2  32 48                        2-4     3 5      4 6 8    -      22,608
    stage2      fused-mbconv-res  swish            2  64 80                        2-4     3 5 7    1 2 3 4  -      346,176
    stage3      mobilenet-v2-res  relu6            2  112 128 144                  2-6     3 5      4 6 8    -      36,012,924
    stage4      mobilenet-v2-res  relu6            1  144 160 176                  2-6     3 5      4 6 8    -      36,012,924
    stage5      mobilenet-v3-res  h_swish          2  240 256 272 288 304          2-6     3 5      4 6 8    -      754,137,900
    stage6      mobilenet-v3-res  h_swish          1  320 336 352 368 384 400 416  1-2     3 5      4 6 8    -      1,806
    ");
    let space = json("space show onnxw-151122-023231");
    assert_eq!(space["stages"][3]["block"], "fused-mbconv-res");
    assert_eq!(space["stages"][3]["choices"]["expand"], serde_json::json!([1.0, 2.0, 3.0, 4.0]));
    assert_eq!(space["stages"][3]["sub_stages"], "346176");
    assert_eq!(text("space show onnxw-151122_023231"), text("space show onnxw-151122-023231"));
}

#[test]
fn sample() {
    assert_snapshot!(text("space sample mini --count 3 --seed 5"), @"
    space           subnets    smallest MMACs  largest MMACs
    mini-3044-1101  160,000               2.5           13.7
    mini-4144-0000  576,000               2.2           13.5
    mini-2133-0011  2,073,600             1.9           12.6
    ");
    let spaces = json("space sample mobilew --count 4")["spaces"].as_array().unwrap().len();
    assert_eq!(spaces, 4);
}

#[test]
fn errors_say_where_and_what_is_allowed() {
    assert_snapshot!(refusal("space count nope"), @"
    error: no hyperspace `nope`; known are mobilew, onnxw, mini, cifar, cifar_small, photographs
    ");
    assert_snapshot!(refusal("space show onnxw-151122-923231"), @"error: `onnxw-151122-923231`: windows, position 1: found `9`, allowed: 0 to 1 in `stage1`");
    assert_snapshot!(refusal("space show 151122-023231"), @"
    error: `151122-023231` does not say its hyperspace
    hint: write it as `<hyperspace>-<blocks>-<windows>`, or give --hyperspace
    ");
    assert_snapshot!(refusal("space score mini-0000-0000 --tables /nowhere --constraint 10"), @"
    error: hyperspace `mini` has no fixed_latency_ms
    hint: published tables hold no stem and head; add their latency by resolution
    ");
    assert_snapshot!(refusal("space score onnxw-151122-023231 --tables /nowhere --constraint 10"), @"
    error: cannot read /nowhere/stage1_0_0.csv: No such file or directory (os error 2)
    hint: --tables names the folder of the tables, or the folder above it
    ");
    assert!(refusal("space score").contains("required arguments were not provided"));
    assert!(refusal("--threads 0 space count mini").contains("--threads"));
    assert!(refusal("--seed -1 space count mini").contains("not a whole number from 0"));
}

/// The home is only where they would be kept in another form.
#[test]
fn tables_are_read_where_they_cannot_be_kept() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let score = "space score onnxw-151122-023231 --tables /nowhere --constraint 10";
    let output = command(score).env("SPACEWRIGHT_HOME", file.path().join("home")).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("tables are not kept for the next time"), "{said}");
    assert!(said.contains("cannot read /nowhere/stage1_0_0.csv"), "{said}");
}

fn edited_mini(from: &str, to: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let mini = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/spaceevo/hyperspaces/mini.toml");
    let path = folder.path().join("mine.toml");
    fs::write(&path, fs::read_to_string(mini).unwrap().replace(from, to)).unwrap();
    (folder, path.to_str().unwrap().to_owned())
}

#[test]
fn hyperspaces_are_read_from_files() {
    let (_folder, path) = edited_mini("name = \"mini\"", "name = \"mine\"");
    assert_eq!(json(&format!("space count {path}"))["spaces"], "10000");
    let space = json(&format!("space show mine-0123-0101 --hyperspace {path}"));
    assert_eq!(space["stages"][1]["block"], "mobilenet-v1-dual");
}

#[test]
fn faults_of_hyperspaces_are_named() {
    for (from, to, part) in [
        (
            "window = 2",
            "window = 9",
            "stage[0].window: 9 is not between 1 and the number of widths, 3",
        ),
        ("\"resnet\"", "\"resent\"", "candidate[3].block: no block type `resent`; known are "),
        ("expand = [0.5, 1.0]", "expnad = [0.5]", "candidate[3].choices.expnad: no such axis"),
        (
            "widths = [16, 20, 24]",
            "widths = [16, 24, 20]",
            "stage[0].widths: [16, 24, 20] is not a list",
        ),
        ("depths = [1, 1]", "depths = [1, 1]\ncolour = 1", "stem[0] has no field `colour`"),
    ] {
        let (_folder, path) = edited_mini(from, to);
        let error = refusal(&format!("space count {path}"));
        assert!(error.starts_with(&format!("error: {path}: ")), "{error}");
        assert!(error.contains(part), "{error}");
    }
}
