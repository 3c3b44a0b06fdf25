//! The steps of the method, in terms of traits: trainer, target, scorer and strategy.

pub mod distil;
pub mod evolve;
pub mod export;
pub mod measure;
pub mod proxy;
pub mod report;
pub mod rivals;
mod sampled;
pub mod search;
pub mod spaces;
pub mod tables;
pub mod teach;
pub mod train;

use std::sync::Arc;

use spacewright_core::{
    study::{AnyStep, EarlierStep, Method, StepContext},
    train::Trainer,
};

use crate::error::SpaceEvoError;

/// SpaceEvo (arXiv 2303.08308): distil every block alone, search for the space, train one
/// quantized supernet over it, search for subnets.
pub struct SpaceEvo;

impl SpaceEvo {
    /// Its name in study files.
    pub const NAME: &'static str = "spaceevo";
}

impl Method for SpaceEvo {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn steps(&self) -> Vec<Arc<dyn AnyStep>> {
        vec![
            Arc::new(tables::Tables),
            Arc::new(measure::Measure),
            Arc::new(teach::Teach),
            Arc::new(distil::Distil),
            Arc::new(evolve::Evolve),
            Arc::new(train::Train),
            Arc::new(search::Search),
            Arc::new(export::Export),
            Arc::new(report::Report),
            Arc::new(rivals::TrainRandom),
            Arc::new(rivals::TrainManual),
            Arc::new(proxy::Proxy),
            Arc::new(spaces::Spaces),
        ]
    }

    fn earlier_steps(&self) -> Vec<EarlierStep> {
        EARLIER.to_vec()
    }
}

/// The steps as version 0.1.0 declared them: rows were drawn by each step that reads them.
const EARLIER: [EarlierStep; 12] = [
    earlier("measure", &[], &["tables", "measure"], false),
    earlier("teach", &[], &["teach"], true),
    earlier("distil", &["teach"], &["tables", "distil"], true),
    earlier("evolve", &["measure", "distil"], &["tables", "measure", "evolve"], false),
    earlier("train", &["teach", "distil", "evolve"], &["train"], true),
    earlier("search", &["measure", "evolve", "train"], &["search"], true),
    earlier("export", &["evolve", "train", "search"], &["export"], true),
    earlier(
        "report",
        &["measure", "teach", "distil", "evolve", "train", "search", "export"],
        &["evolve"],
        false,
    ),
    earlier("train-random", &["teach", "distil", "evolve"], &["train", "rivals"], true),
    earlier("train-manual", &["teach", "distil", "evolve"], &["train", "rivals"], true),
    earlier(
        "proxy",
        &["teach", "distil", "evolve", "train", "train-random"],
        &["distil", "rivals", "proxy"],
        true,
    ),
    earlier(
        "spaces",
        &["measure", "evolve", "train", "search", "train-random", "train-manual"],
        &["search", "rivals", "spaces"],
        true,
    ),
];

const fn earlier(
    name: &'static str,
    reads: &'static [&'static str],
    sections: &'static [&'static str],
    trains: bool,
) -> EarlierStep {
    EarlierStep { name, reads, sections, trains }
}

fn trainer(context: &dyn StepContext) -> Result<Arc<dyn Trainer>, SpaceEvoError> {
    context.study().trainer.clone().ok_or(SpaceEvoError::NoTrainer)
}
