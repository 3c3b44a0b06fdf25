//! Quality tables from distillation and measurement; the search for the space.

mod searches;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spacewright_core::{
    quality::{Cell, RowFigures, ScoreColumns, TableRow},
    score::{PreparedScorer, ScoreError, ScoreProblem, Scorer},
    search::{ScoredSpace, Strategy, proof},
    space::{Space, stage_graph_batch},
    study::{
        FieldError, Referred, Section, Step, StepContext, StepError, StepNeeds, StudyContext, Task,
    },
    train::Monitor,
};

use super::{
    correct::Correct,
    distil::{Distil, Distilled},
    measure::{Measure, TargetLatencies},
    tables::Tables,
};
use crate::{
    error::SpaceEvoError,
    explain::{Explanation, best_of_each},
    multi_target::{self, MultiTargetScorer, OnTarget},
    network_parts::sub_stages,
    settings::{EvolveSettings, MeasureSettings},
    strategies::{AgingEvolution, Exact, NO_BOUNDS},
    tables::BlockRows,
};

pub(super) use searches::RANDOM_SEARCH;
use searches::{Beside, Searches};
pub use searches::{BestSoFar, SearchTrace};

/// How many of the best spaces are kept: more than anyone looks at, and still a small file.
const KEPT: usize = 20;

/// What the step found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evolved {
    /// What found the best space: the strategy, or the random search, where that one was luckier. Results of earlier
    /// versions, which took the strategy's, do not say it.
    #[serde(default)]
    pub found_by: Option<String>,
    /// The best spaces, best first; at least one.
    pub best: Vec<ScoredSpace>,
    /// The best space of a random search with as many evaluations, and of the descent from the best that it drew.
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
    /// Where the space has to suit several targets: what each of them loses.
    #[serde(default)]
    pub devices: Vec<TargetLoss>,
    /// How the strategy and the random search came to their best; results of earlier versions do not say it.
    #[serde(default)]
    pub traces: Vec<SearchTrace>,
}

impl Evolved {
    /// The space that was found.
    pub fn space(&self) -> &Space {
        &self.best[0].space
    }
}

/// One of several targets that a space has to suit. The scores of [`Evolved`] are then means of
/// shares of the best that each target reaches alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TargetLoss {
    /// Name of the target.
    pub target: String,
    /// The best space for this target alone.
    pub alone: ScoredSpace,
    /// The score of the common space on this target.
    pub score: f64,
    /// The share of the best score that the common space loses.
    pub lost: f64,
}

/// Searches for the best space.
pub struct Evolve;

impl Step for Evolve {
    const NAME: &'static str = "evolve";
    const SUMMARY: &'static str = "search for the best space";
    const READS: &'static [&'static str] =
        &[Tables::NAME, Measure::NAME, Distil::NAME, Correct::NAME];
    const NEEDS: StepNeeds = StepNeeds::NOTHING;

    type Settings = (MeasureSettings, EvolveSettings);
    type Output = Evolved;

    fn check(
        &self,
        study: &StudyContext,
        (measure, evolve): &Self::Settings,
    ) -> Result<(), FieldError> {
        let refused = |field: &str, error: ScoreError| {
            let hint = "`spacewright study explain evolve` lists the fields";
            FieldError::refused(EvolveSettings::NAME, field, error.to_string(), hint)
        };
        let Some(scorer) = study.scorers.get(&evolve.scorer) else { return Ok(()) };
        let (score, limits) = (options(&evolve.score), measure.budgets.len());
        let checked = scorer.check_options(&score, &study.hyperspace, limits);
        checked.map_err(|error| refused("score", error))?;
        let Some(strategy) = study.strategies.get(strategy_name(evolve, &**scorer)) else {
            return Ok(());
        };
        let checked = strategy.check_options(&options(&evolve.strategy_options));
        checked.map_err(|error| refused("strategy_options", error))?;
        if strategy.needs_bounds() && !scorer.has_bounds(&score) {
            return Err(refused("strategy", ScoreError::new(NO_BOUNDS)));
        }
        Ok(())
    }

    fn run(
        &self,
        context: &dyn StepContext,
        (_, settings): Self::Settings,
    ) -> Result<Evolved, StepError> {
        let evolved =
            context.task(Task::new("space", |_, monitor| evolve(context, &settings, monitor)))?;
        let best = &evolved.best[0];
        let proof = evolved.gap.map_or_else(String::new, |gap| format!("; {}", proof(gap)));
        context.say(&format!("space: {} (score {:.4}{proof})", best.space, best.score.score));
        for TargetLoss { target, alone, lost, .. } in &evolved.devices {
            let lost = 100.0 * lost;
            context.say(&format!("{target}: {lost:.2} % below its own best, {}", alone.space));
        }
        Ok(evolved)
    }
}

