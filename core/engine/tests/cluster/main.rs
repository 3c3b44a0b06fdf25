//! Tasks on other machines, and all that can become of them there.

#[path = "../common/mod.rs"]
mod common;
mod fake;

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use common::{Bench, STUDY, Taught, Teach, trainer::FakeTrainer};
use fake::{FakeCluster, Fate};
use spacewright_core::{study::Step, train::Trainer};
use spacewright_engine::{Engine, EngineError, ErrorKind, Inputs, JobState};

/// A study whose step `teach` has four tasks, and a head that looks often.
fn text() -> String {
    format!("{STUDY}[cluster]\npoll_seconds = 0.01\n")
}

fn on(bench: &Bench, cluster: &Arc<FakeCluster>) -> Engine {
    bench.engine(&text()).with_cluster(cluster.clone())
}

fn teach(engine: &Engine) -> Result<Vec<Taught>, EngineError> {
    engine.run_step(Teach::NAME, Inputs::Run)?;
    engine.output::<Teach>()
}

/// A bench whose machines know the same as the head, but count apart.
fn bench() -> (Bench, Arc<FakeCluster>) {
    let bench = Bench::new();
    let cluster = FakeCluster::new(nodes(&bench));
    (bench, cluster)
}

fn nodes(head: &Bench) -> spacewright_engine::Registry {
    let nodes = Bench::new();
    *nodes.controls.fail.lock().unwrap() = head.controls.fail.lock().unwrap().clone();
    nodes.registry
}

fn objects(engine: &Engine) -> BTreeSet<String> {
    let entries = fs::read_dir(engine.folder().join("objects")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Folder of what head and machines exchange for the step.
fn exchange(engine: &Engine) -> PathBuf {
    let entries = fs::read_dir(engine.folder().join("cluster/teach")).unwrap();
    entries.map(|entry| entry.unwrap().path()).next().unwrap()
}

fn said(bench: &Bench) -> String {
    let events = bench.controls.events.lock().unwrap();
    let lines = events.iter().filter(|event| event["event"] == "said");
    lines.map(|event| event["line"].as_str().unwrap().to_owned() + "\n").collect()
}

const ALL: [&str; 4] = ["t0", "t1", "t2", "t3"];

#[test]
fn results_are_those_of_a_run_without_a_cluster() {
    let alone = Bench::new();
    let engine = alone.engine(STUDY);
    let expected = teach(&engine).unwrap();
    let history = engine.history(Teach::NAME).unwrap().unwrap();

    let (bench, cluster) = bench();
    let head = on(&bench, &cluster);
    assert_eq!(teach(&head).unwrap(), expected);
    assert_eq!(objects(&head), objects(&engine));
    assert_eq!(head.history(Teach::NAME).unwrap().unwrap().curves, history.curves);
    assert_eq!(cluster.submitted(), ALL);
    assert!(bench.controls.take_ran().is_empty(), "the head ran a task");
    assert!(!head.folder().join("cluster/teach").exists());
    assert!(!head.folder().join("scratch/teach").exists());
    assert!(said(&bench).contains("4 tasks are submitted to Fake"));
    // The rest of the study needs no other machine, and the section is part of no key.
    head.run_all().unwrap();
    let without = bench.engine(STUDY);
    assert!(without.run_all().unwrap().iter().all(|outcome| outcome.skipped));
}

#[test]
fn what_is_lost_on_the_way_is_done_again() {
    for fate in [Fate::Vanishes, Fate::IsCut, Fate::IsChanged] {
        let (bench, cluster) = bench();
        cluster.fates("t1", &[fate, fate]);
        let head = on(&bench, &cluster);
        let taught = teach(&head).unwrap();
        assert_eq!(taught.len(), 4, "{fate:?}");
        assert_eq!(cluster.submitted(), ["t0", "t1", "t1", "t1", "t2", "t3"], "{fate:?}");
        assert_eq!(objects(&head).len(), 4, "{fate:?}");
        let said = said(&bench);
        assert!(said.contains("ended without a result; it is submitted again"), "{said}");
        assert_eq!(said.contains("is damaged"), fate != Fate::Vanishes, "{said}");
    }
}

#[test]
fn what_is_lost_again_and_again_is_an_error() {
    let (bench, cluster) = bench();
    cluster.fates("t1", &[Fate::Vanishes; 3]);
    cluster.fates("t2", &[Fate::Waits]);
    let head = on(&bench, &cluster);
    let error = teach(&head).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("task `t1`: "), "{text}");
    assert!(text.contains("ended without a result, the last of 3"), "{text}");
    assert!(text.contains("cluster/teach") && text.contains("logs/t1-"), "{text}");
    assert!(error.hint.unwrap().contains("`attempts` of [cluster]"));
    assert_eq!(cluster.cancelled(), ["t2"]);
    // The same command tries again, and repeats nothing that is done.
    assert_eq!(teach(&on(&bench, &cluster)).unwrap().len(), 4);
    assert_eq!(cluster.submitted(), ["t0", "t1", "t1", "t1", "t1", "t2", "t2", "t3"]);
}

#[test]
fn a_task_may_be_done_twice() {
    let (bench, cluster) = bench();
    for task in ALL {
        cluster.fates(task, &[Fate::RunsTwice]);
    }
    let head = on(&bench, &cluster);
    assert_eq!(teach(&head).unwrap().len(), 4);
    assert_eq!(objects(&head).len(), 4);
    assert!(!head.folder().join("cluster/teach").exists());
}

#[test]
fn a_task_that_fails_is_told_once() {
    let bench = Bench::new();
    *bench.controls.fail.lock().unwrap() = Some("t1".into());
    let cluster = FakeCluster::new(nodes(&bench));
    cluster.fates("t3", &[Fate::Waits]);
    let head = on(&bench, &cluster);
    let error = teach(&head).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Step);
    assert!(error.to_string().contains("task `t1`: out of luck ("), "{error}");
    assert_eq!(cluster.submitted(), ALL);
    assert_eq!(cluster.cancelled(), ["t3"]);

    // Somebody has put it right.
    *bench.controls.fail.lock().unwrap() = None;
    let better = FakeCluster::new(nodes(&bench));
    assert_eq!(teach(&on(&bench, &better)).unwrap().len(), 4);
    assert!(better.submitted().contains(&"t1".to_owned()));
}

