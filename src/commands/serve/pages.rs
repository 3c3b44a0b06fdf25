//! What the pages show, out of what the engine tells.

use std::collections::HashMap;

use spacewright_engine::{EngineError, LiveRun, RunNow, RunState, RunningTask};
use spacewright_spaceevo_page::{
    LiveNetwork, LiveRunData, LiveRunRow, LiveTask, Standing, StepStanding,
};

use crate::commands::page::step_of;

/// A run as the list shows it; `methods` has the names of the steps of each method in their order.
pub fn row(now: &RunNow, methods: &HashMap<String, Vec<String>>, has_report: bool) -> LiveRunRow {
    let planned = methods.get(&now.method).map(Vec::as_slice).unwrap_or_default();
    let begun = |name: &str| now.steps.iter().find(|step| step.step == name);
    let running = |name: &str| now.state == RunState::Running && now.step.as_deref() == Some(name);
    let standing = |name: &str| match begun(name) {
        Some(step) if step.finished => StepStanding::Finished,
        _ if running(name) => StepStanding::Running,
        Some(_) => StepStanding::Begun,
        None => StepStanding::Ahead,
    };
    let more = now.steps.iter().map(|step| &step.step).filter(|name| !planned.contains(name));
    let steps: Vec<_> =
        planned.iter().chain(more).map(|name| (name.clone(), standing(name))).collect();
    let all = steps.iter().all(|(_, standing)| *standing == StepStanding::Finished);
    LiveRunRow {
        name: now.name.clone(),
        target: now.target.clone(),
        standing: match now.state {
            RunState::Running => Standing::Running,
            RunState::Finished if all => Standing::Finished,
            RunState::Finished => Standing::Resting,
            RunState::Failed => Standing::Failed,
            RunState::Stopped => Standing::Stopped,
            RunState::Killed => Standing::Killed,
            RunState::New => Standing::New,
        },
        steps,
        step: now.step.clone(),
        share: now.progress.as_ref().map(|progress| progress.share()),
        seconds_left: now.progress.as_ref().and_then(|progress| progress.seconds_left),
        heard: now.heard,
        has_report,
    }
}

/// All that the page of a run shows.
pub fn run(
    live: &mut LiveRun,
    methods: &HashMap<String, Vec<String>>,
    has_report: bool,
) -> Result<LiveRunData, EngineError> {
    let now = live.now()?;
    let history = live.histories()?.into_iter().map(step_of).collect();
    let networks = live.judged()?.into_iter().map(|judged| LiveNetwork {
        network: judged.network,
        latency_ms: judged.latency_ms,
        accuracy: judged.accuracy,
    });
    let row = row(&now, methods, has_report);
    let networks = networks.collect();
    let RunNow { progress, reason, lines, .. } = now;
    let progress = progress.unwrap_or_default();
    let task = |RunningTask { task, done, total, note }| LiveTask { task, done, total, note };
    Ok(LiveRunData {
        row,
        tasks: (progress.done, progress.total),
        running: progress.running.into_iter().map(task).collect(),
        reason,
        lines,
        history,
        networks,
    })
}
