//! Studies that take the shared steps of another.

mod common;

use std::fs;

use common::{Bench, STUDY, Teach};
use spacewright_engine::StepState;

const OTHER: &str = "\nname = \"other\"\nmethod = \"fake\"\ntarget = \"fake-target\"\n\
                     from = \"base.toml\"\n";

fn bench() -> Bench {
    let bench = Bench::new();
    fs::write(bench.folder.path().join("base.toml"), STUDY).unwrap();
    bench
}

#[test]
fn shared_steps_run_in_the_study_that_is_named() {
    let bench = bench();
    let other = bench.engine(OTHER);
    other.run_all().unwrap();
    assert_eq!(bench.controls.take_ran(), ["report", "t0", "t1", "t2", "t3"]);
    let base = bench.engine(STUDY);
    let states: Vec<StepState> = base.status().unwrap().iter().map(|step| step.state).collect();
    assert_eq!(states, [StepState::Missing, StepState::Current, StepState::Missing]);
    assert_eq!(other.file(&Teach::of(0)).unwrap(), base.file(&Teach::of(0)).unwrap());
    assert!(!other.tasks("teach").unwrap().is_empty());
    let skipped: Vec<bool> = other.run_all().unwrap().iter().map(|step| step.skipped).collect();
    assert_eq!(skipped, [true; 3]);
    assert_eq!(other.study().data, base.study().data);
}

#[test]
fn a_change_of_the_other_study_reaches_this_one() {
    let bench = bench();
    bench.engine(OTHER).run_all().unwrap();
    let changed = format!("{STUDY}[teach]\nrate = 0.2");
    fs::write(bench.folder.path().join("base.toml"), changed).unwrap();
    let states = bench.engine(OTHER).status().unwrap();
    let states: Vec<StepState> = states.iter().map(|step| step.state).collect();
    assert_eq!(states, [StepState::Current, StepState::Stale, StepState::Stale]);
}

#[test]
fn what_is_the_other_studys_is_refused() {
    let bench = bench();
    for (text, message) in [
        ("seed = 1", "`seed` is that of the study that `from` names"),
        ("hyperspace = \"tiny\"", "`hyperspace` is that of the study that `from` names"),
        ("[teach]\nrate = 0.3", "[teach] is that of the study that `from` names"),
        (
            "seed = 1\n[data]\nheld_out = 28\n[teach]\nrate = 0.3",
            "`seed`, [data], [teach] are those of the study that `from` names",
        ),
    ] {
        let error = bench.study(&format!("{OTHER}{text}")).unwrap_err();
        assert!(error.to_string().ends_with(message), "{error}");
        assert!(error.to_string().starts_with("study.toml:6: "), "{error}");
    }
    fs::write(bench.folder.path().join("base.toml"), OTHER).unwrap();
    let error = bench.study(OTHER).unwrap_err();
    let message = "it is taken from, and takes from another study itself";
    assert!(
        error.to_string().contains("base.toml:5") && error.to_string().ends_with(message),
        "{error}"
    );
}

#[test]
fn two_studies_do_not_share_a_run() {
    let bench = bench();
    let error = bench.study(&OTHER.replace("other", "test")).unwrap_err();
    assert!(error.to_string().starts_with("study.toml:2: the study that `from` names"), "{error}");
}

#[test]
fn what_is_done_is_taken_while_the_other_study_runs() {
    let bench = bench();
    let base = bench.engine(STUDY);
    base.run_all().unwrap();
    let lock = fs::File::create(base.folder().join("lock")).unwrap();
    lock.lock().unwrap();
    assert!(bench.engine(OTHER).run_all().is_ok());
}

#[test]
fn a_study_that_is_not_there_is_named() {
    let bench = Bench::new();
    let error = bench.study(OTHER).unwrap_err();
    assert!(error.to_string().contains("base.toml: cannot read the study"), "{error}");
}