/// Options as a scorer or a strategy reads them.
fn options(given: &BTreeMap<String, serde_json::Value>) -> serde_json::Value {
    given.clone().into_iter().collect()
}

/// Name of the strategy that is asked for, or else of the best one for the scorer.
fn strategy_name<'s>(settings: &'s EvolveSettings, scorer: &dyn Scorer) -> &'s str {
    let best_for_scorer = || {
        if scorer.has_bounds(&options(&settings.score)) {
            Exact.name()
        } else {
            AgingEvolution.name()
        }
    };
    settings.strategy.as_deref().unwrap_or_else(best_for_scorer)
}

fn evolve(
    context: &dyn StepContext,
    settings: &EvolveSettings,
    monitor: &dyn Monitor,
) -> Result<Evolved, StepError> {
    let study = context.study();
    let latencies = context.get(&Measure::OUTPUT)?;
    let not_there = || SpaceEvoError::NotThere(Referred::Scorer(settings.scorer.clone()));
    let scorer = study.scorers.get(&settings.scorer).ok_or_else(not_there)?;
    let rows = table_rows(context)?;
    let prepare = |(_, latencies): (_, &TargetLatencies)| {
        let problem = problem(study, &rows, settings, latencies)?;
        Ok::<_, StepError>(scorer.prepare(problem, &options(&settings.score))?)
    };
    let scorers = latencies.each().map(prepare).collect::<Result<Vec<_>, _>>()?;
    let searches =
        Searches { study, settings, strategy: strategy_name(settings, &**scorer), monitor };
    let mut beside = None;
    let mut walk = |scorer: &dyn PreparedScorer| {
        let (found, of_this) = searches.both(scorer)?;
        beside = Some(of_this);
        Ok::<_, StepError>(found)
    };
    let each: Vec<&dyn PreparedScorer> = scorers.iter().map(AsRef::as_ref).collect();
    let (found, on_each) = match each[..] {
        [only] => (walk(only)?, Vec::new()),
        _ => {
            let common = multi_target::search(&each, study.seed, walk)?;
            (common.found, common.targets)
        }
    };
    let Beside { found_by, random, traces } = beside.ok_or(SpaceEvoError::NoSpace)?;
    let bests = on_each.iter().map(|target| target.alone.score.score);
    let several = match on_each.is_empty() {
        true => None,
        false => Some(MultiTargetScorer::new(each.iter().copied().zip(bests).collect())?),
    };
    let scorer: &dyn PreparedScorer = several.as_ref().map_or(each[0], |several| several);
    let best: Vec<ScoredSpace> = found.diverse(KEPT, 1).into_iter().cloned().collect();
    let space = &best.first().ok_or(SpaceEvoError::NoSpace)?.space;
    let explanation = Explanation::new(&study.hyperspace, scorer, space, study.seed)?;
    let loss = |((target, _), on): ((Option<&str>, _), OnTarget)| TargetLoss {
        target: target.map_or_else(|| study.target.description().name, str::to_owned),
        score: on.common.score,
        lost: on.lost(),
        alone: on.alone,
    };
    Ok(Evolved {
        found_by: Some(found_by),
        random,
        uniform: uniform(study, scorer)?,
        explanation: explanation.brief(),
        evaluations: found.evaluations,
        gap: found.gap(),
        devices: latencies.each().zip(on_each).map(loss).collect(),
        traces,
        best,
    })
}

