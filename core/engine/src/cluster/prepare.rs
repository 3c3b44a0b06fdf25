//! What a head tells other machines of a step, before it hands them tasks of it.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

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
        variables: own_variables(std::env::vars_os()),
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

/// Variables of this program's own that stay here: the home is part of the description, and a token that opens `serve`
/// is nothing for the command lines of jobs, which others can see.
const KEPT_HERE: [&str; 2] = ["SPACEWRIGHT_HOME", "SPACEWRIGHT_TOKEN"];

/// Environment variables of this program's own for jobs.
fn own_variables(all: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<(String, String)> {
    let texts = all
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let own = |name: &str| name.starts_with("SPACEWRIGHT_") && !KEPT_HERE.contains(&name);
    texts.filter(|(name, _)| own(name)).collect()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn jobs_get_the_programs_own_variables_but_no_secret() {
        let text = |text: &str| OsString::from(text);
        let all = vec![
            (text("SPACEWRIGHT_LOG"), text("debug")),
            (text("SPACEWRIGHT_HOME"), text("/home")),
            (text("SPACEWRIGHT_TOKEN"), text("secret")),
            (text("PATH"), text("/bin")),
            (text("SPACEWRIGHT_DATA"), OsString::from_vec(vec![0xe9])),
            (OsString::from_vec(vec![0xe9]), text("1")),
        ];
        assert_eq!(own_variables(all), [("SPACEWRIGHT_LOG".to_owned(), "debug".to_owned())]);
    }
}