#[test]
fn a_machine_that_would_make_something_else_refuses() {
    let bench = Bench::new();
    let mut registry = nodes(&bench);
    registry.trainers.clear();
    registry.trainers.push(Arc::new(|_| -> Vec<Arc<dyn Trainer>> {
        vec![Arc::new(FakeTrainer { name: "fake trainer 2".into(), refusal: None })]
    }));
    let cluster = FakeCluster::new(registry);
    let error = teach(&on(&bench, &cluster)).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("would make something else than the head: "), "{text}");
    assert!(text.contains("fake trainer 1") && text.contains("fake trainer 2"), "{text}");
    assert!(error.hint.unwrap().contains("the same program, plugins, images"));
    assert_eq!(cluster.submitted(), ALL);
}

#[test]
fn a_request_to_stop_cancels_what_was_submitted() {
    let (bench, cluster) = bench();
    cluster.fates("t1", &[Fate::Waits]);
    cluster.fates("t2", &[Fate::Waits]);
    let head = on(&bench, &cluster);
    let shown = thread::scope(|scope| {
        let running = scope.spawn(|| teach(&head));
        let mut shown = Vec::new();
        while shown.len() != 2 {
            thread::sleep(Duration::from_millis(10));
            shown = head.tasks_on_cluster().unwrap();
        }
        bench.controls.cancel.store(true, Ordering::Relaxed);
        assert_eq!(running.join().unwrap().unwrap_err().kind, ErrorKind::Cancelled);
        shown
    });
    assert_eq!((shown[0].step.as_str(), shown[0].task.as_str()), ("teach", "t1"));
    assert_eq!(shown[0].state, JobState::Waiting { reason: "Resources".into() });
    assert_eq!(cluster.cancelled(), ["t1", "t2"]);
    assert!(on(&bench, &cluster).tasks_on_cluster().unwrap().is_empty());
    assert_eq!(teach(&on(&bench, &cluster)).unwrap().len(), 4);
    assert_eq!(cluster.submitted(), ["t0", "t1", "t1", "t2", "t2", "t3"]);
}

#[test]
fn a_head_that_was_killed_finds_what_it_had_submitted() {
    let (bench, cluster) = bench();
    for task in ["t1", "t2", "t3"] {
        cluster.fates(task, &[Fate::Waits]);
    }
    cluster.kill_head_after(0);
    let error = teach(&on(&bench, &cluster)).unwrap_err();
    assert!(error.to_string().contains("killed"), "{error}");
    assert!(cluster.cancelled().is_empty());

    // One is done while there is no head; the others go on.
    let head = on(&bench, &cluster);
    let folder = exchange(&head);
    cluster.release(&folder, "t2");
    let taught = thread::scope(|scope| {
        let running = scope.spawn(|| teach(&head));
        thread::sleep(Duration::from_millis(200));
        cluster.release(&folder, "t1");
        cluster.release(&folder, "t3");
        running.join().unwrap().unwrap()
    });
    assert_eq!(taught.len(), 4);
    assert_eq!(cluster.submitted(), ALL);
}

