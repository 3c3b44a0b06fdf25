//! `space explain`, and searches for several devices and between objectives, on the tables that
//! SpaceEvo published.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{json, published::tables, refusal, text};

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("a number instead of {value}"))
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("a list instead of {value}"))
}

with_tables! {
    fn a_space_is_explained_by_its_neighbours_support_and_distributions() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("plots");
        let report = json(&format!(
            "space explain onnxw-151121-012130 --tables {} --constraint 10 --constraint 15.5 \
             --against onnxw-151122-023231 onnxw-333333-111111 onnxw-151122-023231 \
             onnxw-151121-012130 --out {}",
            tables(),
            out.display()
        ));
        let score = number(&report["score"]);
        assert!(number(&report["error_bound"]) < 1e-3 * score, "{}", report["error_bound"]);

        let constraints = list(&report["constraints"]);
        assert_eq!(constraints.len(), 2);
        let sum: f64 = constraints.iter().map(|part| number(&part["score"])).sum();
        assert!((sum - score).abs() < 1e-12);
        for part in constraints {
            assert!(number(&part["feasible"]) > 0.001 && number(&part["quality"]) > 2.0, "{part}");
            assert!(number(&part["least_support"]) > 2.0, "{part}");
        }

        let stages = list(&report["stages"]);
        assert_eq!(stages.len(), 6);
        assert_eq!(stages[1]["block"], "fused-mbconv-res");
        assert_eq!(stages[1]["widths"], serde_json::json!([48, 64]));
        for stage in stages {
            let rows = number(&stage["support"][0]["rows"]);
            assert!(number(&stage["support"][0]["effective"]) < rows, "{}", stage["support"]);
            let differences: Vec<f64> =
                list(&stage["alternatives"]).iter().map(|other| number(&other["difference"])).collect();
            assert!(differences.len() >= 11 && differences.is_sorted_by(|a, b| a >= b));
        }
        // What an alternative is said to score is what it scores.
        let other = &stages[2]["alternatives"][0];
        let (block, window) = (&other["candidate"], &other["window"]);
        let scored = json(&format!(
            "space score onnxw-15{block}121-01{window}130 --tables {} --constraint 10 \
             --constraint 15.5",
            tables()
        ));
        let difference = number(&scored["spaces"][0]["score"]) - number(&other["score"]);
        // Grids depend on the tables that were read.
        assert!(difference.abs() < 1e-4, "{difference}");

        check_distributions(&report);
        check_files(&report, &out);
    }
}

fn check_distributions(report: &Value) {
    let spaces = list(&report["spaces"]);
    let with_role = |role: &str| spaces.iter().filter(|space| space["role"] == role).count();
    assert_eq!((with_role("explained"), with_role("against")), (1, 2));
    let shown = spaces.iter().filter(|space| space["shown"] == true && space["role"] == "uniform");
    // Six block types; the best space of one of them is among those of --against.
    assert_eq!(shown.count(), 5);
    for space in spaces {
        for part in list(&space["constraints"]) {
            let losses: Vec<f64> = list(&part["losses"]).iter().filter_map(Value::as_f64).collect();
            let feasible = number(&part["feasible"]) > 0.0;
            assert_eq!(losses.len(), if feasible { 5 } else { 0 }, "{space}");
            assert!(losses.is_sorted(), "{space}");
        }
    }
    // The feasible share of the distribution is that of the score.
    for (part, scored) in list(&spaces[0]["constraints"]).iter().zip(list(&report["constraints"])) {
        let shares = number(&part["feasible"]) / number(&scored["feasible"]);
        assert!((shares - 1.0).abs() < 1e-3, "{part} {scored}");
        assert!(number(&part["losses"][0]) < number(&scored["quality"]));
    }
}

