//! What the method finds wrong, beyond what trainer, target and scorer say themselves.

use spacewright_core::{
    space::EncodingError,
    study::{Referred, StepError},
};
use spacewright_plot::PlotError;
use thiserror::Error;

/// Why a step of the method cannot go on.
#[derive(Debug, Error)]
pub enum SpaceEvoError {
    /// The program was built without a trainer.
    #[error("this program was built without a trainer")]
    NoTrainer,
    /// Something that the study names is not there.
    #[error("there is no {} `{}`", .0.kind(), .0.name())]
    NotThere(Referred),
    /// A search ended without a space.
    #[error("the search scored no space")]
    NoSpace,
    /// Rows of the quality tables have lost their figures.
    #[error("`{name}` has {rows} rows, of which {judged} were judged and {measured} measured")]
    RowFigures {
        /// Stage and block type.
        name: String,
        /// Rows that were drawn.
        rows: usize,
        /// Losses.
        judged: usize,
        /// Latencies.
        measured: usize,
    },
    /// A part of a network has no latency.
    #[error("no latency of `{part}` is known: the latency source has left it out")]
    NoLatency {
        /// Stage and index of the block within it, or the name of the head block.
        part: String,
    },
    /// No subnet can be composed of the rows of the quality tables.
    #[error(
        "no subnet can be composed of the rows of the quality tables: `{block}` in {stage}, window {window}, has \
         none for {input_width} input channels, say; ask for more `rows` in [tables], or for a hyperspace of which \
         the tables hold more"
    )]
    NoMatchingRows {
        /// Name of a stage at which an attempt ended.
        stage: String,
        /// Block type that the attempt had there.
        block: String,
        /// Window of widths that it had there.
        window: usize,
        /// Width that it had reached.
        input_width: usize,
    },
    /// The encoding of a space cannot be read.
    #[error(transparent)]
    Encoding(#[from] EncodingError),
    /// A plot cannot be drawn.
    #[error("a plot cannot be drawn: {0}")]
    Plot(#[from] PlotError),
}

impl From<SpaceEvoError> for StepError {
    fn from(error: SpaceEvoError) -> Self {
        Self::method(error)
    }
}
