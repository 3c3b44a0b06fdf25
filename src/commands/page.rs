//! The page of a run: what its steps have left, gathered and written beside its networks.

use std::{
    fs,
    path::{Path, PathBuf},
};

use spacewright_core::study::Step;
use spacewright_engine::{Attempt, Engine, EngineError, ErrorKind, StepHistory, TaskCurve};
use spacewright_spaceevo::{
    SpaceEvo,
    report::{BudgetNetwork, NetworkShape},
    steps::{
        evolve::{Evolve, Evolved},
        export::{Export, ExportedNetwork},
        measure::Measure,
        plain::Plain,
        proxy::Proxy,
        report::Report,
        spaces::Spaces,
    },
};
use spacewright_spaceevo_page::{
    ModelFile, Origin, PageAttempt, PageCurve, PageData, PageNetwork, PageStage, PageStep,
    StudyFile, page,
};

use crate::render::Failure;

/// Writes the page of a run, where its report is current, and gives its path. That it cannot be written is
/// said, and is no reason for a finished study to fail.
pub fn written(engine: &Engine, study: &Path) -> Option<PathBuf> {
    let written = gathered(engine, study)
        .and_then(|data| data.map(|data| engine.keep_page(&page(&data))).transpose());
    written.unwrap_or_else(|error| {
        let reason = Failure::from(error).in_one_line();
        tracing::warn!("the page of the run cannot be written: {reason}");
        None
    })
}

/// Opens an address in the browser.
#[cfg(feature = "serve")]
pub fn open_address(address: &str) -> Result<(), Failure> {
    open::that(address).map_err(|error| Failure::failed(format!("cannot open {address}: {error}")))
}

/// Opens a page in the browser.
pub fn open(page: Option<&Path>) -> Result<(), Failure> {
    let Some(page) = page else { return Err(Failure::failed("there is no page to open")) };
    open::that(page).map_err(|error| {
        tracing::debug!("{error}");
        let page = std::path::absolute(page).unwrap_or_else(|_| page.to_owned());
        Failure::failed(format!("nothing here opens pages; this one is {}", page.display()))
            .hint("open the file in a browser, on this machine or on another one: it is all that is needed")
    })
}

/// What the page shows; `None` where the report is not current.
fn gathered(engine: &Engine, study: &Path) -> Result<Option<PageData>, EngineError> {
    if engine.method().name() != SpaceEvo::NAME {
        return Ok(None);
    }
    let Some(report) = known(engine.output::<Report>())? else { return Ok(None) };
    let evolved = engine.output::<Evolve>()?;
    let exported = engine.output::<Export>()?;
    let networks = report.budgets.iter().zip(&exported);
    let networks = networks.map(|(budget, network)| network_of(engine, &evolved, budget, network));
    let mut history = Vec::new();
    for step in engine.steps() {
        history.extend(engine.history(step.name())?.map(step_of));
    }
    Ok(Some(PageData {
        study: study_file(engine, study),
        origin: Origin {
            program: env!("CARGO_PKG_VERSION").into(),
            runs: unusual(&engine.options().runs),
            threads: engine.options().threads.here(),
            flags: flags(engine),
        },
        stages: stages_of(engine, &evolved),
        networks: networks.collect(),
        sums: engine.output::<Measure>()?.own.sum_of_parts,
        plain: extra::<Plain>(engine)?,
        proxy: extra::<Proxy>(engine)?,
        spaces: extra::<Spaces>(engine)?,
        traces: evolved.traces,
        history,
        report,
    }))
}

/// The study file of a run.
pub fn study_file(engine: &Engine, file: &Path) -> StudyFile {
    StudyFile {
        name: engine.study().name.clone(),
        file: file.display().to_string(),
        text: engine.study().text.clone(),
        classes: engine.context().labels.clone(),
    }
}

/// The folder of all runs as commands have to name it; none where it is the usual one.
pub fn unusual(runs: &Path) -> Option<String> {
    (runs != Path::new("runs")).then(|| runs.display().to_string())
}

/// Names and values of flags with which target and seed are those of the run, where the file says others.
fn flags(engine: &Engine) -> Vec<(String, String)> {
    let study = engine.study();
    let file = study.text.parse::<toml::Table>().unwrap_or_default();
    let mut flags = Vec::new();
    if file.get("target").and_then(|target| target.as_str()) != Some(&study.target) {
        flags.push(("target".to_owned(), study.target.clone()));
    }
    let seed = file.get("seed").and_then(toml::Value::as_integer).unwrap_or_default();
    if u64::try_from(seed) != Ok(study.seed) {
        flags.push(("seed".to_owned(), study.seed.to_string()));
    }
    flags
}

/// What there is; `None` where a step has not run under the present settings.
fn known<T>(found: Result<T, EngineError>) -> Result<Option<T>, EngineError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind == ErrorKind::Missing => Ok(None),
        Err(error) => Err(error),
    }
}

/// The report of a step that `run` leaves out.
fn extra<S: Step>(engine: &Engine) -> Result<Option<S::Output>, EngineError> {
    known(engine.output::<S>())
}

/// A step as pages show it.
pub fn step_of(history: StepHistory) -> PageStep {
    let StepHistory { step, current, attempts, curves, .. } = history;
    let attempt = |Attempt { started, seconds, core_seconds, peak_bytes, outcome }| {
        let outcome = outcome.name().to_owned();
        PageAttempt { started, seconds, core_seconds, peak_bytes, outcome }
    };
    let curve = |TaskCurve { task, points }| PageCurve { task, points };
    PageStep {
        step,
        current,
        attempts: attempts.into_iter().map(attempt).collect(),
        curves: curves.into_iter().map(curve).collect(),
    }
}

fn stages_of(engine: &Engine, evolved: &Evolved) -> Vec<PageStage> {
    let stages = evolved.space().elastic_stages(&engine.context().hyperspace).into_iter();
    let stage = |stage: spacewright_core::space::ElasticStage| PageStage {
        stage: stage.name,
        block: stage.candidate.block,
        widths: stage.widths,
        depths: stage.depths,
        stride: stage.stride,
    };
    stages.map(stage).collect()
}

fn network_of(
    engine: &Engine,
    evolved: &Evolved,
    budget: &BudgetNetwork,
    network: &ExportedNetwork,
) -> PageNetwork {
    let folder = engine.folder();
    let other = |format: &String| Path::new(&budget.file).with_extension(format);
    let others = budget.network.translated.iter().map(|network| other(&network.format));
    let names = [&budget.file, &budget.fp32_file].map(PathBuf::from).into_iter().chain(others);
    let file = |name: PathBuf| {
        let content = fs::read(folder.join(&name)).ok()?;
        Some(ModelFile::new(&name.display().to_string(), &content))
    };
    // A plugin whose blocks the space has may be gone: what is measured of the network is shown without.
    let shape = NetworkShape::of(engine.context(), evolved.space(), &network.chosen.subnet);
    PageNetwork {
        layers: network.layers.clone(),
        shape: shape.ok(),
        files: names.filter_map(file).collect(),
    }
}