fn check_files(report: &Value, folder: &Path) {
    let files: Vec<&str> =
        list(&report["files"]).iter().map(|file| file.as_str().unwrap()).collect();
    let path = |name: &str| folder.join(name).display().to_string();
    assert_eq!(files, ["edf.csv", "edf-10.svg", "edf-15.5.svg"].map(path));
    let csv = fs::read_to_string(files[0]).unwrap();
    assert!(csv.starts_with("space,limit_ms,loss,share,share_of_all\n"));
    for start in ["onnxw-151121-012130,10,", "onnxw-151122-023231,15.5,", "onnxw-000000-000000,10,"]
    {
        let mut last = 0.0;
        for line in csv.lines().filter(|line| line.starts_with(start)) {
            let share: f64 = line.split(',').nth(3).unwrap().parse().unwrap();
            assert!(share >= last && share <= 1.0, "{line}");
            last = share;
        }
        assert!(last > 0.99, "{start} ends at {last}");
    }
    let svg = fs::read_to_string(files[1]).unwrap();
    assert!(svg.contains("within 10 ms") && svg.contains("onnxw-151122-023231"));
}

with_tables! {
    fn limits_far_apart_and_out_of_reach_are_judged_each_by_itself() {
        let score = |limits: &str| {
            let space = format!("space score onnxw-151121-012130 --tables {}", tables());
            json(&format!("{space} {limits}"))["spaces"][0]["constraints"].clone()
        };
        let alone = score("--constraint 10")[0].clone();
        let together = score("--constraint 10 --constraint 100000 --constraint 1e-20");
        assert_eq!(together[0], alone);
        assert!((number(&together[1]["feasible"]) - 1.0).abs() < 1e-6, "{together}");
        assert_eq!((number(&together[2]["feasible"]), &together[2]["quality"]), (0.0, &Value::Null));
        let explain = "space explain onnxw-151121-012130 --constraint 1e-20 --tables";
        let shown = text(&format!("{explain} {}", tables()));
        assert!(shown.contains("0.000 %   -  "), "{shown}");
    }
}

with_tables! {
    fn only_scorers_with_an_analysis_explain() {
        let explain = format!("space explain onnxw-151121-012130 --tables {}", tables());
        let error = refusal(&format!("{explain} --constraint 10 --score monte-carlo"));
        assert!(error.contains("the scorer `q-t` gives scores only"), "{error}");
        assert!(error.contains("hint: use the scorer `q-t` in the mode `exact`"), "{error}");
        let error = refusal(&format!("{explain} --constraint 10 --against mobilew-122222-155400"));
        assert!(error.contains("mobilew"), "{error}");
        let shown = text(&format!("{explain} --constraint 10"));
        for part in ["fewest rows", "stage3", "other block", "fused-mbconv-res", "0.01 %"] {
            assert!(shown.contains(part), "{part} is not in\n{shown}");
        }
    }
}

/// Tables of a device on which two block types are half as fast.
fn other_device() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(format!("{}/onnxw", tables())).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let slower = |line: &str| {
            let (rest, ms) = line.rsplit_once(',').unwrap();
            format!("{rest},{:.4}\n", 2.0 * ms.trim().parse::<f64>().unwrap())
        };
        let text = fs::read_to_string(&path).unwrap();
        let slow = name.contains("_1_") || name.contains("_5_");
        let text = if slow { text.lines().map(slower).collect() } else { text };
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

with_tables! {
    fn a_space_for_two_devices_says_what_each_loses() {
        let other = other_device();
        let tables = tables();
        let search = format!(
            "space search --hyperspace onnxw --tables {tables} --constraint 10 --evaluations 600 \
             --strategy-options {{\"population\":100,\"parents\":25}} --quiet"
        );
        let other = other.path().display();
        let found = json(&format!("{search} --and {other}=10,15"));
        let devices = list(&found["devices"]);
        assert_eq!(devices[1]["constraints_ms"], serde_json::json!([10.0, 15.0]));
        assert_ne!(devices[0]["best_alone"], devices[1]["best_alone"]);
        let mut kept = 0.0;
        for (device, tables) in devices.iter().zip([&*tables, &*other.to_string()]) {
            assert_eq!(device["tables"], tables);
            let (alone, common) = (number(&device["score_alone"]), number(&device["score"]));
            assert!((number(&device["lost"]) - (1.0 - common / alone)).abs() < 1e-12);
            assert!(number(&device["lost"]) < 0.1, "{device}");
            kept += common / alone / 2.0;
        }
        assert!((number(&found["score"]) - kept).abs() < 1e-9, "{found}");
        // Neither device's own best is better for both.
        for device in devices {
            let best = device["best_alone"].as_str().unwrap();
            let share = |tables: &str, limits: &str, alone: &Value| {
                let scored = json(&format!("space score {best} --tables {tables} {limits}"));
                number(&scored["spaces"][0]["score"]) / number(alone)
            };
            let first = share(&tables, "--constraint 10", &devices[0]["score_alone"]);
            let limits = "--constraint 10 --constraint 15";
            let second = share(&other.to_string(), limits, &devices[1]["score_alone"]);
            assert!((first + second) / 2.0 <= kept + 1e-4, "{best}: {first} {second} {kept}");
        }
        let error = refusal(&format!("{search} --and {other}"));
        assert!(error.contains("`DIR=15,20`"), "{error}");

        let proved = json(&format!(
            "space search --hyperspace onnxw --tables {tables} --constraint 10 --evaluations 100 --quiet \
             --and {other}=10 --strategy exact --strategy-options {{\"candidates\":1000}}"
        ));
        assert!((0.0..0.1).contains(&number(&proved["gap"])), "{proved}");
    }
}

