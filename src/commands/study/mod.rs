//! Study files and their runs.

mod blocks;
mod compare;
mod history;
mod new;
mod schema;

use std::{collections::HashSet, path::PathBuf};

use serde_json::json;
use spacewright_core::study::duration;
use spacewright_engine::{
    Change, Engine, JobState, StepState, StepStatus, TaskOnCluster, list_runs,
};

use crate::{
    cli::{Global, SeveralStudies, StudyArgs, StudyCommand},
    commands::run::open,
    render::{Failure, Output, Table},
};

pub fn run(command: &StudyCommand, global: &Global) -> Result<Output, Failure> {
    match command {
        StudyCommand::New(args) => new::run(args, global),
        StudyCommand::Schema { report: Some(name), .. } => schema::of_report(*name),
        StudyCommand::Schema { json_schema: true, .. } => schema::json_schema(),
        StudyCommand::Schema { json_schema: false, .. } => schema::schema(),
        StudyCommand::Explain { section } => schema::explain(section.as_deref()),
        StudyCommand::List { runs } => list(runs),
        StudyCommand::Compare(args) => compare::run(args, global),
        StudyCommand::Blocks(args) => blocks::run(args, global),
        StudyCommand::Show(args) => show(args, global),
        StudyCommand::History(args) => history::run(args, global),
    }
}

/// The studies that are to be compared.
fn several(args: &SeveralStudies, global: &Global) -> Result<Vec<Engine>, Failure> {
    if args.studies.len() < 2 {
        return Err(Failure::input("one study has nothing to be compared with")
            .hint("name another study file"));
    }
    let SeveralStudies { studies, runs, compute, cluster } = args;
    let mut files = HashSet::new();
    let is_again = |study: &&PathBuf| {
        let file = study.canonicalize();
        file.is_ok_and(|file| !files.insert(file))
    };
    if let Some(twice) = studies.iter().find(is_again) {
        return Err(Failure::input(format!("{} is named twice", twice.display()))
            .hint("name different study files"));
    }
    let open_one = |study: &PathBuf| {
        let (study, runs) = (study.clone(), runs.clone());
        let args = StudyArgs { study, runs, target: None, compute: *compute, cluster: *cluster };
        open(&args, Vec::new(), global)
    };
    studies.iter().map(open_one).collect()
}

fn list(runs: &std::path::Path) -> Result<Output, Failure> {
    if !runs.is_dir() {
        let failure = Failure::input(format!("there is no folder {}", runs.display()));
        return Err(failure.hint("`--runs` names the folder of all runs; `run` makes it"));
    }
    let runs = list_runs(runs)?;
    let mut table = Table::new(&["run", "finished steps", "folder"]);
    for run in &runs {
        let steps: Vec<&str> =
            run.steps.iter().filter(|step| step.finished).map(|step| step.step.as_str()).collect();
        let folder = run.folder.display().to_string();
        table.row([run.study.name.clone(), steps.join(", "), folder]);
    }
    Output::new(table.render(), &json!({ "runs": runs }))
}

fn show(args: &StudyArgs, global: &Global) -> Result<Output, Failure> {
    let engine = open(args, Vec::new(), global)?;
    let steps = engine.status()?;
    let mut table = Table::new(&["step", "state", "tasks", "time"]);
    for step in &steps {
        let state = match step.state {
            StepState::Current => "current",
            StepState::Stale => "stale",
            StepState::Missing => "missing",
        };
        let state = if step.extra { format!("{state}, extra") } else { state.into() };
        let time = step.seconds.map(duration).unwrap_or_default();
        table.row([step.step.clone(), state, step.tasks.to_string(), time]);
    }
    let reasons: String = steps.iter().flat_map(reasons).collect();
    let (training, trained_with) = match engine.context().trained_with() {
        Ok(None) => (String::new(), None),
        Ok(Some(with)) => (format!("\ntrains on {with}"), Some(with)),
        Err(error) => {
            (format!("\ntrains nothing here: {}", Failure::from(error).in_one_line()), None)
        }
    };
    let (on_cluster, submitted) = match engine.tasks_on_cluster() {
        Ok(tasks) => (on_cluster(&tasks), tasks),
        Err(error) => {
            let reason = Failure::from(error).in_one_line();
            (format!("\nwhat runs on the cluster is not known: {reason}"), Vec::new())
        }
    };
    let value = json!({
        "study": engine.study().name,
        "folder": engine.folder(),
        "trained_with": trained_with,
        "steps": steps,
        "cluster": submitted,
    });
    Output::new(format!("{}{training}{reasons}{on_cluster}", table.render()), &value)
}

/// What runs where, a line for each task.
fn on_cluster(tasks: &[TaskOnCluster]) -> String {
    if tasks.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["step", "task", "job", "state", "node"]);
    for TaskOnCluster { step, task, job, state } in tasks {
        let (state, node) = match state {
            JobState::Waiting { reason } if reason.is_empty() => ("waits".into(), String::new()),
            JobState::Waiting { reason } => (format!("waits: {reason}"), String::new()),
            JobState::Running { node } => ("runs".into(), node.clone()),
            JobState::Ended { reason } => (format!("has ended: {reason}"), String::new()),
        };
        table.row([step.clone(), task.clone(), job.clone(), state, node]);
    }
    format!("\n\n{}", table.render())
}

/// Why a step runs again, a line for each reason.
fn reasons(status: &StepStatus) -> Vec<String> {
    let step = &status.step;
    if status.taken_over {
        return vec![format!("\n{step}: made by an earlier version, and taken over by `run`")];
    }
    Change::lines(&status.changes).iter().map(|line| format!("\n{step}: {line}")).collect()
}
