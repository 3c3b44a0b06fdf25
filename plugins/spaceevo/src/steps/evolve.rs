//! Quality tables from distillation and measurement; the search for the space.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use spacewright_core::{
    method::{Parts, StepContext, StepError, Task},
    quality::{QualityRow, QualityTables},
    score::{PreparedScorer, ScoreProblem},
    search::{ScoredSpace, SearchBudget, Searched, Strategy},
    space::stage_graph,
    train::Monitor,
};

use super::{
    distil::Distilled,
    measure::{self, Measured},
};
use crate::{
    explain::{Explanation, best_of_each},
    parts, rows,
    settings::{self, EvolveSettings, MeasureSettings, TableSettings},
    several::{self, OnDevice, Several},
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
    /// Where the space has to suit several targets: what each of them loses.
    #[serde(default)]
    pub devices: Vec<Device>,
}

/// One of several targets that a space has to suit. The scores of [`Evolved`] are then means of
/// shares of the best that each target reaches alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Device {
    pub target: String,
    /// The best space for this target alone.
    pub alone: ScoredSpace,
    /// The score of the common space on this target.
    pub score: f64,
    /// The share of the best score that the common space loses.
    pub lost: f64,
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
    for Device { target, alone, lost, .. } in &evolved.devices {
        let lost = 100.0 * lost;
        context.say(&format!("{target}: {lost:.2} % below its own best, {}", alone.space));
    }
    Ok(())
}

/// Whether scorer and strategy exist.
pub fn check(
    parts: &Parts,
    settings: &EvolveSettings,
    limits: usize,
    several: bool,
) -> Result<(), StepError> {
    if several && settings.strategy == "exact" {
        return Err(StepError::Study {
            message: "[evolve] strategy: `exact` proves the best space of one target only".into(),
            hint: "with `also` of [measure], use another one, such as `aging-evolution`".into(),
        });
    }
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
    let measuring: MeasureSettings = settings::of(context, "measure")?;
    let targets: Vec<Option<&str>> = measuring.targets().collect();
    let scorer = super::named("[evolve] scorer", &settings.scorer, &study.scorers)?;
    let score = serde_json::to_value(&settings.score)?;
    let prepare = |target: &Option<&str>| {
        Ok::<_, StepError>(scorer.prepare(problem(context, settings, *target)?, &score)?)
    };
    let scorers = targets.iter().map(prepare).collect::<Result<Vec<_>, _>>()?;
    let strategy = |name: &str| super::named("[evolve] strategy", name, &study.strategies);
    let options = serde_json::to_value(&settings.strategy_options)?;
    let search = |scorer: &dyn PreparedScorer,
                  strategy: &dyn Strategy,
                  options: &serde_json::Value,
                  note: &str| {
        let budget = SearchBudget { evaluations: settings.evaluations, seed: study.seed };
        let mut progress = |done: usize, best: &ScoredSpace| {
            let note = format!("{note}: best {:.4}", best.score.score);
            monitor.progress(done, settings.evaluations, &note);
            !monitor.cancelled()
        };
        let found = strategy.search(&study.hyperspace, scorer, &budget, options, &mut progress);
        if monitor.cancelled() { Err(StepError::Cancelled) } else { Ok(found?) }
    };
    let chosen = strategy(&settings.strategy)?.as_ref();
    let walk = |scorer: &dyn PreparedScorer| search(scorer, chosen, &options, &settings.strategy);
    let each: Vec<&dyn PreparedScorer> = scorers.iter().map(AsRef::as_ref).collect();
    let (found, on_each) = match each[..] {
        [only] => (walk(only)?, Vec::new()),
        _ => {
            let common = several::search(&each, study.seed, walk)?;
            (common.found, common.devices)
        }
    };
    let bests = on_each.iter().map(|device| device.alone.score.score);
    let several = match on_each.is_empty() {
        true => None,
        false => Some(Several::new(each.iter().copied().zip(bests).collect())?),
    };
    let scorer: &dyn PreparedScorer = several.as_ref().map_or(each[0], |several| several);
    let no_options = serde_json::json!({});
    let random = search(scorer, strategy("random")?.as_ref(), &no_options, "random search")?;
    let best: Vec<ScoredSpace> = found.diverse(KEPT, 1).into_iter().cloned().collect();
    if best.is_empty() {
        return Err(nothing());
    }
    let explanation = Explanation::new(&study.hyperspace, scorer, &best[0].space, study.seed)?;
    let device = |(target, on): (&Option<&str>, OnDevice)| Device {
        target: target.map_or_else(|| study.target.description().name, str::to_owned),
        score: on.common.score,
        lost: on.lost(),
        alone: on.alone,
    };
    Ok(Evolved {
        best,
        random: first(random)?,
        uniform: uniform(study, scorer)?,
        explanation: explanation.brief(),
        evaluations: found.evaluations,
        gap: found.gap(),
        devices: targets.iter().zip(on_each).map(device).collect(),
    })
}

fn nothing() -> StepError {
    StepError::Failed("the search scored no space".into())
}

fn first(found: Searched) -> Result<ScoredSpace, StepError> {
    found.scored.into_iter().next().ok_or_else(nothing)
}

/// What spaces are scored by: the quality tables with the latencies of the study's target, or of
/// another one.
fn problem(
    context: &dyn StepContext,
    settings: &EvolveSettings,
    target: Option<&str>,
) -> Result<ScoreProblem, StepError> {
    let study = context.parts();
    let measured = measure::of(context, target)?;
    let own = study.target.description();
    let name = target.unwrap_or(&own.name);
    let cells = tables(context, &measured, name)?
        .columns(&own.scheme.name, name)
        .map_err(StepError::Failed)?;
    Ok(ScoreProblem {
        hyperspace: study.hyperspace.clone(),
        cells,
        fixed: measured.fixed,
        constraints_ms: measured.budgets_ms,
        composition: settings.composition,
    })
}

/// The best space of each block type among those that use it in every stage.
fn uniform(study: &Parts, scorer: &dyn PreparedScorer) -> Result<Vec<ScoredSpace>, StepError> {
    let spaces = study.hyperspace.uniform_spaces();
    let scores = scorer.score(&spaces, study.seed)?;
    let scored = spaces.into_iter().zip(scores);
    Ok(best_of_each(scored.map(|(space, score)| ScoredSpace { space, score })))
}

/// The quality tables of the study, with the latencies of a target.
fn tables(
    context: &dyn StepContext,
    measured: &Measured,
    target: &str,
) -> Result<QualityTables, StepError> {
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
            table.latency_ms.entry(target.to_owned()).or_default().push(*latency);
        }
    }
    Ok(tables)
}
