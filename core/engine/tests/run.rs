//! Running studies: what is skipped, repeated, resumed and refused.

mod common;

use std::{
    fs,
    sync::{Arc, atomic::Ordering},
};

use common::{Bench, Controls, Fake, FakeSource, Measure, STUDY, Teach, query};
use spacewright_core::{
    graph::OpKind,
    latency::Precision,
    study::{AnyStep, Method, Step, StepContext, StepError, StepNeeds},
};
use spacewright_engine::{
    AttemptOutcome, EngineError, ErrorKind, Inputs, LatencyCache, RunRecord, Silent, StepState,
    list_runs,
    room::{self, Unneeded},
};

fn set(which: &std::sync::Mutex<Option<String>>, task: Option<&str>) {
    *which.lock().unwrap() = task.map(str::to_owned);
}

fn skipped(bench: &Bench, text: &str) -> Vec<bool> {
    bench.engine(text).run_all().unwrap().iter().map(|outcome| outcome.skipped).collect()
}

fn states(bench: &Bench, text: &str) -> Vec<StepState> {
    bench.engine(text).status().unwrap().iter().map(|status| status.state).collect()
}

#[test]
fn unchanged_steps_are_skipped() {
    let bench = Bench::new();
    assert_eq!(states(&bench, STUDY), [StepState::Missing; 3]);
    assert!(!bench.runs().exists(), "asking makes no file");
    assert_eq!(skipped(&bench, STUDY), [false; 3]);
    assert_eq!(bench.controls.take_ran(), ["report", "t0", "t1", "t2", "t3"]);
    assert_eq!(skipped(&bench, STUDY), [true; 3]);
    assert!(bench.controls.take_ran().is_empty());
    assert_eq!(states(&bench, STUDY), [StepState::Current; 3]);
    let report = fs::read_to_string(bench.runs().join("test/reports/report.txt")).unwrap();
    assert!(report.ends_with(" t0 [\"measure\", \"teach\"]"), "{report}");
    assert_eq!(fs::read_to_string(bench.runs().join("test/study.toml")).unwrap(), STUDY);
}

#[test]
fn a_changed_setting_repeats_its_step_and_those_after_it() {
    let bench = Bench::new();
    let changed = format!("{STUDY}[teach]\nrate = 0.2");
    bench.engine(STUDY).run_all().unwrap();
    assert_eq!(states(&bench, &changed), [StepState::Current, StepState::Stale, StepState::Stale]);
    assert_eq!(skipped(&bench, &changed), [true, false, false]);
    bench.controls.take_ran();
    assert_eq!(skipped(&bench, STUDY), [true, false, false], "published files follow the settings");
    assert_eq!(bench.controls.take_ran(), ["report"], "tasks are still known");
}

#[test]
fn the_seed_the_data_and_the_number_of_threads_matter() {
    let bench = Bench::new();
    bench.engine(STUDY).run_all().unwrap();
    let (current, stale) = (StepState::Current, StepState::Stale);
    let seed = format!("seed = 1\n{STUDY}");
    assert_eq!(states(&bench, &seed), [stale; 3]);
    let data = STUDY.replace("test_images = 20", "test_images = 30");
    assert_eq!(states(&bench, &data), [current, stale, stale]);
    let status = bench.engine_on(STUDY, 3).status().unwrap();
    let threads: Vec<_> = status.iter().map(|status| status.state).collect();
    assert_eq!(threads, [current, stale, stale]);
    *bench.controls.fingerprint.lock().unwrap() = "other machine".into();
    assert_eq!(states(&bench, STUDY), [stale, current, stale]);
}

#[test]
fn a_failed_step_goes_on_where_it_stopped() {
    let bench = Bench::new();
    set(&bench.controls.fail, Some("t2"));
    let text = format!("{STUDY}[teach]\ntasks = 6");
    let error = bench.engine(&text).run_all().unwrap_err();
    assert_eq!(error.to_string(), "step `teach`: task `t2`: out of luck");
    let first = bench.controls.take_ran();
    assert!(first.len() < 6 && !first.contains(&"t5".into()), "{first:?}");
    assert_eq!(states(&bench, &text), [StepState::Current, StepState::Missing, StepState::Missing]);

    set(&bench.controls.fail, None);
    let done = bench.engine(&text).status().unwrap()[1].tasks;
    let engine = bench.engine(&text);
    engine.run_all().unwrap();
    let second = bench.controls.take_ran();
    assert_eq!(second.len(), 6 - done + 1, "{second:?}");
    assert!(engine.get(&Teach::of(2)).unwrap().resumed, "checkpoints are kept");
    assert!(!bench.runs().join("test/scratch/teach").exists());
}

