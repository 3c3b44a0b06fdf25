//! The steps of the method, in terms of traits: trainer, target, scorer and strategy.

pub mod correct;
pub mod distil;
pub mod evolve;
pub mod export;
pub mod finetune;
pub mod measure;
mod on_runtime;
mod outside;
pub mod plain;
pub mod proxy;
pub mod repeats;
pub mod report;
pub mod rivals;
mod sampled;
pub mod search;
mod searcher;
pub mod spaces;
pub mod tables;
pub mod teach;
pub mod train;
pub mod train_mixed;

use std::sync::Arc;

use spacewright_core::{
    study::{AnyStep, EarlierStep, LaterField, Method, StepContext},
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
            Arc::new(train_mixed::TrainMixed),
            Arc::new(correct::Correct),
            Arc::new(evolve::Evolve),
            Arc::new(train::Train),
            Arc::new(search::Search),
            Arc::new(finetune::Finetune),
            Arc::new(export::Export),
            Arc::new(report::Report),
            Arc::new(rivals::TrainRandom),
            Arc::new(rivals::TrainManual),
            Arc::new(repeats::TrainRepeats),
            Arc::new(proxy::Proxy),
            Arc::new(spaces::Spaces),
            Arc::new(plain::Plain),
        ]
    }

    fn earlier_steps(&self) -> Vec<EarlierStep> {
        EARLIER.to_vec()
    }
}

/// The steps as version 0.1.0 declared them, as far as they do the same now: images are prepared
/// otherwise, and what was trained on them, or chosen by that, is not what would be trained now.
const EARLIER: [EarlierStep; 1] = [EarlierStep {
    name: "measure",
    reads: &[],
    sections: &["tables", "measure"],
    later_fields: &[LaterField { section: "measure", field: "threads", as_before: 1.0 }],
}];

fn trainer(context: &dyn StepContext) -> Result<Arc<dyn Trainer>, SpaceEvoError> {
    context.study().trainer.clone().ok_or(SpaceEvoError::NoTrainer)
}
