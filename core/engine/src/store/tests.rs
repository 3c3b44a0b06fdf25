use std::sync::Arc;

use serde_json::json;
use spacewright_core::train::Usage;

use super::*;
use crate::{
    events::{Event, Observer},
    keys::{Change, Ingredients},
    recorder::Recorder,
    store::AttemptOutcome,
};

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
    finish(&store);
    assert_eq!(store.finished_step("key").unwrap(), Some(1.5));
    fs::remove_dir_all(store.task("key", "a").unwrap().unwrap().object.unwrap()).unwrap();
    assert_eq!(store.task("key", "a").unwrap(), None);
    assert_eq!(store.finished_step("key").unwrap(), None);
}

/// The step ends with an output of its own.
fn finish(store: &Store) {
    store.keep_result("key", ArtifactName::OUTPUT, &json!(null)).unwrap();
    store.spent("key", 1.5, true).unwrap();
}

/// A step with the task `a`, which has left a file of this content.
fn finished(content: &str) -> (tempfile::TempDir, Store, PathBuf) {
    let (folder, store) = store();
    let output = folder.path().join("output");
    fs::write(&output, content).unwrap();
    store.begin("step", "key", &ingredients()).unwrap();
    store.keep("key", "a", &json!(1), &output, 0.0).unwrap();
    finish(&store);
    let object = store.task("key", "a").unwrap().unwrap().object.unwrap();
    (folder, store, object)
}

fn overwrite(path: &Path, content: &str) {
    fs::remove_file(path).unwrap();
    fs::write(path, content).unwrap();
}

/// As a process sees it that starts afterwards.
fn reopened(folder: &tempfile::TempDir) -> Store {
    Store::create(folder.path()).unwrap()
}

#[test]
fn an_object_with_another_content_is_set_aside() {
    let (folder, _, object) = finished("content");
    overwrite(&object, "contenT");
    let store = reopened(&folder);
    assert_eq!(store.task("key", "a").unwrap(), None);
    assert!(store.knows_task("key", "a").unwrap());
    assert_eq!(store.finished_step("key").unwrap(), None);
    let file = object.strip_prefix(folder.path()).unwrap().display().to_string();
    assert_eq!(store.damage("key").unwrap(), [Change::Damaged { file: file.clone() }]);
    store.set_damage_aside("key").unwrap();
    assert_eq!(store.damage("key").unwrap(), [Change::Lost { file }]);
    let aside = folder.path().join(format!("{}.damaged-1", object.display()));
    assert_eq!(fs::read_to_string(aside).unwrap(), "contenT");
    // What is made anew takes its place.
    let output = folder.path().join("output");
    fs::write(&output, "content").unwrap();
    store.keep("key", "a", &json!(1), &output, 0.0).unwrap();
    assert_eq!(store.finished_step("key").unwrap(), Some(1.5));
}

#[test]
fn nothing_is_unneeded_of_a_run_whose_data_base_was_lost() {
    let content = |damage: fn(&Path)| {
        let (folder, store, _) = finished("content");
        drop(store);
        damage(&folder.path().join(FILE));
        let unneeded = reopened(&folder).unneeded(true).unwrap();
        (folder, unneeded)
    };
    let (folder, unneeded) = content(|_| ());
    assert_eq!(unneeded, Vec::<PathBuf>::new());
    fs::write(folder.path().join("objects/b3-of-no-task"), "").unwrap();
    assert_eq!(reopened(&folder).unneeded(true).unwrap().len(), 1);
    let (folder, unneeded) =
        content(|file| fs::write(file, "no data base, and long enough").unwrap());
    assert_eq!(unneeded, Vec::<PathBuf>::new());
    // Whoever removes what was set aside goes on without it.
    fs::remove_file(folder.path().join("run.sqlite.damaged-1")).unwrap();
    assert_eq!(reopened(&folder).unneeded(true).unwrap(), Vec::<PathBuf>::new());
    let (_folder, unneeded) = content(|file| fs::write(file, "").unwrap());
    assert_eq!(unneeded, Vec::<PathBuf>::new());
}

#[test]
fn a_damaged_object_is_not_taken_for_an_equal_output() {
    let (folder, _, object) = finished("content");
    overwrite(&object, "content!");
    let store = reopened(&folder);
    let output = folder.path().join("output");
    fs::write(&output, "content").unwrap();
    store.keep("other", "b", &json!(2), &output, 0.0).unwrap();
    let kept = store.task("other", "b").unwrap().unwrap().object.unwrap();
    assert_eq!(fs::read_to_string(kept).unwrap(), "content");
}

