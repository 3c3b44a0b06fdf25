//! What a head tells other machines of a step, before it hands them tasks of it.

use std::path::{Path, PathBuf};

use spacewright_core::study::{AnyStep, ArtifactName};

use super::{
    ClusterEngine,
    dispatch::{Dispatch, PATIENCE, clear},
    exchange::{Description, Exchange, KnownArtifact},
};
use crate::{
    engine::{Engine, EngineOptions},
    error::Result,
    events::Observer,
    store::{Finished, Store},
};

/// How tasks of a step are handed to a cluster, with all that its machines have to know written. What was
/// submitted for the step under other settings is cancelled.
pub(crate) fn prepare<'a>(
    engine: &'a Engine,
    cluster: &'a dyn ClusterEngine,
    store: &Store,
    step: &dyn AnyStep,
    key: &str,
    observer: &'a dyn Observer,
) -> Result<Dispatch<'a>> {
    let run = whole(store.folder());
    clear(cluster, &run, step.name(), key)?;
    let exchange = Exchange::of(&run, step.name(), key);
    exchange.create()?;
    exchange.describe(&description(engine, store, step, key)?)?;
    let EngineOptions { threads, task_command, cancel, .. } = engine.options();
    let mut command = task_command.clone().unwrap_or_default();
    command.extend(["--threads".into(), threads.here().to_string()]);
    command.push(exchange.folder().display().to_string());
    Ok(Dispatch {
        cluster,
        settings: &engine.study().cluster,
        exchange,
        command,
        variables: own_variables(),
        label: format!("{}-{}", engine.study().name, step.name()),
        patience: PATIENCE,
        step: step.name(),
        observer,
        cancel,
    })
}

fn description(
    engine: &Engine,
    store: &Store,
    step: &dyn AnyStep,
    key: &str,
) -> Result<Description> {
    let mut artifacts = Vec::new();
    for read in engine.steps().iter().filter(|read| engine.reads(step, read.name())) {
        let Some(store) = engine.owner(read.as_ref()).existing_store()? else { continue };
        let left = store.left(&engine.key(read.name())?)?;
        artifacts.extend(left.into_iter().map(|left| known(read.name(), left)));
    }
    artifacts.extend(store.left(key)?.into_iter().map(|left| known(step.name(), left)));
    let EngineOptions { threads, home, runs, .. } = engine.options();
    Ok(Description {
        step: step.name().to_owned(),
        key: key.to_owned(),
        ingredients: engine.ingredients(step)?,
        study: engine.study_as_run(),
        threads: *threads,
        home: whole(home),
        runs: whole(runs),
        scratch: whole(&store.scratch_of(step.name(), key)),
        artifacts,
    })
}

/// An artifact as other machines find it.
fn known(step: &'static str, (task, left): (String, Finished)) -> KnownArtifact {
    let Finished { result, object } = left;
    let name = ArtifactName { step: step.into(), task: task.into() };
    KnownArtifact { name, result, object: object.map(|path| whole(&path)) }
}

/// The path without regard to the current folder, which is another one on other machines.
fn whole(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Environment variables of this program's own; the home is part of the description.
fn own_variables() -> Vec<(String, String)> {
    let own = |name: &str| name.starts_with("SPACEWRIGHT_") && name != "SPACEWRIGHT_HOME";
    std::env::vars().filter(|(name, _)| own(name)).collect()
}
