//! The page of a run: what its steps have left, gathered and written beside its networks.

use std::{
    fs,
    path::{Path, PathBuf},
};

use spacewright_core::study::{Section, Step};
use spacewright_engine::{
    Attempt, ClusterSettings, ComputeSettings, Engine, EngineError, ErrorKind, StepHistory, Study,
    TaskCurve, engine_sections,
};
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
            flags: flags(engine.study()),
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

/// Names and values of flags with which a study is the one that was run, where its file says otherwise.
pub fn flags(study: &Study) -> Vec<(String, String)> {
    let file = table(study);
    // A study that takes from another has its seed.
    let seeds = study.from.as_deref().map_or_else(|| file.clone(), table);
    let [top, ..] = engine_sections();
    let defaults = top.defaults();
    let target = file.get("target").and_then(toml::Value::as_str).or(defaults["target"].as_str());
    let seed = seeds.get("seed").and_then(toml::Value::as_integer).unwrap_or_default();
    let compute: ComputeSettings = section(&file);
    let cluster: ClusterSettings = section(&file);
    let run = &study.compute;
    let flags = [
        ("target", target.unwrap_or_default().to_owned(), study.target.clone()),
        ("seed", seed.to_string(), study.seed.to_string()),
        ("device", compute.device.to_string(), run.device.to_string()),
        ("precision", compute.precision.name().to_owned(), run.precision.name().to_owned()),
        ("processes", compute.processes.to_string(), run.processes.to_string()),
        ("cluster", cluster.engine.to_string(), study.cluster.engine.to_string()),
    ];
    let others = flags.into_iter().filter(|(_, of_file, of_run)| of_file != of_run);
    others.map(|(flag, _, of_run)| (flag.to_owned(), of_run)).collect()
}

/// What the file of a study says.
fn table(study: &Study) -> toml::Table {
    study.text.parse().unwrap_or_default()
}

/// A section as a file has it.
fn section<S: Section>(file: &toml::Table) -> S {
    let given = file.get(S::NAME).cloned();
    given.and_then(|given| given.try_into().ok()).unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use spacewright_core::train::Precision;
    use spacewright_engine::{ClusterKind, Overrides, Registry};

    use super::*;
    use crate::{
        cli::{ClusterArgs, ComputeArgs},
        process,
    };

    #[test]
    fn commands_have_the_flags_that_the_file_of_a_study_lacks() {
        process::link_plugins();
        let registry = Registry::built_in().unwrap();
        let check = |text: &str, given: &Overrides, expected: &str| {
            let text = format!("name = \"a\"\nhyperspace = \"mini\"\n{text}");
            let study = Study::parse("a.toml", &text, Path::new("."), &registry, given).unwrap();
            let flags = flags(&study);
            let shown: Vec<String> =
                flags.iter().map(|(flag, value)| format!("--{flag} {value}")).collect();
            assert_eq!(shown.join(" "), expected, "{text}");
        };
        let compute = ComputeArgs {
            device: Some("cpu".parse().unwrap()),
            precision: Some(Precision::Bf16),
            processes: Some(2),
        };
        let cluster = ClusterArgs { cluster: Some(ClusterKind::Slurm) };
        let given = Overrides {
            seed: Some(7),
            target: Some("host-litert".into()),
            fields: compute.fields().chain(cluster.fields()).collect(),
        };
        let all = "--target host-litert --seed 7 --device cpu --precision bf16 --processes 2 \
                   --cluster slurm";
        check("", &given, all);
        check("", &Overrides::default(), "");
        let file = "seed = 7
            target = \"host-litert\"
            [compute]
            device = \"cpu\"
            precision = \"bf16\"
            processes = 2
            [cluster]
            engine = \"slurm\"";
        check(file, &given, "");
        check(file, &Overrides::default(), "");
        check(file, &Overrides { seed: Some(0), ..given.clone() }, "--seed 0");
    }
}