#[test]
fn a_request_to_stop_keeps_what_is_finished() {
    let bench = Bench::new();
    set(&bench.controls.stop, Some("t1"));
    let error = bench.engine(STUDY).run_all().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Cancelled);
    assert_eq!(error.hint.as_deref(), Some("the same command goes on where it stopped"));
    assert!(!bench.controls.take_ran().contains(&"t3".into()));
    set(&bench.controls.stop, None);
    bench.engine(STUDY).run_all().unwrap();
}

#[test]
fn a_panic_is_an_error() {
    let bench = Bench::new();
    set(&bench.controls.panic, Some("t0"));
    let error = bench.engine(STUDY).run_all().unwrap_err();
    assert_eq!(error.to_string(), "step `teach`: task `t0`: panicked: a bug");
}

#[test]
fn a_step_alone_says_what_it_lacks() {
    let bench = Bench::new();
    let error = bench.engine(STUDY).run_step("report", Inputs::Require).unwrap_err();
    assert_eq!(
        error.to_string(),
        "step `report` reads `measure`, which has not finished; and `teach`, which has not finished"
    );
    let hint = "`--with-inputs` runs what is missing first, as running the study does";
    assert_eq!(error.hint.as_deref(), Some(hint));
    assert!(!bench.engine(STUDY).run_step("report", Inputs::Run).unwrap().skipped);
    let changed = format!("{STUDY}[measure]\nkernels = [7]");
    let error = bench.engine(&changed).run_step("report", Inputs::Require).unwrap_err();
    assert_eq!(
        error.to_string(),
        "step `report` reads `measure`, which has to run again: \
         [measure] kernels was [1,3,5], is [7]"
    );
    let error = bench.engine(STUDY).run_step("reprot", Inputs::Run).unwrap_err();
    assert_eq!(error.to_string(), "no step `reprot`; known are measure, teach, report");
}

#[test]
fn without_a_trainer_nothing_is_begun() {
    let mut bench = Bench::new();
    bench.registry.trainers.clear();
    let error = bench.engine(STUDY).run_all().unwrap_err();
    assert_eq!(error.to_string(), "step `teach` trains, and this program has no trainer");
    assert_eq!(bench.controls.asked.load(Ordering::Relaxed), 0);
    bench.engine(STUDY).run_step("measure", Inputs::Require).unwrap();
}

#[test]
fn a_lost_object_repeats_its_task_only() {
    let bench = Bench::new();
    let engine = bench.engine(STUDY);
    engine.run_all().unwrap();
    bench.controls.take_ran();
    fs::remove_dir_all(engine.file(&Teach::of(3)).unwrap()).unwrap();
    assert_eq!(skipped(&bench, STUDY), [true, false, true]);
    assert_eq!(bench.controls.take_ran(), ["t3"]);
}

#[test]
fn what_nothing_needs_can_be_freed() {
    let bench = Bench::new();
    let other = format!("{STUDY}[teach]\nrate = 0.2");
    for study in [&other, STUDY] {
        bench.engine(study).run_all().unwrap();
    }
    let stray = bench.runs().join("test/objects/b3-00");
    fs::write(&stray, "nobody's").unwrap();
    let home = bench.folder.path().join("home");
    let run = |superseded| {
        let mut all = room::kept(&home, &bench.runs(), Unneeded { superseded }).unwrap();
        all.retain(|kept| kept.what == "run");
        all.remove(0)
    };
    assert_eq!((run(false).free, run(true).free), (8, 8), "equal weights are one object");
    let free = |superseded| {
        let freed = room::free(&home, &bench.runs(), Unneeded { superseded }).unwrap();
        freed.iter().map(|kept| kept.free).sum::<u64>()
    };
    // A run that somebody works on is left alone.
    let lock = fs::File::create(bench.runs().join("test/lock")).unwrap();
    lock.lock().unwrap();
    assert_eq!(free(false), 0);
    drop(lock);
    assert_eq!(free(false), 8);
    assert!(!stray.exists());
    assert_eq!(skipped(&bench, STUDY), [true, true, true]);
    bench.controls.take_ran();
    assert_eq!(skipped(&bench, &other), [true, false, false]);
    assert!(!bench.controls.take_ran().contains(&"t0".to_owned()), "its tasks were kept");
    free(true);
    assert_eq!(skipped(&bench, STUDY), [true, false, false]);
    assert!(bench.controls.take_ran().contains(&"t0".to_owned()));
}

