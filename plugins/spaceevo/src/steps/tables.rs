//! The rows of the quality tables: drawn once, for measuring, distilling and scoring.

use spacewright_core::study::{Step, StepContext, StepError, StepNeeds};

use crate::{
    settings::TableSettings,
    tables::{BlockRows, draw},
};

/// Draws the rows of the quality tables.
pub struct Tables;

impl Step for Tables {
    const NAME: &'static str = "tables";
    const SUMMARY: &'static str = "draw the rows of the quality tables";
    const READS: &'static [&'static str] = &[];
    const NEEDS: StepNeeds = StepNeeds::NOTHING;
    const SHARED: bool = true;

    type Settings = TableSettings;
    /// Every stage with every block type, in order.
    type Output = Vec<BlockRows>;

    fn run(
        &self,
        context: &dyn StepContext,
        settings: TableSettings,
    ) -> Result<Vec<BlockRows>, StepError> {
        let study = context.study();
        Ok(draw(&study.hyperspace, settings.rows, study.seed))
    }
}