/// The best space of each block type among those that use it in every stage.
fn uniform(
    study: &StudyContext,
    scorer: &dyn PreparedScorer,
) -> Result<Vec<ScoredSpace>, StepError> {
    let spaces = study.hyperspace.uniform_spaces();
    let scores = scorer.score(&spaces, study.seed)?;
    let scored = spaces.into_iter().zip(scores);
    Ok(best_of_each(scored.map(|(space, score)| ScoredSpace { space, score })))
}

/// The rows of one stage and block type with their figures; latencies are still to come.
struct JudgedRows {
    name: String,
    rows: Vec<(TableRow, RowFigures)>,
}

/// All rows with their corrected losses and with the counts of their graphs.
fn table_rows(context: &dyn StepContext) -> Result<Vec<JudgedRows>, StepError> {
    let study = context.study();
    let tables = context.get(&Tables::OUTPUT)?;
    let distilled = context.get(&Distil::OUTPUT)?;
    let factors = context.get(&Correct::OUTPUT)?.factors;
    let judge = |(table, distilled): (BlockRows, _)| {
        let factor = factors[table.stage][table.block];
        judged_rows(study, table, distilled, factor)
    };
    tables.into_iter().zip(&distilled).map(judge).collect()
}

fn judged_rows(
    study: &StudyContext,
    table: BlockRows,
    distilled: &Distilled,
    factor: f64,
) -> Result<JudgedRows, StepError> {
    let name = table.task_name(&study.hyperspace);
    let losses = distilled.losses(table.rows.len());
    if losses.len() != table.rows.len() {
        let (rows, judged) = (table.rows.len(), losses.len());
        return Err(SpaceEvoError::RowFigures { name, rows, judged, measured: rows }.into());
    }
    let elastic = study.hyperspace.choice_stage(table.stage, table.block, None);
    let sub_stages = sub_stages(&study.hyperspace, &elastic, &table.rows);
    let graphs = stage_graph_batch(&study.operators, &sub_stages)?;
    let mut rows = Vec::with_capacity(table.rows.len());
    for ((row, loss), graph) in table.rows.into_iter().zip(losses).zip(graphs) {
        let (macs, params) = (graph.macs()?, graph.params()?);
        let loss = factor * loss;
        rows.push((row, RowFigures { macs, params, loss, latency_ms: f64::NAN }));
    }
    Ok(JudgedRows { name, rows })
}

/// What spaces are scored by: the quality tables with the latencies of one target.
fn problem(
    study: &StudyContext,
    tables: &[JudgedRows],
    settings: &EvolveSettings,
    latencies: &TargetLatencies,
) -> Result<ScoreProblem, StepError> {
    let mut cells: BTreeMap<Cell, ScoreColumns> = BTreeMap::new();
    for (table, latencies_ms) in tables.iter().zip(&latencies.rows_ms) {
        if latencies_ms.len() != table.rows.len() {
            let (name, rows) = (table.name.clone(), table.rows.len());
            let measured = latencies_ms.len();
            return Err(SpaceEvoError::RowFigures { name, rows, judged: rows, measured }.into());
        }
        for ((row, figures), &latency_ms) in table.rows.iter().zip(latencies_ms) {
            cells.entry(row.cell()).or_default().push(row, RowFigures { latency_ms, ..*figures });
        }
    }
    Ok(ScoreProblem {
        hyperspace: study.hyperspace.clone(),
        cells,
        fixed: latencies.fixed.clone(),
        constraints_ms: latencies.budgets_ms.clone(),
        composition: settings.composition,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn results_of_earlier_versions_are_read() {
        let space = json!({ "hyperspace": "mini", "blocks": [0], "windows": [0] });
        let scored = json!({ "space": space, "score": { "score": 1.0, "constraints": [] } });
        let explanation =
            json!({ "scored": scored, "error_bound": null, "support": [], "alternatives": [] });
        let earlier = json!({
            "best": [scored],
            "random": scored,
            "uniform": [],
            "explanation": explanation,
            "evaluations": 1,
            "gap": null,
        });
        let evolved: Evolved = serde_json::from_value(earlier).unwrap();
        assert_eq!(evolved.space().to_string(), "mini-0-0");
        assert_eq!(evolved.found_by, None);
    }
}
