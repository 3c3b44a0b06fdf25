//! `bench`: extra steps, run by the real program, again, and killed on the way.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
    slice, thread,
    time::Duration,
};

use serde_json::Value;

use super::{Place, check_schema, kill, tiny};

/// Where a bench is killed: the bench, the beginning of what it logs, milliseconds later.
const KILLS: [(&str, &str, u64); 4] = [
    ("spaces", "train-random: task supernet begins", 300),
    ("spaces", "train-manual: task ", 300),
    ("proxy", "proxy: task accuracy-found begins", 0),
    ("spaces", "spaces: task sampled-random begins", 0),
];

impl Place {
    /// The report of `bench <name>` without the paths of its files, which must exist.
    fn bench(&self, name: &str) -> Value {
        let (stdout, _) = self.finish(&["bench", name, "--json"]);
        let mut report: Value = serde_json::from_str(&stdout).unwrap();
        let files = report.as_object_mut().unwrap().remove("files").unwrap();
        for file in files.as_array().unwrap() {
            let content = fs::read_to_string(file.as_str().unwrap()).unwrap();
            assert!(content.len() > 100, "{file}");
        }
        assert!(files.to_string().contains(".svg") && files.to_string().contains(".csv"));
        check_schema(&format!("{name}.json"), slice::from_ref(&report));
        report
    }

    /// Runs a bench until it logs a line and `delay` has passed, and kills it. Whether it was still
    /// running.
    fn kill_at(&self, bench: &str, line: &str, delay: Duration) -> bool {
        let mut command = self.command(&["bench", bench], &tiny());
        command.env("SPACEWRIGHT_LOG", "debug").stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|logged| logged.contains(line)), "`{bench}` never logs `{line}`");
        // Somebody has to read on, or the process would stop at a full pipe.
        thread::spawn(move || lines.for_each(drop));
        thread::sleep(delay);
        kill(child)
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}

fn proxy_is_sound(report: &Value) {
    assert_eq!(report["n"], 16);
    let rankings = ["multiply_adds", "raw", "corrected", "weighted"];
    let by = rankings.map(|by| &report["held_out"][by]);
    for compared in [report].into_iter().chain(by) {
        for field in ["kendall_tau", "spearman"] {
            assert!((-1.0..=1.0).contains(&number(&compared[field])), "{field}: {compared}");
        }
    }
    for (part, n) in [("fitted", 8), ("held_out", 8), ("second", 6)] {
        assert_eq!(report[part]["n"], n, "{part}");
    }
    let manual = list(&report["manual"]);
    assert!(manual.len() >= 2 && manual.iter().all(|space| space["n"] == 4), "{manual:?}");
    assert_eq!(report["all"]["n"], 14 + 4 * manual.len());
    assert_eq!(report["parts"]["spaces"], 2 + manual.len());
    for by in rankings {
        let parts = &report["parts"][by];
        let part = |name: &str| number(&parts[name]["contribution"]);
        let sum = part("within") + part("between");
        assert!((sum - number(&report["all"][by]["kendall_tau"])).abs() < 1e-9, "{parts}");
    }
    assert_ne!(report["second"]["space"], report["space"]);
    let weights: Vec<f64> = list(&report["weights"]).iter().map(number).collect();
    assert_eq!(weights.len(), 2);
    assert!((weights.iter().sum::<f64>() - 2.0).abs() < 1e-9, "{weights:?}");
    let setting = report["setting"].as_str().unwrap();
    assert!(setting.starts_with("score = { stage_weights = ["), "{setting}");
    for subnet in list(&report["subnets"]) {
        let losses: Vec<f64> = list(&subnet["losses"]).iter().map(number).collect();
        assert!((losses.iter().sum::<f64>() - number(&subnet["loss"])).abs() < 1e-9);
        assert!(losses.iter().all(|loss| *loss > 0.0), "{subnet}");
        assert!((0.0..=1.0).contains(&number(&subnet["accuracy"])));
        assert!(number(&subnet["multiply_adds"]) > 0.0, "{subnet}");
    }
}

fn spaces_are_sound(report: &Value) {
    let spaces = list(&report["spaces"]);
    let names: Vec<&str> = spaces.iter().map(|space| space["name"].as_str().unwrap()).collect();
    assert_eq!(names[..2], ["found", "random"]);
    // One of the manual spaces may be the one that was found.
    assert_eq!(names.len() + list(&report["left_out"]).len(), 5, "{names:?}");
    for space in spaces {
        let networks = list(&space["networks"]).len();
        assert_eq!(networks + list(&space["infeasible_budgets_ms"]).len(), 2);
        for network in list(&space["networks"]) {
            assert!(number(&network["predicted_ms"]) <= number(&network["budget_ms"]));
            assert!(number(&network["int8_ms"]) > 0.0);
            assert!((0.0..=1.0).contains(&number(&network["test_accuracy"])));
        }
        let errors = &space["errors"];
        assert_eq!((&errors["n"], list(&errors["errors"]).len()), (&8.into(), 8));
        let shares: Vec<f64> = list(&errors["shares"]).iter().map(number).collect();
        assert!(shares.is_sorted() && shares[2] <= 1.0, "{shares:?}");
    }
    assert_eq!(list(&report["comparisons"]).len(), spaces.len() - 1);
    for compared in list(&report["comparisons"]) {
        for point in list(&compared["speed_ups"]) {
            let reached = point["ms"].as_f64().map(|ms| number(&point["other_ms"]) / ms);
            assert_eq!(reached, point["speed_up"].as_f64());
        }
    }
}