with_tables! {
    fn fronts_hold_what_no_other_space_beats() {
        let search = |flags: &str| {
            format!(
                "space search --hyperspace onnxw --tables {} --constraint 10 --evaluations 300 \
                 --quiet {flags}",
                tables()
            )
        };
        let found = json(&search("--constraint 15 --front constraints"));
        let front = list(&found["front"]);
        assert!(front.len() > 2, "{found}");
        for pair in front.windows(2) {
            let [a, b] = [&pair[0], &pair[1]].map(|row| &row["contributions"]);
            assert!(number(&a[0]) > number(&b[0]) && number(&a[1]) < number(&b[1]), "{a} {b}");
            assert_eq!(list(&pair[0]["qualities"]).len(), 2);
        }
        let best = front.iter().map(|row| number(&row["score"])).fold(0.0, f64::max);
        assert!(best >= number(&found["score"]));

        let found = json(&search("--front size"));
        let front = list(&found["front"]);
        assert!(front.len() > 5, "{found}");
        for pair in front.windows(2) {
            assert!(number(&pair[0]["score"]) > number(&pair[1]["score"]));
            assert!(number(&pair[0]["log10_subnets"]) > number(&pair[1]["log10_subnets"]));
        }
        let shown = text(&search("--front size --strategy descent"));
        assert!(shown.contains("spaces that no other beats"), "{shown}");
        let error = refusal(&search("--front constraints"));
        assert!(error.contains("at least two"), "{error}");
    }
}

/// Whether two lines have the same words, and numbers that differ in their last digits at most.
fn are_alike(shown: &str, printed: &str) -> bool {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<String>>();
    let (shown, printed) = (words(shown), words(printed));
    let alike = |(a, b): (&String, &String)| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => (a - b).abs() <= 3e-5 + 2e-3 * b.abs(),
        _ => a == b,
    };
    shown.len() == printed.len() && shown.iter().zip(&printed).all(alike)
}

with_tables! {
    fn the_document_shows_what_is_printed() {
        let folder = tempfile::tempdir().unwrap();
        let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/spaces.md");
        let document = fs::read_to_string(document).unwrap();
        let (_, section) = document.split_once("## Explain").unwrap();
        let mut blocks = section.split("```").skip(1).step_by(2);
        let command = blocks.next().and_then(|block| block.strip_prefix("sh\nspacewright ")).unwrap();
        let shown = blocks.next().and_then(|block| block.strip_prefix("text\n")).unwrap();
        let plots = folder.path().join("plots");
        let command = command.replace("\\\n", " ").replace("DIR", &tables());
        let printed = text(&command.replace("plots", plots.to_str().unwrap()));
        let printed = printed.replace(folder.path().to_str().unwrap(), "").replace("/plots/", "plots/");
        // How exact a score is depends on the processor's instructions.
        for (shown, printed) in shown.lines().zip(printed.lines()).skip(1) {
            assert!(are_alike(shown, printed), "docs/spaces.md shows\n{shown}\nand not\n{printed}");
        }
        assert_eq!(shown.lines().count(), printed.lines().count());
    }
}
