//! A run that is killed again and again comes to the same end.

mod common;

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use common::{Bench, STUDY, Taught, Teach};
use spacewright_core::study::{Artifact, Step};
use spacewright_engine::{Attempt, AttemptOutcome, Engine, EngineOptions, StepState, Threads};

const FOLDER: &str = "SPACEWRIGHT_TEST_KILL_FOLDER";

fn engine(bench: &Bench, folder: &Path) -> Engine {
    let study = bench.study(&format!("{STUDY}[teach]\ntasks = 8")).unwrap();
    let options = EngineOptions {
        runs: folder.join("runs"),
        threads: Threads::InAll(2),
        ..EngineOptions::new(folder.join("home"))
    };
    Engine::open(study, &bench.registry, options).unwrap()
}

#[test]
#[ignore = "the process that is killed"]
fn victim() {
    let folder = env::var_os(FOLDER).expect("started by the other test");
    engine(&Bench::new(), Path::new(&folder)).run_all().unwrap();
}

#[test]
fn killing_loses_unfinished_tasks_only() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new();
    let mut kills = 0;
    let mut known = 0;
    loop {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "victim"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(20 + 10 * kills));
        let _ = child.kill();
        if child.wait().unwrap().success() {
            break;
        }
        kills += 1;
        let killed = engine(&bench, folder.path());
        let history = killed.history(Teach::NAME).unwrap();
        let attempts = history.map(|history| history.attempts).unwrap_or_default();
        let goes_on = |attempt: &Attempt| attempt.outcome == AttemptOutcome::Running;
        assert!(!attempts.iter().any(goes_on), "{attempts:?}");
        let tasks = killed.status().unwrap()[1].tasks;
        assert!(tasks >= known, "{tasks} of {known} tasks are left after kill {kills}");
        known = tasks;
        assert!(kills < 200, "it never ends");
    }
    let engine = engine(&bench, folder.path());
    assert!(engine.status().unwrap().iter().all(|status| status.state == StepState::Current));
    for task in engine.tasks("teach").unwrap() {
        let path = engine.file(&Artifact::<Taught>::of_task(Teach::NAME, task.clone())).unwrap();
        assert_eq!(fs::read_to_string(path.join("weights")).unwrap(), task);
    }
    assert_eq!(fs::read_dir(engine.folder().join("objects")).unwrap().count(), 8);
}