#[test]
fn a_published_file_is_as_it_was_written() {
    let (folder, store, _) = finished("content");
    let published = folder.path().join("report.json");
    fs::write(&published, "right").unwrap();
    store.published("key", "report.json", b"right").unwrap();
    finish(&store);
    assert_eq!(store.finished_step("key").unwrap(), Some(1.5));
    fs::write(&published, "wrong").unwrap();
    let file = "report.json".to_owned();
    assert_eq!(store.damage("key").unwrap(), [Change::Damaged { file: file.clone() }]);
    store.set_damage_aside("key").unwrap();
    assert_eq!(store.damage("key").unwrap(), [Change::Lost { file }]);
    assert_eq!(store.finished_step("key").unwrap(), None);
}

#[test]
fn what_a_stopped_attempt_under_other_settings_has_published_is_not_damaged() {
    let (folder, store) = store();
    let publish = |key: &str| {
        fs::write(folder.path().join("report.json"), key).unwrap();
        store.published(key, "report.json", key.as_bytes()).unwrap();
    };
    publish("one");
    publish("other");
    store.set_damage_aside("one").unwrap();
    assert!(folder.path().join("report.json").exists());
}

#[test]
fn results_of_other_settings_do_not_stay_beside_new_ones() {
    let (folder, store, _) = finished("content");
    let publish = |key: &str, name: &str| {
        fs::write(folder.path().join(name), name).unwrap();
        store.published(key, name, name.as_bytes()).unwrap();
    };
    for name in ["network-0", "network-1", "network-2"] {
        publish("key", name);
    }
    fs::write(folder.path().join("network-2"), "edited").unwrap();
    store.begin("step", "next", &ingredients()).unwrap();
    publish("next", "network-0");
    store.remove_superseded_results("step", "next").unwrap();
    let there = |name: &str| folder.path().join(name).exists();
    let stay = ["network-0", "network-1", "network-2"].map(there);
    assert_eq!(stay, [true, false, true]);
    assert!(store.published_names("key").unwrap().is_empty());
}

#[test]
fn a_step_that_has_lost_a_result_is_not_finished() {
    for lost in ["a", ArtifactName::OUTPUT] {
        let (_folder, store, _) = finished("content");
        store
            .write(|connection| connection.execute("DELETE FROM tasks WHERE task = ?1", [lost]))
            .unwrap();
        assert_eq!(store.finished_step("key").unwrap(), None);
    }
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
fn the_time_of_an_attempt_that_is_killed_counts() {
    struct Nobody;
    impl Observer for Nobody {
        fn event(&self, _: &Event<'_>) {}
    }
    let (_folder, store) = store();
    let store = Arc::new(store);
    let earlier = store.begin("step", "key", &ingredients()).unwrap();
    let observer: Arc<dyn Observer> = Arc::new(Nobody);
    let recorder = Recorder::new(&store, "key", &observer, None, earlier).unwrap();
    recorder.took_over(60.0);
    let (step, task) = ("step".into(), "task".into());
    recorder.event(&Event::Progress { step, task, done: 1, total: 2, note: "".into() });
    drop(recorder);
    assert!(store.begin("step", "key", &ingredients()).unwrap() > 60.0);
}

#[test]
fn another_format_is_refused() {
    let (folder, store) = store();
    let later = "ALTER TABLE steps ADD COLUMN more TEXT; PRAGMA user_version = 7;";
    store.lock().connection.execute_batch(later).unwrap();
    drop(store);
    let error = Store::create(folder.path()).err().unwrap();
    let expected = "run.sqlite: written in format 7, this program knows format 4";
    assert!(error.to_string().ends_with(expected), "{error}");
}

#[test]
fn a_run_of_an_earlier_version_is_read_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/run-format-1/run.sqlite");
    let file = folder.path().join(FILE);
    fs::copy(kept, &file).unwrap();
    let before = fs::read(&file).unwrap();
    let store = Store::existing(folder.path()).unwrap().unwrap();
    assert!(!store.records().unwrap().is_empty());
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn what_another_version_has_kept_of_a_step_stops_nothing() {
    let (_folder, store) = store();
    store.begin("step", "one", &ingredients()).unwrap();
    store.lock().connection.execute("UPDATE steps SET ingredients = '{}'", []).unwrap();
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
    let used = |core_seconds: f64, peak_bytes: u64| Usage { core_seconds, peak_bytes };
    let first = store.attempt("key").unwrap();
    store.attempted(first, used(1.5, 0), AttemptOutcome::Running).unwrap();
    let second = store.attempt("key").unwrap();
    store.attempted(second, used(2.5, 4096), AttemptOutcome::Finished).unwrap();
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
    let outcomes: Vec<_> =
        history.attempts.iter().map(|a| (a.outcome, a.core_seconds, a.peak_bytes)).collect();
    let expected =
        [(AttemptOutcome::Killed, 1.5, None), (AttemptOutcome::Finished, 2.5, Some(4096))];
    assert_eq!(outcomes, expected);
    assert_eq!(history.curves[0].points, [point(5, 2.0), point(10, 0.5)]);
    let Event::Said { line, .. } = &history.events[0].event else { panic!("another event") };
    assert_eq!(line, "a \"line\"");
}
