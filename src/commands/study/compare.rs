//! `spacewright study compare …`

use std::{collections::BTreeMap, fmt::Write, path::Path};

use spacewright_core::{latency::LatencyQuery, study::Step};
use spacewright_engine::{Engine, EngineError, Inputs, write_atomically};
use spacewright_spaceevo::{
    report::compare::{
        ComparedStudy, OnTarget, StepCost, StudiesReport, StudyOutcome, TargetLatencies, targets,
    },
    steps::{evolve::Evolve, export::Export},
};
use spacewright_spaceevo_page::{ComparePageData, Origin, compare_page};

use super::several;
use crate::{
    cli::{CompareArgs, Global},
    commands::page,
    measuring::Measuring,
    render::{Failure, Output, Table},
};

pub fn run(args: &CompareArgs, global: &Global) -> Result<Output, Failure> {
    if let Some(html) = &args.html {
        check_place(html)?;
    }
    let engines = several(&args.several, global)?;
    check_threads(&engines)?;
    let mut outcomes = Vec::new();
    for engine in &engines {
        engine.run_step(Export::NAME, Inputs::Run)?;
        let (evolved, exported) = (engine.output::<Evolve>()?, engine.output::<Export>()?);
        let outcome = StudyOutcome::new(engine.context(), evolved, &exported, costs(engine)?);
        outcomes.push(outcome.map_err(Failure::failed)?);
    }
    let targets = targets(&outcomes);
    let queries: Vec<LatencyQuery> = outcomes.iter().flat_map(StudyOutcome::queries).collect();
    let measuring = Measuring::new(queries.len() * targets.len(), global.quiet)?;
    let mut measured = Vec::new();
    for target in &targets {
        let on = |outcome: &StudyOutcome| outcome.target() == target;
        let Some(at) = outcomes.iter().position(on) else { continue };
        let source = engines[at].context().target.latency_source().map_err(Failure::failed)?;
        let latencies = measuring.latencies(source.as_ref(), &queries)?;
        measured.push(TargetLatencies { source: source.fingerprint(), latencies });
    }
    let report = StudiesReport::new(&outcomes, &measured);
    let mut text = text(&report);
    if let Some(html) = &args.html {
        let data = page_data(args, &engines, report.clone());
        write_atomically(html, compare_page(&data).as_bytes())?;
        let _ = write!(text, "\npage: {}\n", html.display());
        if args.open {
            page::open(Some(html))?;
        }
    }
    Output::new(text, &report)
}

/// That a page can be written there, before hours are spent.
fn check_place(html: &Path) -> Result<(), Failure> {
    let wrong = |reason: &str, hint: &str| {
        Err(Failure::input(format!("{}: {reason}", html.display())).hint(hint))
    };
    if html.is_dir() {
        return wrong("is a folder", "give the name of a file in it");
    }
    let folder = html.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return wrong("there is no folder for it", "make the folder first");
    }
    Ok(())
}

/// What the steps of a study have cost, those that have run.
fn costs(engine: &Engine) -> Result<Vec<StepCost>, EngineError> {
    let mut costs = Vec::new();
    for step in engine.steps() {
        let attempts: Vec<_> =
            engine.history(step.name())?.into_iter().flat_map(|history| history.attempts).collect();
        if !attempts.is_empty() {
            costs.push(StepCost {
                step: step.name().to_owned(),
                seconds: attempts.iter().map(|attempt| attempt.seconds).sum(),
                core_seconds: attempts.iter().map(|attempt| attempt.core_seconds).sum(),
            });
        }
    }
    Ok(costs)
}

fn page_data(args: &CompareArgs, engines: &[Engine], report: StudiesReport) -> ComparePageData {
    let files = engines.iter().zip(&args.several.studies);
    ComparePageData {
        report,
        files: files.map(|(engine, file)| page::study_file(engine, file)).collect(),
        origin: Origin {
            program: env!("CARGO_PKG_VERSION").into(),
            runs: page::unusual(&args.several.runs),
            threads: engines[0].options().threads.here(),
            flags: flags(engines),
        },
    }
}

/// Flags that were given for all studies: those with which one of them is not as its file says.
fn flags(engines: &[Engine]) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for flag in engines.iter().flat_map(|engine| page::flags(engine.study())) {
        if !all.contains(&flag) {
            all.push(flag);
        }
    }
    all
}