#[test]
fn benches_end_the_same_again_and_killed_in_every_step() {
    let first = Place::new();
    let (proxy, spaces) = (first.bench("proxy"), first.bench("spaces"));
    proxy_is_sound(&proxy);
    spaces_are_sound(&spaces);
    let (_, stderr) = first.finish(&["bench", "spaces"]);
    let lines = || stderr.lines().filter(|line| line.contains(": ") && !line.starts_with(' '));
    assert!(lines().count() >= 10, "{stderr}");
    assert!(lines().all(|line| line.contains(": unchanged, skipped")), "{stderr}");
    let (status, _) = first.finish(&["study", "show", "--json"]);
    let status: Value = serde_json::from_str(&status).unwrap();
    for step in list(&status["steps"]) {
        let of_a_bench =
            !["finetune", "export", "report", "plain"].contains(&step["step"].as_str().unwrap());
        assert_eq!(step["state"], if of_a_bench { "current" } else { "missing" }, "{step}");
    }

    let killed = Place::with_latencies_of(&first);
    for (bench, line, milliseconds) in KILLS {
        let running = killed.kill_at(bench, line, Duration::from_millis(milliseconds));
        assert!(running, "`{bench}` ended before it was killed at `{line}`");
    }
    assert_eq!(killed.bench("proxy"), proxy);
    assert_eq!(killed.bench("spaces"), spaces);
}

#[test]
fn a_space_that_is_not_compared_cannot_be_repeated() {
    let place = Place::new();
    let study = place.folder.path().join("repeats.toml");
    let hyperspace = tiny().with_file_name("tiny-space.toml");
    let text = fs::read_to_string(tiny()).unwrap();
    let text = text.replace("tiny-space.toml", hyperspace.to_str().unwrap());
    fs::write(&study, text.replace("seeds = 2", "seeds = 2\nspaces = [\"nope\"]")).unwrap();
    let output = place.command(&["bench", "spaces"], &study).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    for part in
        ["[repeats] spaces", "`nope` is none of the spaces of [rivals]", "name some of: random"]
    {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    assert!(!stderr.contains("begins"), "{stderr}");
}

/// The networks of the study and their rivals, which are trained for as many images.
#[test]
fn networks_trained_alone_stand_beside_those_of_the_study() {
    let place = Place::new();
    let plain = |place: &Place| -> Value {
        let (stdout, _) = place.finish(&["bench", "plain", "--seeds", "2", "--json"]);
        serde_json::from_str(&stdout).unwrap()
    };
    let report = plain(&place);
    check_schema("plain.json", slice::from_ref(&report));
    let images = &report["images"];
    let seen =
        ["teach", "distil", "correct", "train", "finetune"].map(|step| number(&images[step]));
    // Steps and batches of the study; six quality tables; four subnets a step.
    assert_eq!(
        seen[..4],
        [40.0 * 32.0, 6.0 * 18.0 * 16.0, 6.0 * 18.0 * 16.0, 4.0 * 36.0 * 16.0],
        "{images}"
    );
    assert!([288.0, 576.0].contains(&seen[4]), "{images}");
    let networks = list(&report["networks"]);
    // One that is trained alone may be the best for both budgets.
    let trained = number(&images["networks"]);
    assert!(networks.len() as f64 <= trained && trained <= 2.0, "{images}");
    let (all, supernet) = (seen.iter().sum::<f64>() / trained, seen[3] / trained);
    for network in networks {
        for accuracy in ["int8_accuracy", "as_searched_accuracy"] {
            assert!((0.0..=1.0).contains(&number(&network[accuracy])), "{network}");
        }
        let rivals = list(&network["rivals"]);
        let same = rivals.iter().filter(|rival| rival["kind"] == "chosen").count();
        assert!(same == 2 && (rivals.len() == 2 || rivals.len() == 4), "{network}");
        for rival in rivals {
            let share = if rival["share"] == "study" { all } else { supernet };
            // Whole batches, of two phases.
            let missing = share - number(&rival["images"]);
            assert!((0.0..33.0).contains(&missing), "{rival}");
            let near = number(&rival["int8_ms"]) / number(&network["int8_ms"]);
            assert!((0.5..2.0).contains(&near), "{network}");
            let trained = list(&rival["trained"]);
            let mean = trained.iter().map(|seed| number(&seed["int8"])).sum::<f64>() / 2.0;
            assert_eq!(trained.len(), 2);
            assert!((mean - number(&rival["int8"]["mean"])).abs() < 1e-9);
            assert!(number(&rival["int8"]["standard_error"]) >= 0.0);
        }
    }
    for difference in list(&report["differences"]) {
        assert!(number(&difference["deployed"]).abs() <= 1.0);
    }
    // The same with the same latencies, elsewhere.
    let other = plain(&Place::with_latencies_of(&place));
    assert_eq!(other["networks"], report["networks"]);
}
