use std::{fs, time::Instant};

use rusqlite::Connection;
use spacewright_core::train::{CurvePoint, Usage};

use super::*;
use crate::{files::write_atomically, keys::Ingredients};

fn ingredients() -> Ingredients {
    serde_json::from_value(serde_json::json!({
        "format": 2, "program": "0.1.0", "method": "fake", "step": "step", "seed": 0, "sections": {},
        "inputs": {}, "hyperspace": "", "target": "fake-target", "scheme": "",
    }))
    .unwrap()
}

/// A run with one step that was begun under the key `key`.
fn run() -> (tempfile::TempDir, Store, i64) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).unwrap();
    let study = r#"{ "method": "fake", "target": "here", "more": [1] }"#;
    write_atomically(&folder.path().join("study.json"), study.as_bytes()).unwrap();
    store.begin("step", "key", &ingredients()).unwrap();
    let attempt = store.attempt("key").unwrap();
    (folder, store, attempt)
}

fn tell(store: &Store, done: usize) {
    let (step, task) = ("step".into(), "task".into());
    let event = Event::Progress { step, task, done, total: 10, note: "loss 1".into() };
    store.event("key", &event).unwrap();
}

#[test]
fn a_run_is_seen_as_it_goes_on() {
    let (folder, store, attempt) = run();
    let lock = Lock::run(folder.path()).unwrap();
    store.event("key", &Event::Tasks { step: "step".into(), done: 0, total: 2 }).unwrap();
    tell(&store, 0);
    let mut live = LiveRun::open(folder.path()).unwrap();
    let now = live.now().unwrap();
    assert_eq!((now.state, now.step.as_deref()), (RunState::Running, Some("step")));
    assert_eq!((now.method.as_str(), now.target.as_str()), ("fake", "here"));
    assert_eq!(now.progress.unwrap().share(), 0.0);

    let version = live.version().unwrap();
    assert_eq!(live.version().unwrap(), version);
    tell(&store, 5);
    assert_ne!(live.version().unwrap(), version);
    let progress = live.now().unwrap().progress.unwrap();
    assert_eq!((progress.share(), progress.running[0].note.as_str()), (0.25, "loss 1"));

    store.attempted(attempt, Usage::default(), AttemptOutcome::Running).unwrap();
    let outcome = |live: &LiveRun| live.histories().unwrap()[0].attempts[0].outcome;
    assert_eq!(outcome(&live), AttemptOutcome::Running);
    drop(lock);
    assert_eq!(live.now().unwrap().state, RunState::Killed, "nobody has its lock");
    assert_eq!(outcome(&live), AttemptOutcome::Killed);
    store.attempted(attempt, Usage::default(), AttemptOutcome::Finished).unwrap();
    assert_eq!(live.now().unwrap().state, RunState::Finished);
}

#[test]
fn why_a_step_failed_is_told() {
    let (folder, store, attempt) = run();
    let (step, reason) = ("step".into(), "no memory".into());
    store.event("key", &Event::StepStopped { step, reason }).unwrap();
    store.attempted(attempt, Usage::default(), AttemptOutcome::Failed).unwrap();
    let now = LiveRun::open(folder.path()).unwrap().now().unwrap();
    assert_eq!((now.state, now.reason.as_deref()), (RunState::Failed, Some("no memory")));
}

#[test]
fn networks_are_judged_once() {
    let (folder, store, _) = run();
    let mut live = LiveRun::open(folder.path()).unwrap();
    let network = |name: &str, accuracy: f64| JudgedNetwork {
        network: name.into(),
        latency_ms: 1.0,
        accuracy,
    };
    for networks in [vec![network("a", 0.5)], vec![network("a", 0.5), network("b", 0.6)]] {
        let (step, task) = ("step".into(), "budget-0".into());
        store.event("key", &Event::Judged { step, task, networks: networks.into() }).unwrap();
        live.judged().unwrap();
    }
    assert_eq!(live.judged().unwrap(), [network("a", 0.5), network("b", 0.6)]);
}

#[test]
fn curves_grow() {
    let (folder, store, _) = run();
    let live = LiveRun::open(folder.path()).unwrap();
    let point = |phase: &str, step: usize| CurvePoint {
        phase: phase.into(),
        step,
        loss: Some(1.0),
        learning_rate: 0.1,
        held_out_accuracy: None,
    };
    let points = [point("fp32", 10), point("fp32", 20), point("int8", 10)];
    for (index, known) in points.iter().enumerate() {
        store.curve_point("key", "task", known).unwrap();
        let histories = live.histories().unwrap();
        assert_eq!(histories[0].curves[0].points, points[..=index]);
    }
}

