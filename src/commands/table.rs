//! `spacewright table …`

use std::{fmt::Write, path::Path};

use serde::Serialize;
use spacewright_core::study::Step;
use spacewright_engine::Inputs;
use spacewright_spaceevo::{
    report::PublishedReport,
    steps::{distil::Distil, tables::Tables},
    tables::published::{Mismatch, check_tables, rows_for_tables},
};

use crate::{
    catalog,
    cli::{Global, StudyArgs, TableCommand},
    commands::run::open_to_train,
    render::{Failure, Output, Table, grouped},
    report::correlation,
};

/// Mismatches that are listed.
const LISTED: usize = 10;

pub fn run(command: &TableCommand, global: &Global) -> Result<Output, Failure> {
    match command {
        TableCommand::Check { folder, hyperspace } => check(folder, hyperspace),
        TableCommand::Compare { study, tables } => compare(study, tables, global),
    }
}

#[derive(Serialize)]
struct CheckReport {
    hyperspace: String,
    files: usize,
    rows: usize,
    macs_equal: usize,
    params_equal: usize,
    mismatches: Vec<Mismatch>,
}

fn check(folder: &Path, hyperspace: &str) -> Result<Output, Failure> {
    let hyperspace = catalog::hyperspace(hyperspace)?;
    let check = check_tables(folder, &hyperspace, &catalog::operators()?).map_err(|error| {
        Failure::input(error)
            .hint("a folder of tables has a file for every stage, block and window")
    })?;
    let good = check.mismatches.is_empty();
    let mut text = format!(
        "{} rows in {} files: macs equal in {}, params equal in {}\n",
        grouped(&check.rows.to_string()),
        check.files,
        grouped(&check.macs_equal.to_string()),
        grouped(&check.params_equal.to_string()),
    );
    if !good {
        let mut table = Table::new(&["file", "line", "figure", "printed", "counted"]);
        for mismatch in check.mismatches.iter().take(LISTED) {
            table.row([
                mismatch.file.clone(),
                mismatch.line.to_string(),
                mismatch.figure.to_owned(),
                mismatch.printed.to_string(),
                (mismatch.counted as f64 / 1e6).to_string(),
            ]);
        }
        let count = check.mismatches.len();
        let _ = write!(text, "{count} mismatches, in millions:\n{}", table.render());
    }
    let report = CheckReport {
        hyperspace: hyperspace.name,
        files: check.files,
        rows: check.rows,
        macs_equal: check.macs_equal,
        params_equal: check.params_equal,
        mismatches: check.mismatches.into_iter().take(LISTED).collect(),
    };
    Ok(Output::new(text, &report)?.good(good))
}

fn compare(study: &StudyArgs, folder: &Path, global: &Global) -> Result<Output, Failure> {
    let engine = open_to_train(study, Vec::new(), global)?;
    let hyperspace = &engine.context().hyperspace;
    let published = rows_for_tables(folder, hyperspace).map_err(Failure::input)?;
    engine.run_step(Tables::NAME, Inputs::Run)?;
    let tables = engine.output::<Tables>()?;
    if !PublishedReport::knows(&published, &tables) {
        let message = format!("{} has none of the study's rows", folder.display());
        return Err(Failure::input(message)
            .hint("`published` below [tables] makes a study take its rows out of a folder"));
    }
    engine.run_step(Distil::NAME, Inputs::Run)?;
    let distilled = engine.output::<Distil>()?;
    let report = PublishedReport::new(hyperspace, &tables, &distilled, &published);
    Output::new(comparison(&report), &report)
}

fn comparison(report: &PublishedReport) -> String {
    let heading = ["stage", "rows", "rho", "rho of block types' means", "rho within block types"];
    let mut stages = Table::new(&heading);
    for stage in &report.stages {
        stages.row([
            stage.stage.clone(),
            stage.rows.to_string(),
            correlation(stage.spearman, None),
            correlation(stage.between, None),
            correlation(stage.within, None),
        ]);
    }
    let mut blocks = Table::new(&["stage", "block type", "rows", "rho", "loss", "published loss"]);
    for (stage, block) in
        report.stages.iter().flat_map(|stage| stage.blocks.iter().map(move |block| (stage, block)))
    {
        blocks.row([
            stage.stage.clone(),
            block.block.clone(),
            block.rows.to_string(),
            correlation(block.spearman, None),
            format!("{:.4}", block.loss),
            format!("{:.4}", block.published_loss),
        ]);
    }
    format!(
        "Losses of {} rows against those that were published for them: Spearman's rho, 1 where both rank alike\n\n\
         {}\n{}",
        report.rows,
        stages.render(),
        blocks.render()
    )
}