#[test]
fn two_processes_do_not_share_a_run() {
    let bench = Bench::new();
    let folder = bench.runs().join("test");
    fs::create_dir_all(&folder).unwrap();
    let lock = fs::File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let error = bench.engine(STUDY).run_all().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Locked);
    assert!(error.to_string().ends_with("test: another process works on this run"), "{error}");
    bench.engine(STUDY).status().unwrap();
    drop(lock);
    bench.engine(STUDY).run_all().unwrap();
}

#[test]
fn artifacts_that_do_not_exist_are_explained() {
    let bench = Bench::new();
    let engine = bench.engine(STUDY);
    let error = engine.get(&Teach::of(0)).unwrap_err();
    assert_eq!(error.to_string(), "the run `test` has not been started");
    engine.run_all().unwrap();
    let error = engine.get(&Teach::of(9)).unwrap_err();
    assert_eq!(error.to_string(), "no artifact `t9`; known are t0, t1, t2, t3");
    let error = engine.file(&Measure::SUM).unwrap_err();
    assert_eq!(error.to_string(), "`measure/sum` has a result, but wrote no file");
}

#[test]
fn events_tell_the_story() {
    let bench = Bench::new();
    bench.engine(STUDY).run_all().unwrap();
    bench.engine(STUDY).run_step("measure", Inputs::Run).unwrap();
    let events = bench.controls.events.lock().unwrap();
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names.first(), Some(&"step_started"));
    assert_eq!(names.last(), Some(&"step_skipped"));
    assert!(events.contains(&serde_json::json!(
        { "event": "tasks", "step": "teach", "done": 4, "total": 4 }
    )));
    assert!(events.contains(&serde_json::json!(
        { "event": "said", "step": "measure", "line": "measured" }
    )));
}

#[test]
fn known_latencies_are_not_asked_again() {
    let bench = Bench::new();
    let source = FakeSource(bench.controls.clone());
    let asked = || bench.controls.asked.swap(0, Ordering::Relaxed);
    let queries: Vec<_> = (0..30).map(|index| query(2 * (index % 15) + 1)).collect();
    let cache = LatencyCache::open(bench.folder.path()).unwrap();
    let first = cache.latencies(&source, &queries, &Silent).unwrap();
    assert_eq!(asked(), 15);
    assert_eq!(first[0], first[15]);
    drop(cache);

    let cache = LatencyCache::open(bench.folder.path()).unwrap();
    assert_eq!(cache.latencies(&source, &queries, &Silent).unwrap(), first);
    assert_eq!(asked(), 0);
    let mut other = query(1);
    other.precision = Precision::Fp32;
    cache.latencies(&source, &[other, query(1)], &Silent).unwrap();
    assert_eq!(asked(), 1);
    *bench.controls.fingerprint.lock().unwrap() = "other machine".into();
    cache.latencies(&source, &queries[..3], &Silent).unwrap();
    assert_eq!(asked(), 3);
}

#[test]
fn a_damaged_store_is_set_aside_and_made_anew() {
    let bench = Bench::new();
    let folder = bench.runs().join("test");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("run.sqlite"), "this is no data base, and long enough to be sure")
        .unwrap();
    bench.engine(STUDY).run_all().unwrap();
    let aside = fs::read_to_string(folder.join("run.sqlite.damaged-1")).unwrap();
    assert!(aside.starts_with("this is no data base"));
}

#[test]
fn runs_are_listed_without_their_plugins() {
    let bench = Bench::new();
    assert!(list_runs(&bench.runs()).unwrap().is_empty());
    set(&bench.controls.fail, Some("t3"));
    bench.engine(STUDY).run_all().unwrap_err();
    let runs = list_runs(&bench.runs()).unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].study.name, "test");
    assert_eq!(runs[0].study.hyperspace, bench.study(STUDY).unwrap().hyperspace);
    let steps: Vec<_> = runs[0].steps.iter().map(|s| (s.step.as_str(), s.finished)).collect();
    assert_eq!(steps, [("measure", true), ("teach", false)]);
    let error = RunRecord::read(&bench.runs().join("other")).unwrap_err();
    assert!(error.to_string().ends_with("other: no run"), "{error}");
}

