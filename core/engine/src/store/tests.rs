use serde_json::json;

use super::*;
use crate::{events::Event, keys::Ingredients, store::AttemptOutcome};

/// What some step was made with.
fn ingredients() -> Ingredients {
    serde_json::from_value(json!({
        "format": 2,
        "program": "0.1.0",
        "method": "fake",
        "step": "step",
        "seed": 0,
        "sections": {},
        "inputs": {},
        "hyperspace": "",
        "target": "fake-target",
        "scheme": "",
    }))
    .unwrap()
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).unwrap();
    (folder, store)
}

#[test]
fn equal_outputs_are_kept_once_and_cannot_be_written() {
    let (folder, store) = store();
    for task in ["a", "b"] {
        let output = folder.path().join("output");
        fs::write(&output, "same").unwrap();
        store.keep("key", task, &json!(1), &output, 0.0).unwrap();
        assert!(!output.exists());
    }
    let objects: Vec<_> = fs::read_dir(folder.path().join("objects")).unwrap().collect();
    assert_eq!(objects.len(), 1);
    let object = store.task("key", "b").unwrap().unwrap().object.unwrap();
    assert!(fs::metadata(object).unwrap().permissions().readonly());
}

#[test]
fn results_come_back_bit_for_bit() {
    let (folder, store) = store();
    let value = json!({ "x": 0.1 + 0.2, "y": 1.0 / 3.0, "z": 5e-324 });
    store.keep("key", "a", &value, &folder.path().join("none"), 0.0).unwrap();
    assert_eq!(store.task("key", "a").unwrap().unwrap().result, value);
}

#[test]
fn a_task_whose_file_is_gone_is_not_finished() {
    let (folder, store) = store();
    let output = folder.path().join("output");
    fs::create_dir(&output).unwrap();
    fs::write(output.join("weights"), "w").unwrap();
    store.begin("step", "key", &ingredients()).unwrap();
    store.keep("key", "a", &json!(null), &output, 0.0).unwrap();
    store.spent("key", 1.5, true).unwrap();
    assert_eq!(store.finished_step("key").unwrap(), Some(1.5));
    fs::remove_dir_all(store.task("key", "a").unwrap().unwrap().object.unwrap()).unwrap();
    assert_eq!(store.task("key", "a").unwrap(), None);
    assert_eq!(store.finished_step("key").unwrap(), None);
}

#[test]
fn seconds_of_attempts_add_up_and_keys_supersede_each_other() {
    let (_folder, store) = store();
    assert_eq!(store.begin("step", "one", &ingredients()).unwrap(), 0.0);
    store.spent("one", 2.0, false).unwrap();
    assert_eq!(store.begin("step", "one", &ingredients()).unwrap(), 2.0);
    store.spent("one", 3.0, true).unwrap();
    store.begin("step", "two", &ingredients()).unwrap();
    assert_eq!(store.finished_step("one").unwrap(), None);
    assert!(store.has_run_before("step").unwrap());
    assert!(store.seconds().unwrap().is_empty());
}

#[test]
fn another_format_is_refused() {
    let (folder, store) = store();
    store.lock().pragma_update(None, "user_version", 7).unwrap();
    drop(store);
    let error = Store::create(folder.path()).err().unwrap();
    let expected = "run.sqlite: written in format 7, this program knows format 2";
    assert!(error.to_string().ends_with(expected), "{error}");
}

#[test]
fn a_run_of_an_earlier_version_is_left_alone_while_a_process_works_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/run-format-1/run.sqlite");
    let file = folder.path().join(FILE);
    fs::copy(kept, &file).unwrap();
    let before = fs::read(&file).unwrap();
    let lock = Lock::run(folder.path()).unwrap();
    let error = Store::existing(folder.path()).err().unwrap();
    assert_eq!(error.kind, crate::error::ErrorKind::Locked);
    assert_eq!(fs::read(&file).unwrap(), before);
    drop(lock);
    assert!(Store::existing(folder.path()).unwrap().is_some());
    assert!(!SCHEMA.is_later_than(&file).unwrap());
}

#[test]
fn what_another_version_has_kept_of_a_step_stops_nothing() {
    let (_folder, store) = store();
    store.begin("step", "one", &ingredients()).unwrap();
    store.lock().execute("UPDATE steps SET ingredients = '{}'", []).unwrap();
    assert_eq!(store.latest_ingredients("step").unwrap(), None);
}

#[test]
fn what_steps_were_made_with_comes_back() {
    let (_folder, store) = store();
    assert_eq!(store.latest_ingredients("step").unwrap(), None);
    let (first, second) = (ingredients(), Ingredients { seed: 7, ..ingredients() });
    store.begin("step", "one", &first).unwrap();
    assert_eq!(store.latest_ingredients("step").unwrap(), Some(first));
    store.begin("step", "two", &second).unwrap();
    assert_eq!(store.latest_ingredients("step").unwrap(), Some(second));
}

#[test]
fn attempts_and_curves_are_kept() {
    let (_folder, store) = store();
    let first = store.attempt("key").unwrap();
    store.attempted(first, 1.5, AttemptOutcome::Running).unwrap();
    let second = store.attempt("key").unwrap();
    store.attempted(second, 2.5, AttemptOutcome::Finished).unwrap();
    let point = |step: usize, loss: f64| spacewright_core::train::CurvePoint {
        phase: "fp32".into(),
        step,
        loss: Some(loss),
        learning_rate: 0.1,
        held_out_accuracy: None,
    };
    for point in [point(5, 2.0), point(10, 1.0), point(10, 0.5)] {
        store.curve_point("key", "teacher", &point).unwrap();
    }
    store.event("key", &Event::Said { step: "step".into(), line: "a \"line\"".into() }).unwrap();
    let history = store.history("step", "key", true).unwrap();
    let outcomes: Vec<_> = history.attempts.iter().map(|a| (a.outcome, a.core_seconds)).collect();
    assert_eq!(outcomes, [(AttemptOutcome::Killed, 1.5), (AttemptOutcome::Finished, 2.5)]);
    assert_eq!(history.curves[0].points, [point(5, 2.0), point(10, 0.5)]);
    let Event::Said { line, .. } = &history.events[0].event else { panic!("another event") };
    assert_eq!(line, "a \"line\"");
}
