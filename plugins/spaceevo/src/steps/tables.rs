//! The rows of the quality tables: drawn once, for measuring, distilling and scoring.

use spacewright_core::{
    quality::TableRow,
    study::{Step, StepContext, StepError, StepNeeds},
};

use crate::{
    settings::TableSettings,
    tables::{
        BlockRows, draw, pick,
        published::{NoRow, rows_for_tables},
        unknown_places,
    },
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
        let TableSettings { rows, published } = settings;
        if published.is_empty() {
            return Ok(draw(&study.hyperspace, rows, study.seed));
        }
        let known = rows_for_tables(&study.folder.join(published), &study.hyperspace)
            .map_err(StepError::method)?;
        let known: Vec<TableRow> = known.into_iter().map(|published| published.row).collect();
        let hyperspace = &study.hyperspace;
        let picked = pick(hyperspace, &known, rows, study.seed);
        let is_known = |table: &BlockRows| {
            known.iter().any(|row| (row.stage, row.block) == (table.stage, table.block))
        };
        if let Some(table) = picked.iter().find(|table| !is_known(table)) {
            return Err(StepError::method(NoRow { table: table.task_name(hyperspace) }));
        }
        if let (unknown @ 1.., all) = unknown_places(hyperspace, &known) {
            context.say(&format!(
                "no published row for {unknown} of {all} pairs of an input width and a resolution: rows are drawn there"
            ));
        }
        Ok(picked)
    }
}