#[test]
fn a_failing_source_loses_one_chunk_at_most() {
    let bench = Bench::new();
    let source = FakeSource(bench.controls.clone());
    let cache = LatencyCache::open(bench.folder.path()).unwrap();
    let queries: Vec<_> = (0..12).map(|index| query(2 * index + 1)).collect();
    bench.controls.break_after.store(10, Ordering::Relaxed);
    let error = cache.latencies(&source, &queries, &Silent).unwrap_err();
    assert!(error.to_string().ends_with("(int8): out of reach"), "{error}");
    bench.controls.break_after.store(0, Ordering::Relaxed);
    bench.controls.asked.store(0, Ordering::Relaxed);
    cache.latencies(&source, &queries, &Silent).unwrap();
    assert_eq!(bench.controls.asked.load(Ordering::Relaxed), 4);
}

#[test]
fn a_study_can_take_its_latencies_from_elsewhere() {
    let mut bench = Bench::new();
    let elsewhere = Arc::new(Controls::default());
    *elsewhere.fingerprint.lock().unwrap() = "elsewhere".into();
    bench.registry.add_latency_source("elsewhere", Arc::new(FakeSource(elsewhere.clone())));
    bench.engine(STUDY).run_all().unwrap();
    let asked = bench.controls.asked.swap(0, Ordering::Relaxed);
    let text = format!("latency = \"elsewhere\"\n{STUDY}");
    let (current, stale) = (StepState::Current, StepState::Stale);
    assert_eq!(states(&bench, &text), [stale, current, stale]);
    bench.engine(&text).run_all().unwrap();
    assert_eq!(bench.controls.asked.load(Ordering::Relaxed), 0);
    assert_eq!(elsewhere.asked.load(Ordering::Relaxed), asked);
    let error = bench.open(&text.replace("elsewhere", "nowhere"), 1).err().unwrap();
    assert!(error.to_string().contains("no latency source `nowhere`"), "{error}");
}

#[test]
fn blocks_that_the_target_cannot_run_are_refused() {
    let bench = Bench::new();
    let cannot = |kind: OpKind| {
        *bench.controls.unsupported.lock().unwrap() = vec![kind];
        bench.open(STUDY, 1).map(|_| ())
    };
    let error = cannot(OpKind::Relu).unwrap_err();
    assert_eq!(
        error.to_string(),
        "target `fake-target` cannot run `relu`, which block `conv` of hyperspace `tiny` needs"
    );
    assert!(error.hint.unwrap().contains("another hyperspace"));
    assert_eq!(cannot(OpKind::HSwish), Ok(()));
}

/// A step that does nothing.
struct Idle<const LAST: bool, const EXTRA: bool>;

impl<const LAST: bool, const IS_EXTRA: bool> Step for Idle<LAST, IS_EXTRA> {
    const NAME: &'static str = if LAST { "after" } else { "again" };
    const SUMMARY: &'static str = "Looks again";
    const READS: &'static [&'static str] = if LAST { &["again"] } else { &["measure", "teach"] };
    const NEEDS: StepNeeds = StepNeeds::NOTHING;
    const EXTRA: bool = IS_EXTRA;

    type Settings = ();
    type Output = ();

    fn run(&self, _: &dyn StepContext, (): ()) -> Result<(), StepError> {
        Ok(())
    }
}

/// The fake method with a step that is no part of a run, and one that reads it.
struct WithExtra {
    fake: Fake,
    /// Whether the last step is part of a run.
    wrong: bool,
}

impl Method for WithExtra {
    fn name(&self) -> &str {
        "with-extra"
    }

    fn steps(&self) -> Vec<Arc<dyn AnyStep>> {
        let mut steps = self.fake.steps();
        steps.push(Arc::new(Idle::<false, true>));
        steps.push(match self.wrong {
            true => Arc::new(Idle::<true, false>),
            false => Arc::new(Idle::<true, true>),
        });
        steps
    }
}