/// That studies for one target measure with the same number of threads: their milliseconds stand in
/// one column.
fn check_threads(engines: &[Engine]) -> Result<(), Failure> {
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for engine in engines {
        let target = &engine.context().target;
        let (name, threads) = (target.description().name, target.threads());
        let first = *known.entry(name.clone()).or_insert(threads);
        if first != threads {
            let message = format!(
                "`{name}` is measured with {first} thread(s) in one study, with {threads} in another"
            );
            return Err(Failure::input(message).hint("give both the same `[measure] threads`"));
        }
    }
    Ok(())
}

fn text(report: &StudiesReport) -> String {
    let mut text = String::new();
    let mut header = vec!["stage"];
    header.extend(report.studies.iter().map(|row| row.study.as_str()));
    let mut spaces = Table::new(&header);
    let cells = |cell: &dyn Fn(&ComparedStudy) -> String| report.studies.iter().map(cell).collect();
    let line = |name: &str, cells: Vec<String>| [vec![name.to_owned()], cells].concat();
    spaces.cells(line("designed for", cells(&designed_for)));
    spaces.cells(line("space", cells(&|row| row.space.to_string())));
    let stages = report.studies.iter().map(|row| row.stages.len()).max().unwrap_or(0);
    for at in 0..stages {
        let stage = |row: &ComparedStudy| match row.stages.get(at) {
            Some(stage) => format!("{} {:?}", stage.block, stage.widths),
            None => "-".into(),
        };
        let names = report.studies.iter().filter_map(|row| row.stages.get(at));
        let name = names.map(|stage| stage.stage.clone()).next().unwrap_or_default();
        spaces.cells(line(&name, cells(&stage)));
    }
    let _ = writeln!(text, "{}", spaces.render());

    let mut header = vec!["study".to_owned(), "network".to_owned()];
    for target in &report.targets {
        header.extend([format!("{target} ms"), "accuracy %".into()]);
    }
    let mut networks = Table::new(&header.iter().map(String::as_str).collect::<Vec<_>>());
    for row in &report.studies {
        for network in &row.networks {
            let mut cells = vec![row.study.clone(), network.network.to_string()];
            cells.extend(network.on.iter().flat_map(on));
            networks.cells(cells);
        }
    }
    let _ = writeln!(text, "{}", networks.render());

    let mut header = vec!["study".to_owned()];
    header.extend(report.targets.iter().map(|target| format!("on {target}")));
    let mut deployed = Table::new(&header.iter().map(String::as_str).collect::<Vec<_>>());
    for row in &report.studies {
        let mut cells = vec![row.study.clone()];
        cells.extend(row.deployed.iter().map(|deployed| {
            let at_least = if deployed.at_least { "at least " } else { "" };
            let part = match deployed.reached < deployed.of {
                true => format!(" ({} of {})", deployed.reached, deployed.of),
                false => String::new(),
            };
            let speed = deployed
                .speed_up
                .map_or("-".into(), |speed| format!("{at_least}{speed:.2}x{part}"));
            let gain = deployed.gain.map_or("-".into(), |gain| format!("{:+.2}", 100.0 * gain));
            format!("{speed} {gain}")
        }));
        deployed.cells(cells);
    }
    let _ = write!(
        text,
        "Against the networks that were designed for the target: speed at equal accuracy (at so many \
         of their accuracies, where not all are reached), points of accuracy at equal latency.\n{}",
        deployed.render()
    );
    if report.studies.iter().any(unverified) {
        text.push_str(
            "\nAn accuracy in parentheses was computed on the study's own target; with `formats = \
             [\"all\"]` under [export] it is computed on each.\n",
        );
    }
    text
}

fn designed_for(row: &ComparedStudy) -> String {
    if row.lost.is_empty() {
        return row.target.clone();
    }
    let one = |(target, lost): (&String, &f64)| format!("{target} (−{:.2} %)", 100.0 * lost);
    row.lost.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn on(on: &OnTarget) -> [String; 2] {
    let accuracy = format!("{:.2}", 100.0 * on.accuracy);
    let accuracy = if on.verified { accuracy } else { format!("({accuracy})") };
    [format!("{:.4}", on.ms), accuracy]
}

fn unverified(row: &ComparedStudy) -> bool {
    row.networks.iter().flat_map(|network| &network.on).any(|on| !on.verified)
}
