//! `spacewright model import`: a trained network of another program as a folder.

use std::path::Path;

use serde::Serialize;
use spacewright_core::{
    foreign::{Escaped, shortened},
    graph::{Graph, Shape},
    import::{GRAPH, WEIGHTS},
};
use spacewright_engine::import::{Agreement, ImportReport, TOLERANCE, read_graph};

use super::{counted, folder::NewFolder, opened};
use crate::{
    cli::{Global, ImportArgs, OpeningArgs},
    foreign::{self, ReadTask, Task},
    render::{Failure, Output, grouped},
};

/// Name of the page about the network.
const PAGE: &str = "README.md";

#[derive(Serialize)]
struct Imported<'a> {
    model: String,
    /// The folder that was made.
    folder: String,
    #[serde(flatten)]
    report: &'a ImportReport,
}

pub fn run(args: &ImportArgs, global: &Global) -> Result<Output, Failure> {
    let made = NewFolder::at(&args.out)?;
    let report = read(&args.model, &args.opening, made.path(), global)?;
    let model = args.model.display().to_string();
    made.write(PAGE, format!("{}\n", page(&model, &report)).as_bytes())?;
    made.finish()?;
    let imported = Imported { model, folder: args.out.display().to_string(), report: &report };
    Output::new(text(&imported), &imported)
}

/// Reads a network into a folder that is there, and compares its results.
pub fn read(
    model: &Path,
    opening: &OpeningArgs,
    folder: &Path,
    global: &Global,
) -> Result<ImportReport, Failure> {
    let task = Task::Read(ReadTask::Import { folder: folder.to_owned() });
    let found = foreign::ask(&opened(model, opening, task, global), global.verbose)?;
    found.imported.ok_or_else(|| Failure::failed(format!("{}: nothing was read", model.display())))
}

/// The op graph of a network from outside, for its structure: of a file, or of a folder that an import made. `None` where there is
/// neither.
pub fn graph(
    path: &Path,
    opening: &OpeningArgs,
    global: &Global,
) -> Result<Option<Graph>, Failure> {
    if path.is_dir() {
        return Ok(Some(read_graph(path)?));
    }
    if !path.is_file() {
        return Ok(None);
    }
    let folder = tempfile::tempdir().map_err(Failure::failed)?;
    let task = Task::Read(ReadTask::Structure { folder: folder.path().to_owned() });
    foreign::ask(&opened(path, opening, task, global), global.verbose)?;
    Ok(Some(read_graph(folder.path())?))
}

fn text(imported: &Imported<'_>) -> String {
    let Imported { model, folder, report } = imported;
    let mut lines = vec![format!("{model} ({}): {}", report.format, sizes(report))];
    lines.push(format!("operators: {}", counted(&report.operators)));
    lines.extend(remarks(report));
    lines.push(agreement(report.agreement.as_ref()));
    lines.push(format!("wrote {folder}: {GRAPH}, {WEIGHTS}, {PAGE}"));
    lines.join("\n")
}

fn page(model: &str, report: &ImportReport) -> String {
    let name = match report.name.as_str() {
        "" => "Imported network".to_owned(),
        name => Escaped(shortened(name, 100)).to_string(),
    };
    let file = Path::new(model).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut text = format!(
        "# {name}\n\nImported by Spacewright from `{}`, a file in {} format.\n\n* {}\n* operators: {}\n",
        Escaped(file),
        report.format,
        sizes(report),
        counted(&report.operators)
    );
    for remark in remarks(report) {
        text += &format!("* {remark}\n");
    }
    text += &format!(
        "* {}\n\n`{GRAPH}` holds the op graph, batch normalizations where the file has them. `{WEIGHTS}` holds its \
         weights in single precision: `NODE.weight` and `NODE.bias`, and of batch normalizations `NODE.gamma`, \
         `NODE.beta`, `NODE.mean` and `NODE.var`.",
        agreement(report.agreement.as_ref())
    );
    text
}

fn sizes(report: &ImportReport) -> String {
    let ImportReport { input, output, params, macs, .. } = report;
    let numbers = match output {
        Shape { channels, height: 1, width: 1 } => format!("{channels} numbers"),
        map => map.to_string(),
    };
    let (params, millions) = (grouped(&params.to_string()), *macs as f64 / 1e6);
    format!("images of {input}, {numbers} come out; {params} parameters, {millions:.1} MMACs")
}

fn remarks(report: &ImportReport) -> Vec<String> {
    let mut remarks = report.notes.clone();
    if report.softmax {
        remarks.push("the softmax at its end is left out: what comes out are logits".into());
    }
    remarks
}

fn agreement(agreement: Option<&Agreement>) -> String {
    match agreement {
        Some(Agreement { runtime, images, relative_error }) => format!(
            "same results in {runtime}: {relative_error:.1e} relative difference at most on {images} images of \
             noise ({TOLERANCE:.0e} is allowed)"
        ),
        None => "not compared: no program at hand runs such files".into(),
    }
}