#[test]
fn extra_steps_run_only_where_they_are_asked_for() {
    let mut bench = Bench::new();
    let text = STUDY.replace("\"fake\"", "\"with-extra\"");
    let method = WithExtra { fake: Fake(Arc::default()), wrong: false };
    bench.registry.add_method("with-extra", Arc::new(method));
    assert_eq!(skipped(&bench, &text), [false; 3]);
    let status = bench.engine(&text).status().unwrap();
    let extra: Vec<bool> = status.iter().map(|status| status.extra).collect();
    assert_eq!(extra, [false, false, false, true, true]);
    assert_eq!(status[3].state, StepState::Missing);
    bench.engine(&text).run_step("after", Inputs::Run).unwrap();
    let (current, missing) = (StepState::Current, StepState::Missing);
    assert_eq!(states(&bench, &text), [current; 5]);

    let other = Bench::new();
    bench.folder = other.folder;
    bench.engine(&text).run_step("after", Inputs::Run).unwrap();
    assert_eq!(states(&bench, &text), [current, current, missing, current, current]);
}

#[test]
fn a_step_of_a_run_reads_no_extra_one() {
    let mut bench = Bench::new();
    let text = STUDY.replace("\"fake\"", "\"with-extra\"");
    let method = WithExtra { fake: Fake(Arc::default()), wrong: true };
    bench.registry.add_method("with-extra", Arc::new(method));
    let error = bench.open(&text, 1).err().unwrap();
    assert_eq!(
        error.to_string(),
        "method `with-extra`: step `after` reads `again`, which is no part of a run"
    );
}

/// A step that goes wrong outside of its tasks.
struct Careless<const PANICS: bool>;

impl<const PANICS: bool> Step for Careless<PANICS> {
    const NAME: &'static str = "careless";
    const SUMMARY: &'static str = "goes wrong";
    const READS: &'static [&'static str] = &[];
    const NEEDS: StepNeeds = StepNeeds::NOTHING;

    type Settings = ();
    type Output = ();

    fn run(&self, context: &dyn StepContext, (): ()) -> Result<(), StepError> {
        assert!(!PANICS, "a bug");
        context.latencies(&[]).map(drop)
    }
}

struct OneStep(Arc<dyn AnyStep>);

impl Method for OneStep {
    fn name(&self) -> &str {
        "one-step"
    }

    fn steps(&self) -> Vec<Arc<dyn AnyStep>> {
        vec![self.0.clone()]
    }
}

/// What a study says whose only step is this one, and how its attempt ended.
fn failure(step: Arc<dyn AnyStep>) -> (EngineError, AttemptOutcome) {
    let mut bench = Bench::new();
    bench.registry.add_method("one-step", Arc::new(OneStep(step)));
    let engine = bench.engine(&STUDY.replace("\"fake\"", "\"one-step\""));
    let error = engine.run_all().unwrap_err();
    (error, engine.history("careless").unwrap().unwrap().attempts[0].outcome)
}

#[test]
fn a_step_asks_for_latencies_only_where_it_declares_them() {
    let (error, outcome) = failure(Arc::new(Careless::<false>));
    assert_eq!(
        error.to_string(),
        "step `careless`: it asks for latencies of `fake-target`, which it does not declare"
    );
    assert_eq!(outcome, AttemptOutcome::Failed);
}

#[test]
fn a_panic_outside_of_tasks_is_an_error_of_the_step() {
    let (error, outcome) = failure(Arc::new(Careless::<true>));
    assert_eq!(error.to_string(), "step `careless`: panicked: a bug");
    assert_eq!(outcome, AttemptOutcome::Failed);
}

#[test]
fn how_a_step_went_with_other_settings_can_still_be_seen() {
    let bench = Bench::new();
    assert!(bench.engine(STUDY).history("teach").unwrap().is_none());
    bench.engine(STUDY).run_all().unwrap();
    let before = bench.engine(STUDY).history("teach").unwrap().unwrap();
    assert!(before.current && !before.curves.is_empty());
    let other = format!("seed = 1\n{STUDY}");
    let seen = bench.engine(&other).history("teach").unwrap().unwrap();
    assert!(!seen.current);
    assert_eq!((seen.attempts, seen.curves), (before.attempts, before.curves));
    bench.engine(&other).run_all().unwrap();
    assert!(bench.engine(&other).history("teach").unwrap().unwrap().current);
}