#[test]
fn a_damaged_row_is_not_seen() {
    let (folder, store, _) = run();
    tell(&store, 1);
    tell(&store, 9);
    let file = folder.path().join("run.sqlite");
    let connection = Connection::open(&file).unwrap();
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop((connection, store));
    let mut bytes = fs::read(&file).unwrap();
    let damaged = br#""done":9"#;
    let at = bytes.windows(damaged.len()).position(|window| window == damaged).unwrap();
    bytes[at + damaged.len() - 1] = b'8';
    fs::write(&file, bytes).unwrap();
    let _lock = Lock::run(folder.path()).unwrap();
    let progress = LiveRun::open(folder.path()).unwrap().now().unwrap().progress.unwrap();
    assert_eq!(progress.running[0].done, 1);
}

#[test]
fn who_looks_is_in_nobodys_way() {
    let (folder, _store, _) = run();
    std::thread::scope(|scope| {
        let until = Instant::now() + std::time::Duration::from_millis(200);
        for _ in 0..2 {
            let folder = folder.path();
            scope.spawn(move || {
                while Instant::now() < until {
                    Lock::is_held(folder);
                    // Far more often than any page looks.
                    std::thread::sleep(std::time::Duration::from_micros(500));
                }
            });
        }
        while Instant::now() < until {
            drop(Lock::run(folder.path()).unwrap());
        }
    });
}

#[test]
#[cfg(unix)]
fn a_run_that_is_begun_anew_is_opened_again() {
    let (folder, store, _) = run();
    let live = LiveRun::open(folder.path()).unwrap();
    live.version().unwrap();
    drop(store);
    for name in ["run.sqlite", "run.sqlite-wal", "run.sqlite-shm"] {
        let _ = fs::remove_file(folder.path().join(name));
    }
    assert_eq!(live.version().unwrap_err().kind, ErrorKind::Missing);
    let _anew = Store::create(folder.path()).unwrap();
    assert_eq!(live.version().unwrap_err().kind, ErrorKind::Missing);
    let mut live = LiveRun::open(folder.path()).unwrap();
    live.version().unwrap();
    assert_eq!(live.now().unwrap().state, RunState::New);
}

#[test]
#[cfg(unix)]
fn links_and_pipes_are_no_files_of_a_run() {
    use std::{os::unix::fs::symlink, process::Command};
    let lay = |kind: &str, path: &Path, to: &Path| match kind {
        "link" => symlink(to, path).unwrap(),
        _ => assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
    };
    let kinds = ["link", "pipe"];
    let (folder, store, _) = run();
    drop((Lock::run(folder.path()).unwrap(), store));
    let outside = tempfile::tempdir().unwrap();
    for name in plain::OPENED {
        let (path, aside) = (folder.path().join(name), outside.path().join(name));
        let is_there = path.exists();
        if is_there {
            fs::rename(&path, &aside).unwrap();
        }
        for kind in kinds {
            lay(kind, &path, &aside);
            assert!(!LiveRun::is_in(folder.path()), "{name}");
            assert_eq!(LiveRun::open(folder.path()).err().unwrap().kind, ErrorKind::Missing);
            assert!(!Lock::is_held(folder.path()), "{name}");
            fs::remove_file(&path).unwrap();
        }
        if is_there {
            fs::rename(&aside, &path).unwrap();
        }
    }
    assert!(LiveRun::is_in(folder.path()) && LiveRun::open(folder.path()).is_ok());

    let page = folder.path().join(PAGE);
    for kind in kinds {
        lay(kind, &page, &folder.path().join("run.sqlite"));
        assert!(!LiveRun::has_report(folder.path()) && LiveRun::report(folder.path()).is_err());
        fs::remove_file(&page).unwrap();
    }
    fs::write(&page, "a page").unwrap();
    assert!(LiveRun::has_report(folder.path()));
    assert_eq!(LiveRun::report(folder.path()).unwrap(), b"a page");
}

#[test]
fn a_folder_without_a_run_is_said() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(LiveRun::open(folder.path()).err().unwrap().kind, ErrorKind::Missing);
}
