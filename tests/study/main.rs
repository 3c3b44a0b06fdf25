//! Whole studies, run by the real program: to their end, again, and killed on the way.
#![cfg(all(unix, feature = "torch"))]

mod bench;
mod clusters;
mod compare;
mod devices;
mod faults;
mod guides;
mod page;
mod photographs;
mod processes;
mod published;
mod quantize;
#[cfg(feature = "serve")]
mod serve;
mod teachers;
mod workers;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    slice,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

const STEPS: [&str; 12] = [
    "tables",
    "measure",
    "teach",
    "distil",
    "train-mixed",
    "correct",
    "evolve",
    "train",
    "search",
    "finetune",
    "export",
    "report",
];

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/study/tiny.toml")
}

/// A place for runs with caches of its own.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A place that starts with the latencies that another has measured.
    fn with_latencies_of(other: &Self) -> Self {
        let place = Self::new();
        fs::create_dir_all(place.home()).unwrap();
        fs::copy(other.cache(), place.cache()).unwrap();
        place
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    fn cache(&self) -> PathBuf {
        self.home().join("latency.sqlite")
    }

    fn run_folder(&self) -> PathBuf {
        self.folder.path().join("runs/tiny")
    }

    fn command(&self, arguments: &[&str], study: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spacewright"));
        command
            .args(arguments)
            .arg(study)
            .arg("--runs")
            .arg(self.folder.path().join("runs"))
            .args(["--threads", "1"])
            .env("SPACEWRIGHT_HOME", self.home())
            .env("OMP_WAIT_POLICY", "passive")
            .env("OMP_NUM_THREADS", "1");
        command
    }

    /// Runs to the end; standard output and standard error.
    fn finish(&self, arguments: &[&str]) -> (String, String) {
        let output = self.command(arguments, &tiny()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        (stdout, stderr)
    }

    /// Runs until a step has begun and `delay` has passed or the step has ended, or to the end of the run if
    /// that step is done already, and kills the process. Whether it was still running.
    fn kill_in(&self, step: &str, delay: Duration) -> bool {
        let mut child = self.command(&["run"], &tiny()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = lines(child.stderr.take().unwrap());
        let said = |line: &str| Some(line.strip_prefix(step)?.strip_prefix(": ")?.to_owned());
        let ends = |line: &str| said(line).is_some_and(|rest| rest.starts_with("finished"));
        let begins = |line: &str| {
            !ends(line) && said(line).is_some_and(|rest| !rest.starts_with("unchanged"))
        };
        if lines.iter().any(|line| begins(&line)) {
            let time = Instant::now() + delay;
            // This run may be faster than the one by which `delay` was chosen.
            while let Ok(line) = lines.recv_timeout(time.saturating_duration_since(Instant::now()))
                && !ends(&line)
            {}
        }
        kill(child)
    }

    /// The report without what clocks decide.
    fn report(&self) -> Value {
        let text = fs::read_to_string(self.run_folder().join("report.json")).unwrap();
        let mut report: Value = serde_json::from_str(&text).unwrap();
        check_schema("report.json", slice::from_ref(&report));
        report.as_object_mut().unwrap().remove("seconds");
        report
    }

    /// Content of the published files, and names of all artifacts, which are their hashes.
    fn results(&self) -> (Value, BTreeMap<String, Vec<u8>>, Vec<String>) {
        let names = |folder: &Path| {
            let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
            let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
            names.retain(|name| !name.contains(".damaged-"));
            names.sort();
            names
        };
        let models = names(&self.run_folder()).into_iter().filter(|name| name.ends_with(".onnx"));
        let content = |name: String| {
            let bytes = fs::read(self.run_folder().join(&name)).unwrap();
            (name, bytes)
        };
        let objects = names(&self.run_folder().join("objects"));
        (self.report(), models.map(content).collect(), objects)
    }

    fn latencies(&self) -> BTreeMap<String, f64> {
        let Ok(cache) = Connection::open(self.cache()) else { return BTreeMap::new() };
        let rows = "SELECT graph || precision || position || fingerprint, ms FROM latencies";
        let Ok(mut statement) = cache.prepare(rows) else { return BTreeMap::new() };
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }
}

/// That reports are as the schema says that programs are given.
fn check_schema(name: &str, reports: &[Value]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spacewright"));
    let output = command.args(["study", "schema", "--report", name]).output().unwrap();
    let schema = serde_json::from_slice(&output.stdout).unwrap();
    let schema = jsonschema::draft7::new(&schema).unwrap();
    assert!(!reports.is_empty(), "{name}");
    for report in reports {
        let problem = schema.validate(report).map_err(|error| error.to_string());
        assert_eq!(problem, Ok(()), "{name}: {report:#}");
    }
}

/// What a process says, line by line. All is read even if nobody listens, or the process would stop at a full pipe.
fn lines(stderr: ChildStderr) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    receiver
}

fn kill(mut child: Child) -> bool {
    const SIGKILL: i32 = 9;
    child.kill().unwrap();
    child.wait().unwrap().signal() == Some(SIGKILL)
}

#[test]
fn a_study_ends_the_same_again_and_killed_in_every_step() {
    let first = Place::new();
    first.finish(&["run"]);
    let (_, stderr) = first.finish(&["run"]);
    let skipped = stderr.lines().filter(|line| line.contains(": unchanged, skipped")).count();
    assert_eq!(skipped, STEPS.len(), "{stderr}");

    let again = Place::with_latencies_of(&first);
    let (stdout, _) = again.finish(&["run", "--json"]);
    let seconds = serde_json::from_str::<Value>(&stdout).unwrap()["seconds"].clone();
    assert_eq!(again.results(), first.results());

    let killed = Place::with_latencies_of(&first);
    for step in STEPS {
        let half = seconds[step].as_f64().unwrap_or_default() / 2.0;
        let running = killed.kill_in(step, Duration::from_secs_f64(half));
        // These take a moment: all may be over before the signal arrives.
        let short = ["tables", "correct", "search", "export", "report"].contains(&step);
        assert!(running || short, "`{step}` ended before it was killed");
    }
    killed.finish(&["run"]);
    assert_eq!(killed.results(), first.results());
}

#[test]
fn a_teacher_can_be_taken_from_another_run() {
    let place = Place::new();
    place.finish(&["teach"]);
    let teacher = place.run_folder().join("teacher");

    let other = Place::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/study");
    let text = fs::read_to_string(folder.join("tiny.toml")).unwrap();
    // The path is relative to the study.
    let kept = other.folder.path().join("kept");
    fs::create_dir(&kept).unwrap();
    let weights = |folder: &Path| folder.join("weights.safetensors");
    fs::copy(teacher.join("graph.json"), kept.join("graph.json")).unwrap();
    fs::copy(weights(&teacher), weights(&kept)).unwrap();
    let study = other.folder.path().join("tiny.toml");
    fs::write(&study, text.replace("[teach]", "[teach]\nmodel = \"kept\"")).unwrap();
    fs::copy(folder.join("tiny-space.toml"), other.folder.path().join("tiny-space.toml")).unwrap();
    let mut command = other.command(&["teach"], &study);
    assert!(command.output().unwrap().status.success());
    let taken = other.run_folder().join("teacher");
    assert_eq!(fs::read(weights(&taken)).unwrap(), fs::read(weights(&teacher)).unwrap());

    let mut show = other.command(&["study", "show"], &study);
    let states = |command: &mut Command| {
        let output = command.output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    assert!(!states(&mut show).0.contains("model"));
    fs::write(weights(&kept), "other weights").unwrap();
    let changed =
        "teach: the content of the file of [teach] model, weights.safetensors has changed";
    assert!(states(&mut show).0.contains(changed));
    fs::remove_file(weights(&kept)).unwrap();
    let (_, refused) = states(&mut show);
    assert!(refused.contains("[teach] model: there is no file"), "{refused}");
    assert!(refused.contains("spacewright model import"), "{refused}");
}

#[test]
fn what_an_earlier_version_trained_is_trained_anew() {
    let place = Place::new();
    fs::create_dir_all(place.run_folder()).unwrap();
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/study/run-format-1/run.sqlite");
    fs::copy(kept, place.run_folder().join("run.sqlite")).unwrap();
    let (stdout, _) = place.finish(&["study", "show", "--json"]);
    let status: Value = serde_json::from_str(&stdout).unwrap();
    // Images were prepared otherwise.
    let steps = status["steps"].as_array().unwrap();
    let taken_over = |name: &str| {
        steps.iter().find(|step| step["step"] == name).unwrap()["taken_over"].as_bool()
    };
    assert_eq!(["teach", "distil"].map(taken_over), [Some(false); 2], "{stdout}");
}

#[test]
fn how_a_step_went_is_kept() {
    let place = Place::new();
    place.finish(&["teach", "--quiet"]);
    let (stdout, _) = place.finish(&["study", "history", "--json", "--step", "teach"]);
    let history: Value = serde_json::from_str(&stdout).unwrap();
    let step = &history["steps"][0];
    assert_eq!(step["attempts"][0]["outcome"], "finished");
    assert!(step["attempts"][0]["core_seconds"].as_f64().unwrap() > 0.0);
    // The library that trains has some hundred megabytes.
    assert!(step["attempts"][0]["peak_bytes"].as_u64().unwrap() > 50_000_000);
    let curve = &step["curves"][0];
    assert_eq!(curve["task"], "teacher");
    let last = curve["points"].as_array().unwrap().last().unwrap();
    assert!(last["held_out_accuracy"].as_f64().unwrap() > 0.0, "{last}");
    let events = step["events"].as_array().unwrap();
    assert_eq!(events[0]["event"]["event"], "step_started");
    let (text, _) = place.finish(&["study", "history"]);
    assert!(text.contains("teacher") && text.contains("finished"), "{text}");
}

#[test]
fn programs_get_an_event_a_line() {
    let place = Place::new();
    let (stdout, stderr) =
        place.finish(&["teach", "--with-inputs", "--progress", "json", "--json"]);
    assert!(serde_json::from_str::<Value>(&stdout).is_ok(), "{stdout}");
    let events: Vec<Value> =
        stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    check_schema("progress", &events);
    let of = |kind: &'static str| events.iter().filter(move |event| event["event"] == kind);
    assert!(of("step_started").any(|event| event["step"] == "teach"), "{stderr}");
    let last = of("progress").rfind(|event| event["task"] == "teacher").unwrap();
    assert_eq!(last["done"], last["total"]);
    let phase = |event: &Value| event["point"]["phase"].clone();
    assert!(of("curve").all(|event| phase(event).is_string()));
    assert_eq!(of("step_finished").next_back().unwrap()["step"], "teach");
    let (_, stderr) = place.finish(&["teach", "--progress", "json", "--quiet"]);
    assert_eq!(stderr, "");
}

#[test]
fn what_was_measured_is_not_measured_again() {
    let place = Place::new();
    let child = place.command(&["measure"], &tiny()).spawn().unwrap();
    for _ in 0..1000 {
        if !place.latencies().is_empty() {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let running = kill(child);
    let before = place.latencies();
    assert!(!before.is_empty());
    place.finish(&["measure"]);
    let after = place.latencies();
    assert!(!running || after.len() > before.len());
    assert!(before.iter().all(|(key, ms)| after[key] == *ms));
}

#[test]
fn latencies_are_measured_with_as_many_threads_as_the_study_says() {
    let place = Place::new();
    let space = tiny().with_file_name("tiny-space.toml");
    let text = fs::read_to_string(tiny()).unwrap();
    let text = text.replace("\"tiny-space.toml\"", &format!("{:?}", space.display().to_string()));
    let study = place.folder.path().join("threads.toml");
    fs::write(&study, text.replace("[measure]", "[measure]\nthreads = 2")).unwrap();
    let output = place.command(&["measure", "--with-inputs"], &study).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("latency budgets with 2 threads: "), "{stderr}");
    let cache = Connection::open(place.cache()).unwrap();
    let mut rows = cache.prepare("SELECT DISTINCT fingerprint FROM latencies").unwrap();
    let known: Vec<String> =
        rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(!known.is_empty() && known.iter().all(|of| of.contains("; threads=2; ")), "{known:?}");
    let output = place.command(&["study", "compare"], &tiny()).arg(&study).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("with 1 thread(s) in one study, with 2 in another"), "{stderr}");
}

#[test]
fn the_report_holds_what_was_verified() {
    let place = Place::new();
    place.finish(&["run", "--quiet"]);
    let report = place.report();
    assert_eq!(report["space"]["found_by"], "exact");
    assert!(report["gap"].as_f64().unwrap() < 5e-5, "{}", report["gap"]);
    let correction = &report["correction"];
    assert_eq!(correction["networks"], 6);
    let factors = correction["factors"].as_array().unwrap();
    assert_eq!(factors.len(), 2);
    for of_stage in factors {
        let of_stage = of_stage.as_array().unwrap();
        assert_eq!(of_stage.len(), 3);
        assert!(of_stage.iter().all(|factor| factor.as_f64().unwrap() > 0.0), "{correction}");
    }
    let budgets = report["budgets"].as_array().unwrap();
    assert_eq!(budgets.len(), 2);
    for choice in report["choices"].as_array().unwrap() {
        assert!(choice["best_alternative"]["difference"].as_f64().unwrap() <= 0.0, "{choice}");
        let support = choice["support"].as_array().unwrap();
        assert_eq!(support.len(), 2);
        assert!(support.iter().all(|rows| rows.as_f64().is_none_or(|rows| rows >= 1.0)));
    }
    for budget in budgets {
        let number = |field: &str| budget[field].as_f64().unwrap();
        assert_eq!(budget["wrong_operators"], Value::Array(Vec::new()));
        assert!(number("checked_integers") > 1000.0);
        assert!(number("predicted_ms") <= number("budget_ms"));
        assert!((number("int8_accuracy") - number("fake_quant_accuracy")).abs() < 0.1);
        assert!(number("int8_ms") > 0.0 && number("fp32_ms") > 0.0);
        let float = budget["float_operators"].to_string();
        assert!(!float.contains("Conv") && !float.contains("Gemm"), "{float}");
        for file in ["file", "fp32_file"] {
            assert!(place.run_folder().join(budget[file].as_str().unwrap()).exists());
        }
        let folder = budget["fp32_file"].as_str().unwrap().trim_end_matches(".onnx");
        assert!(place.run_folder().join(folder).join("weights.safetensors").exists());
    }
}
