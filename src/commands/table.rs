//! `spacewright table …`

use std::fmt::Write;

use serde::Serialize;
use spacewright_spaceevo::tables::published::{Mismatch, check_tables};

use crate::{
    catalog,
    cli::TableCommand,
    render::{Failure, Output, Table, grouped},
};

/// Mismatches that are listed.
const LISTED: usize = 10;

pub fn run(command: &TableCommand) -> Result<Output, Failure> {
    match command {
        TableCommand::Check { folder, hyperspace } => check(folder, hyperspace),
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

fn check(folder: &std::path::Path, hyperspace: &str) -> Result<Output, Failure> {
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
