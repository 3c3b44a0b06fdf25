//! `spacewright bench …`: extra steps of a study and what they found; how fast scores are.

mod data;
mod plain;
mod proxy;
mod score;
mod spaces;
mod train;

use serde_json::{Map, Value, json};
use spacewright_core::study::Step;
use spacewright_engine::{Engine, FieldOverride, Inputs};
use spacewright_spaceevo::{
    SpaceEvo,
    steps::{plain::Plain, proxy::Proxy, spaces::Spaces},
};

use crate::{
    cli::{BenchCommand, Global, StudyArgs},
    commands::{page, run::open_to_train},
    render::{Failure, Output},
};

pub fn run(command: &BenchCommand, global: &Global) -> Result<Output, Failure> {
    match command {
        BenchCommand::Score(args) => score::score(args, global.seed.unwrap_or_default()),
        BenchCommand::Data(args) => data::run(args, global),
        BenchCommand::Train(args) => train::run(args, global),
    }
}

/// Runs an extra step behind those that it reads, and shows its report and its files.
pub fn step(
    name: &str,
    args: &StudyArgs,
    fields: Vec<FieldOverride>,
    global: &Global,
) -> Result<Output, Failure> {
    let engine = open_to_train(args, fields, global)?;
    engine.run_step(name, Inputs::Run)?;
    let (mut text, mut report) = report(name, &engine)?;
    let written: Vec<String> =
        engine.published(name)?.iter().map(|path| path.display().to_string()).collect();
    for file in &written {
        text += &format!("\nwrote {file}");
    }
    if let Some(page) = page::written(&engine, &args.study) {
        text += &format!("\npage: {}", page.display());
    }
    report.insert("files".into(), json!(written));
    Output::new(text, &report)
}

/// What an extra step found, as text and as JSON.
fn report(name: &str, engine: &Engine) -> Result<(String, Map<String, Value>), Failure> {
    let json = |report: serde_json::Result<Value>| match report {
        Ok(Value::Object(report)) => Ok(report),
        Ok(_) => Ok(Map::new()),
        Err(error) => Err(Failure::failed(error)),
    };
    Ok(match (engine.method().name(), name) {
        (SpaceEvo::NAME, Proxy::NAME) => {
            let report = engine.output::<Proxy>()?;
            (proxy::text(&report), json(serde_json::to_value(&report))?)
        }
        (SpaceEvo::NAME, Plain::NAME) => {
            let report = engine.output::<Plain>()?;
            (plain::text(&report), json(serde_json::to_value(&report))?)
        }
        (SpaceEvo::NAME, Spaces::NAME) => {
            let report = engine.output::<Spaces>()?;
            (spaces::text(&report), json(serde_json::to_value(&report))?)
        }
        _ => (format!("{name}: finished"), Map::new()),
    })
}
