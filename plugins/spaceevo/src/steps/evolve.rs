//! Quality tables from distillation and measurement; the search for the space.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use spacewright_core::{
    method::{Parts, StepContext, StepError, Task},
    quality::{QualityRow, QualityTables},
    score::{PreparedScorer, ScoreProblem},
    search::{ScoredSpace, SearchBudget, Strategy},
    space::stage_graph,
    train::Monitor,
};

use super::{distil::Distilled, measure::Measured};
use crate::{
    explain::{Explanation, best_of_each},
    parts, rows,
    settings::{self, EvolveSettings, TableSettings},
};

/// How many of the best spaces are kept.
const KEPT: usize = 20;

/// What the step found.
#[derive(Debug, Serialize, Deserialize)]
pub struct Evolved {
    /// The best spaces, best first.
    pub best: Vec<ScoredSpace>,
    /// The best space of a random search with as many evaluations.
    pub random: ScoredSpace,
    /// Spaces with one block type everywhere.
    pub uniform: Vec<ScoredSpace>,
    /// The best space's one-stage alternatives, the best of each stage, and its support.
    pub explanation: Explanation,
    /// Spaces that the strategy scored.
    pub evaluations: usize,
    /// How much better than the best another space may be, as a share of its score, where the
    /// strategy knows.
    pub gap: Option<f64>,
}

pub fn run(context: &dyn StepContext) -> Result<(), StepError> {
    let settings: EvolveSettings = settings::of(context, "evolve")?;
    let work = Task::new("space", |_, monitor| {
        Ok(serde_json::to_value(evolve(context, &settings, monitor)?)?)
    });
    context.tasks(vec![work], 1)?;
    let evolved: Evolved = super::result(context, "evolve/space")?;
    let best = &evolved.best[0];
    context.say(&format!("space: {} (score {:.4})", best.space, best.score.score));
    Ok(())
}

/// Whether scorer and strategy exist.
pub fn check(parts: &Parts, settings: &EvolveSettings, limits: usize) -> Result<(), StepError> {
    let scorer = super::named("[evolve] scorer", &settings.scorer, &parts.scorers)?;
    scorer.check_options(&serde_json::to_value(&settings.score)?, limits).map_err(|error| {
        let hint = "`spacewright study explain evolve` lists the fields".into();
        StepError::Study { message: format!("[evolve] score: {error}"), hint }
    })?;
    super::named("[evolve] strategy", &settings.strategy, &parts.strategies)?;
    Ok(())
}

fn evolve(
    context: &dyn StepContext,
    settings: &EvolveSettings,
    monitor: &dyn Monitor,
) -> Result<Evolved, StepError> {
    let study = context.parts();
    let measured: Measured = super::result(context, "measure/latency")?;
    let description = study.target.description();
    let problem = ScoreProblem {
        hyperspace: study.hyperspace.clone(),
        cells: tables(context, &measured)?
            .columns(&description.scheme.name, &description.name)
            .map_err(StepError::Failed)?,
        fixed: measured.fixed,
        constraints_ms: measured.budgets_ms,
        composition: settings.composition,
    };
    let scorer = super::named("[evolve] scorer", &settings.scorer, &study.scorers)?;
    let strategy = |name: &str| super::named("[evolve] strategy", name, &study.strategies);
    let scorer = scorer.prepare(problem, &serde_json::to_value(&settings.score)?)?;
    let options = serde_json::to_value(&settings.strategy_options)?;
    let search = |strategy: &dyn Strategy, options: &serde_json::Value, note: &str| {
        let budget = SearchBudget { evaluations: settings.evaluations, seed: study.seed };
        let mut progress = |done: usize, best: &ScoredSpace| {
            let note = format!("{note}: best {:.4}", best.score.score);
            monitor.progress(done, settings.evaluations, &note);
            !monitor.cancelled()
        };
        let found =
            strategy.search(&study.hyperspace, scorer.as_ref(), &budget, options, &mut progress)?;
        if monitor.cancelled() { Err(StepError::Cancelled) } else { Ok(found) }
    };
    let found = search(strategy(&settings.strategy)?.as_ref(), &options, &settings.strategy)?;
    let random = search(strategy("random")?.as_ref(), &serde_json::json!({}), "random search")?;
    let best: Vec<ScoredSpace> = found.diverse(KEPT, 1).into_iter().cloned().collect();
    let nothing = || StepError::Failed("the search scored no space".into());
    if best.is_empty() {
        return Err(nothing());
    }
    let explanation =
        Explanation::new(&study.hyperspace, scorer.as_ref(), &best[0].space, study.seed)?;
    Ok(Evolved {
        best,
        random: random.scored.into_iter().next().ok_or_else(nothing)?,
        uniform: uniform(study, scorer.as_ref())?,
        explanation: explanation.brief(),
        evaluations: found.evaluations,
        gap: found.gap(),
    })
}

/// The best space of each block type among those that use it in every stage.
fn uniform(study: &Parts, scorer: &dyn PreparedScorer) -> Result<Vec<ScoredSpace>, StepError> {
    let spaces = study.hyperspace.uniform_spaces();
    let scores = scorer.score(&spaces, study.seed)?;
    let scored = spaces.into_iter().zip(scores);
    Ok(best_of_each(scored.map(|(space, score)| ScoredSpace { space, score })))
}

/// The quality tables of the study.
fn tables(context: &dyn StepContext, measured: &Measured) -> Result<QualityTables, StepError> {
    let study = context.parts();
    let hyperspace = &study.hyperspace;
    let settings: TableSettings = settings::of(context, "tables")?;
    let description = study.target.description();
    let mut tables = QualityTables { cells: BTreeMap::new() };
    for ((stage, block), latencies) in rows::stage_blocks(hyperspace).zip(&measured.rows_ms) {
        let rows = rows::rows(hyperspace, stage, block, settings.rows, study.seed);
        let artifact = format!("distil/{}", rows::task_name(hyperspace, stage, block));
        let distilled: Distilled = super::result(context, &artifact)?;
        let elastic = hyperspace.choice_stage(stage, block, None);
        let losses = distilled.losses(rows.len());
        if losses.len() != rows.len() || latencies.len() != rows.len() {
            let name = rows::task_name(hyperspace, stage, block);
            let (judged, measured) = (losses.len(), latencies.len());
            return Err(StepError::Failed(format!(
                "`{name}` has {} rows, of which {judged} were judged and {measured} measured",
                rows.len()
            )));
        }
        for ((row, loss), latency) in rows.iter().zip(losses).zip(latencies) {
            let input = parts::stage_input(hyperspace, stage, row.input_width, row.resolution);
            let graph = stage_graph(&study.operators, &elastic, &row.sub_stage, input)?;
            let table = tables.cells.entry(rows::cell(stage, block, row)).or_default();
            table.rows.push(QualityRow {
                input_width: row.input_width,
                resolution: row.resolution,
                sub_stage: row.sub_stage.clone(),
                graph: graph.hash(),
                macs: graph.macs()?,
                params: graph.params()?,
            });
            table.loss.entry(description.scheme.name.clone()).or_default().push(loss);
            table.latency_ms.entry(description.name.clone()).or_default().push(*latency);
        }
    }
    Ok(tables)
}
