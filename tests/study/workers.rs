//! The processes that train: what happens when they, or who started them, are killed.

use rustix::process::{Pid, Signal, kill_process};

use super::*;

/// Processes that this one has started, by their numbers.
pub fn children(parent: u32) -> Vec<u32> {
    let started_by_parent = |entry: &fs::DirEntry| {
        // Number, name in parentheses, state, parent.
        let text = fs::read_to_string(entry.path().join("stat")).ok()?;
        let after_name = text.rsplit_once(')')?.1;
        let found = after_name.split_whitespace().nth(1)?.parse::<u32>().ok()?;
        (found == parent).then(|| entry.file_name().to_str()?.parse().ok())?
    };
    fs::read_dir("/proc").unwrap().filter_map(|entry| started_by_parent(&entry.ok()?)).collect()
}

fn is_running(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // A zombie has ended.
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

/// Whether something becomes so within some seconds.
pub fn soon(mut is_so: impl FnMut() -> bool) -> bool {
    (0..1000).any(|_| {
        let so = is_so();
        if !so {
            thread::sleep(Duration::from_millis(10));
        }
        so
    })
}

/// Sends a signal to a process, which may have ended by itself.
pub fn send_signal(process: u32, signal: Signal) {
    let process = Pid::from_raw(process.try_into().unwrap()).unwrap();
    let _ = kill_process(process, signal);
}

/// A run that is in a step, and its processes that train; none where the step is over already.
fn run_until(place: &Place, step: &str) -> Option<(Child, ChildStderr, Vec<u32>)> {
    let mut child = place.command(&["run"], &tiny()).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = child.stderr.take().unwrap();
    let mut lines = BufReader::new(stderr);
    let mut line = String::new();
    while lines.read_line(&mut line).unwrap() > 0 {
        let begins = line.starts_with(&format!("{step}: ")) && !line.contains(": unchanged");
        if begins && !line.contains(": finished") {
            let id = child.id();
            let mut workers = Vec::new();
            soon(|| {
                workers = children(id);
                !workers.is_empty() || !is_running(id)
            });
            return Some((child, lines.into_inner(), workers));
        }
        line.clear();
    }
    child.wait().unwrap();
    None
}

#[test]
fn a_worker_that_is_killed_is_named_and_the_next_run_goes_on() {
    let whole = Place::new();
    whole.finish(&["run"]);
    let place = Place::with_latencies_of(&whole);
    let mut killed = 0;
    for step in ["teach", "distil", "train", "finetune"] {
        let Some((child, mut stderr, workers)) = run_until(&place, step) else { continue };
        for worker in &workers {
            send_signal(*worker, Signal::KILL);
        }
        let mut text = String::new();
        std::io::Read::read_to_string(&mut stderr, &mut text).unwrap();
        let status = child.wait_with_output().unwrap().status;
        if workers.is_empty() || status.success() {
            continue;
        }
        assert_eq!(status.code(), Some(1), "{text}");
        assert!(text.contains("was ended by signal 9 (SIGKILL) while"), "{step}: {text}");
        assert!(text.contains(&format!("error: step `{step}`: task `")), "{text}");
        assert!(text.contains("hint: ") && text.contains("memory"), "{text}");
        killed += 1;
    }
    // A step may be over before the signal arrives, but not all of them.
    assert!(killed > 0);
    place.finish(&["run"]);
    assert_eq!(place.results(), whole.results());
}

#[test]
fn no_worker_outlives_its_head() {
    let place = Place::new();
    let (mut child, stderr, workers) = run_until(&place, "teach").unwrap();
    assert!(!workers.is_empty());
    drop(stderr);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(soon(|| !workers.iter().any(|worker| is_running(*worker))));
}

#[test]
fn a_request_to_stop_leaves_nothing_behind() {
    let place = Place::new();
    let (child, mut stderr, workers) = run_until(&place, "teach").unwrap();
    send_signal(child.id(), Signal::INT);
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stderr, &mut text).unwrap();
    let status = child.wait_with_output().unwrap().status;
    assert_eq!(status.code(), Some(130), "{text}");
    assert!(soon(|| !workers.iter().any(|worker| is_running(*worker))));
}

#[test]
fn a_trainer_that_is_none_is_refused_with_what_to_do() {
    let place = Place::new();
    place.finish(&["measure", "--with-inputs"]);
    let refused = |program: &str| {
        let mut command = place.command(&["teach"], &tiny());
        let output = command.env("SPACEWRIGHT_TRAINER", program).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let missing = refused("/no/such/program");
    assert!(missing.contains("cannot start the trainer, /no/such/program"), "{missing}");
    assert!(missing.contains("hint: build both programs"), "{missing}");
    let silent = refused("/bin/true");
    assert!(silent.contains("ended with code 0 while starting"), "{silent}");
}

#[test]
fn the_trainer_says_who_starts_it() {
    let output = Command::new(env!("CARGO_BIN_EXE_spacewright-torch"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("hint: `spacewright run STUDY`"));
}

#[test]
fn the_command_needs_no_library_that_trains() {
    let program = fs::read(env!("CARGO_BIN_EXE_spacewright")).unwrap();
    for library in ["libtorch_cpu.so", "libc10.so"] {
        assert!(
            !program.windows(library.len()).any(|part| part == library.as_bytes()),
            "{library}"
        );
    }
}

#[test]
fn how_fast_a_supernet_is_trained_is_measured() {
    let place = Place::new();
    let plan = place.folder.path().join("plan.json");
    let output = Command::new(env!("CARGO_BIN_EXE_spacewright"))
        .args(["bench", "train", "tiny-00-00", "--batch", "4", "--steps", "2", "--json"])
        .args(["--micro-batch", "2", "--threads", "1", "--device", "cpu", "--hyperspace"])
        .arg(tiny().with_file_name("tiny-space.toml"))
        .arg("--plan")
        .arg(&plan)
        .env("SPACEWRIGHT_HOME", place.home())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["device"], &report["precision"]), (&"cpu".into(), &"fp32".into()));
    for precision in ["fp32", "int8"] {
        assert!(report[format!("{precision}_images_per_second")].as_f64().unwrap() > 0.0);
        let phases = report["phases"][precision].as_object().unwrap();
        let shares = phases.values().map(|share| share.as_f64().unwrap());
        assert!((shares.sum::<f64>() - 1.0).abs() < 1e-6, "{report}");
        assert!(phases["backward"].as_f64().unwrap() > 0.0);
    }
    let plan: Value = serde_json::from_slice(&fs::read(plan).unwrap()).unwrap();
    let graphs = plan["graphs"].as_array().unwrap().len();
    let steps = plan["steps"].as_array().unwrap();
    // Three come before those that are measured.
    assert_eq!(steps.len(), 3 + 2);
    for step in steps {
        let subnets = step.as_array().unwrap();
        assert_eq!(subnets.len(), 4);
        assert!(subnets.iter().all(|subnet| (subnet.as_u64().unwrap() as usize) < graphs));
    }
}
