//! The method's sections of a study file: each field with its meaning, default and limits.

mod correct;
mod distil;
mod evolve;
mod export;
mod finetune;
mod measure;
mod plain;
mod proxy;
mod repeats;
mod report;
mod rivals;
mod search;
mod spaces;
mod tables;
mod teach;
mod train;

use spacewright_core::train::Phase;

pub use correct::CorrectSettings;
pub use distil::DistilSettings;
pub use evolve::EvolveSettings;
pub use export::ExportSettings;
pub use finetune::FinetuneSettings;
pub use measure::{Budget, MeasureSettings};
pub use plain::PlainSettings;
pub use proxy::ProxySettings;
pub use repeats::RepeatSettings;
pub use report::ReportSettings;
pub use rivals::RivalSettings;
pub use search::SearchSettings;
pub use spaces::SpacesSettings;
pub use tables::TableSettings;
pub use teach::TeachSettings;
pub use train::TrainSettings;

/// Gradient descent with the warm-up and the checkpoints that all trainings have.
fn phase(steps: usize, batch: usize, learning_rate: f64, weight_decay: f64) -> Phase {
    Phase { steps, batch, learning_rate, weight_decay, warmup: 0.05, checkpoint_steps: 100 }
}

/// Images that a phase sees.
pub(crate) fn images(phase: &Phase) -> usize {
    phase.steps * phase.batch
}