#[test]
fn what_was_submitted_under_other_settings_is_cancelled() {
    let (bench, cluster) = bench();
    cluster.fates("t3", &[Fate::Waits]);
    cluster.kill_head_after(0);
    teach(&on(&bench, &cluster)).unwrap_err();
    let before = exchange(&on(&bench, &cluster));
    let other = bench.engine(&format!("{}[teach]\nrate = 0.2\n", text()));
    assert_eq!(teach(&other.with_cluster(cluster.clone())).unwrap().len(), 4);
    assert_eq!(cluster.cancelled(), ["t3"]);
    assert!(!before.exists());
}

#[test]
fn an_attempt_goes_on_from_the_checkpoint_of_the_one_before() {
    let bench = Bench::new();
    let nodes = Bench::new();
    // As at the end of its time.
    *nodes.controls.stop.lock().unwrap() = Some("t2".into());
    let Bench { registry, controls, .. } = nodes;
    let cluster = FakeCluster::stopped_by(registry, controls.cancel.clone());
    let text = format!("{}jobs = 1\nattempts = 1000\n", text());
    let head = bench.engine(&text).with_cluster(cluster.clone());
    let taught = thread::scope(|scope| {
        let running = scope.spawn(|| teach(&head));
        while !controls.cancel.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(5));
        }
        // Once it has heard of it, the next job runs as usual.
        thread::sleep(Duration::from_millis(100));
        *controls.stop.lock().unwrap() = None;
        controls.cancel.store(false, Ordering::Relaxed);
        running.join().unwrap().unwrap()
    });
    assert!(taught[2].resumed && !taught[1].resumed, "{taught:?}");
}

#[test]
fn a_cluster_that_takes_all_at_once_gets_a_few_at_a_time() {
    let bench = Bench::new();
    let cluster = FakeCluster::without_limit(nodes(&bench));
    let text = format!("{}jobs = 2\n[teach]\ntasks = 7\n", text());
    let head = bench.engine(&text).with_cluster(cluster.clone());
    assert_eq!(teach(&head).unwrap().len(), 7);
    assert_eq!((cluster.most(), cluster.submitted().len()), (2, 7));
}

#[test]
fn a_cluster_that_does_not_answer_is_asked_again() {
    let (bench, cluster) = bench();
    cluster.fates("t0", &[Fate::Vanishes]);
    cluster.be_silent(5);
    assert_eq!(teach(&on(&bench, &cluster)).unwrap().len(), 4);
    assert_eq!(cluster.submitted().len(), 5);
    assert!(said(&bench).contains("warning: Fake does not answer: busy; asked again"));
}

/// What is not taken is no attempt at a task, however often it is not.
#[test]
fn a_cluster_that_takes_nothing_yet_is_asked_again() {
    let (bench, cluster) = bench();
    cluster.be_full(5);
    assert_eq!(teach(&on(&bench, &cluster)).unwrap().len(), 4);
    assert_eq!(cluster.submitted(), ALL);
    let said = said(&bench);
    let line = "warning: Fake does not answer: try again later; asked again";
    assert_eq!(said.matches(line).count(), 1, "{said}");
    assert!(!said.contains("ended without a result"), "{said}");
}

#[test]
fn what_a_killed_head_could_not_submit_is_no_attempt() {
    let (bench, cluster) = bench();
    let text = format!("{}attempts = 1\n", text());
    let head = || bench.engine(&text).with_cluster(cluster.clone());
    cluster.be_full(1);
    cluster.kill_head_after(0);
    assert!(teach(&head()).unwrap_err().to_string().contains("killed"));
    assert!(fs::read_dir(exchange(&head()).join("batches")).unwrap().count() == 1);
    assert_eq!(teach(&head()).unwrap().len(), 4);
    assert_eq!(cluster.submitted(), ALL);
}

#[test]
fn one_task_alone_stays_here() {
    let (bench, cluster) = bench();
    let head = bench.engine(&format!("{}[teach]\ntasks = 1\n", text()));
    assert_eq!(teach(&head.with_cluster(cluster.clone())).unwrap().len(), 1);
    assert!(cluster.submitted().is_empty());
    assert_eq!(bench.controls.take_ran(), ["t0"]);
}
