//! `spacewright study blocks …`

use spacewright_core::study::Step;
use spacewright_engine::Inputs;
use spacewright_spaceevo::{
    report::{BlockTypesReport, StudyOfBlockTypes, UniformSpace},
    settings::TeachSettings,
    steps::evolve::Evolve,
};

use super::several;
use crate::{
    cli::{Global, SeveralStudies},
    render::{Failure, Output, Table},
    report::{correlation, or_dash},
};

pub fn run(args: &SeveralStudies, global: &Global) -> Result<Output, Failure> {
    let engines = several(args, global)?;
    let first = &engines[0];
    if let Some(other) =
        engines.iter().find(|other| other.context().hyperspace != first.context().hyperspace)
    {
        let names = [first, other].map(|engine| engine.study().name.as_str());
        let message = format!("`{}` and `{}` have different hyperspaces", names[0], names[1]);
        return Err(Failure::input(message).hint("give both studies the same `hyperspace`"));
    }
    let mut studies = Vec::new();
    for engine in &engines {
        engine.run_step(Evolve::NAME, Inputs::Run)?;
        let name = engine.study().name.clone();
        let teach: TeachSettings = engine.settings()?;
        studies.push(StudyOfBlockTypes::new(name, &teach, &engine.output::<Evolve>()?));
    }
    let report = BlockTypesReport::new(&first.context().hyperspace, studies);
    Output::new(text(&report), &report)
}

fn text(report: &BlockTypesReport) -> String {
    let names: Vec<&str> = report.studies.iter().map(|study| study.study.as_str()).collect();
    let header = |first: &'static str| [vec![first], names.clone()].concat();
    let mut scores = Table::new(&[header("block type everywhere"), vec!["by others"]].concat());
    for (at, block) in report.blocks.iter().enumerate() {
        let cell = |uniform: Option<&UniformSpace>| {
            or_dash(uniform, |UniformSpace { score, losses, .. }| {
                let loss = losses.last().copied().flatten();
                format!("{score:.4} ({})", or_dash(loss, |loss| format!("{loss:.2}")))
            })
        };
        let cells = report.studies.iter().map(|study| cell(study.uniform.get(at)));
        let by_others = or_dash(report.relative_loss[at], |loss| format!("{loss:.2}"));
        scores.cells(std::iter::once(block.clone()).chain(cells).chain([by_others]).collect());
    }
    let found = report.studies.iter().map(|study| study.space.to_string());
    scores.cells(
        std::iter::once("space found".to_owned()).chain(found).chain([String::new()]).collect(),
    );
    let taus = |taus: &[Vec<Option<f64>>]| {
        let mut table = Table::new(&header("study"));
        for (name, row) in names.iter().zip(taus) {
            let cells = row.iter().map(|tau| correlation(*tau, None));
            table.cells(std::iter::once((*name).to_owned()).chain(cells).collect());
        }
        table.render()
    };
    format!(
        "Score of the best space with one block type in every stage, and the summed loss of its best subnets within \
         the last budget. By others: that loss by teachers of other blocks on average, relative to block types that \
         are no teacher's; a teacher's own blocks copy it more easily than they are good.\n\n{}\nKendall's tau of \
         the scores of two studies, 1 where both rank block types alike:\n\n{}\nThe same of the losses within the \
         last budget, without the teachers' own blocks:\n\n{}",
        scores.render(),
        taus(&report.tau),
        taus(&report.tau_of_others)
    )
}
