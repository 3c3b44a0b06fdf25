//! What was found, against what it beats: `report.json`.

use std::collections::BTreeMap;

use serde::Serialize;
use spacewright_core::{
    latency::Precision,
    method::{StepContext, StepError, Task},
    search::ScoredSpace,
    space::{Hyperspace, Stage},
    train::TrainReport,
};

use super::{
    distil::Distilled,
    evolve::{Device, Evolved},
    export::{Deployed, Verified, file_name},
    measure::Measured,
    search::{self, Searched},
    teach::Taught,
};
use crate::{
    explain::{Alternative, Explanation},
    rows,
    settings::{self, EvolveSettings},
};

/// Content of `report.json`. All shares are fractions.
#[derive(Debug, Serialize)]
struct Report {
    hyperspace: String,
    target: String,
    latency_source: String,
    seed: u64,
    teacher_accuracy: f64,
    teacher_held_out_accuracy: f64,
    space: SpaceRow,
    /// The space's choices, by stage.
    choices: Vec<ChoiceRow>,
    /// Spaces that were scored to find it.
    evaluations: usize,
    /// How much better another space may be, as a share of the score, where the strategy knows.
    gap: Option<f64>,
    /// The networks, one for each budget that the space can keep to.
    budgets: Vec<BudgetRow>,
    /// Budgets that no subnet of the space keeps to.
    infeasible_budgets: Vec<Searched>,
    /// Where the space has to suit several targets: what each of them loses. Limits of spaces are
    /// then those of all targets, in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    devices: Vec<Device>,
    /// Random search and the uniform spaces, by score and predicted feasibility.
    other_spaces: Vec<SpaceRow>,
    supernet: BTreeMap<String, TrainReport>,
    latency: LatencyReport,
    diverged_blocks: Vec<String>,
    seconds: indexmap::IndexMap<String, f64>,
}

#[derive(Debug, Serialize)]
struct SpaceRow {
    found_by: String,
    space: String,
    blocks: Vec<String>,
    score: f64,
    constraints: Vec<spacewright_core::score::ConstraintScore>,
}

#[derive(Debug, Serialize)]
struct ChoiceRow {
    stage: String,
    block: String,
    widths: Vec<usize>,
    /// `None` where the stage has no other choice.
    best_alternative: Option<AlternativeRow>,
    /// Effective number of rows of the stage's quality table among the best subnets, by budget;
    /// `None` where it is not known.
    support: Vec<Option<f64>>,
}

#[derive(Debug, Serialize)]
struct AlternativeRow {
    block: String,
    widths: Vec<usize>,
    /// What the score changes by, all other stages being the same.
    difference: f64,
}

#[derive(Debug, Serialize)]
struct BudgetRow {
    budget_ms: f64,
    predicted_ms: f64,
    held_out_accuracy: f64,
    file: String,
    fp32_file: String,
    #[serde(flatten)]
    network: Verified,
    #[serde(flatten)]
    latency: Deployed,
    /// `None` where the latency in floating point is not known.
    speed_up: Option<f64>,
}

#[derive(Debug, Serialize)]
struct LatencyReport {
    deciles_ms: Vec<f64>,
    /// Whole networks that were measured against the sum of their parts.
    networks: usize,
    /// Mean of predicted / measured − 1.
    bias: f64,
    /// Root mean square of predicted / measured − 1.
    rms_error: f64,
}

pub fn run(context: &dyn StepContext) -> Result<(), StepError> {
    let report = report(context)?;
    let value = serde_json::to_value(&report)?;
    context.tasks(vec![Task::new("report", |_, _| Ok(value.clone()))], 1)?;
    let text = serde_json::to_string_pretty(&report)? + "\n";
    context.publish("report.json", text.as_bytes())?;
    Ok(())
}

fn report(context: &dyn StepContext) -> Result<Report, StepError> {
    let study = context.parts();
    let settings: EvolveSettings = settings::of(context, "evolve")?;
    let measured: Measured = super::result(context, "measure/latency")?;
    let teacher: TrainReport = super::result(context, "teach/teacher")?;
    let taught: Taught = super::result(context, "teach/features")?;
    let evolved: Evolved = super::result(context, "evolve/space")?;
    let deployed: Vec<Deployed> = super::result(context, "export/latency")?;
    let mut budgets = Vec::new();
    for ((index, chosen), latency) in search::found(context)?.into_iter().zip(deployed) {
        budgets.push(BudgetRow {
            budget_ms: chosen.budget_ms,
            predicted_ms: chosen.predicted_ms,
            held_out_accuracy: chosen.held_out_accuracy,
            file: file_name(study, index, Precision::Int8),
            fp32_file: file_name(study, index, Precision::Fp32),
            network: super::result(context, &format!("export/network-{index}"))?,
            latency,
            speed_up: latency.fp32_ms.map(|fp32_ms| fp32_ms / latency.int8_ms),
        });
    }
    let infeasible = |searched: &Searched| matches!(searched, Searched::Infeasible { .. });
    let infeasible_budgets = search::all(context)?.into_iter().filter(infeasible).collect();
    let mut diverged_blocks = Vec::new();
    for (stage, block) in rows::stage_blocks(&study.hyperspace) {
        let name = rows::task_name(&study.hyperspace, stage, block);
        if let Distilled::Diverged(_) = super::result(context, &format!("distil/{name}"))? {
            diverged_blocks.push(name);
        }
    }
    let row = |found_by: &str, scored: &ScoredSpace| SpaceRow {
        found_by: found_by.to_owned(),
        space: scored.space.to_string(),
        blocks: scored
            .space
            .blocks
            .iter()
            .map(|&block| study.hyperspace.candidates[block].block.clone())
            .collect(),
        score: scored.score.score,
        constraints: scored.score.constraints.clone(),
    };
    let mut other_spaces = vec![row("random search", &evolved.random)];
    other_spaces
        .extend(evolved.uniform.iter().map(|scored| row("one block type everywhere", scored)));
    let errors: Vec<f64> = measured
        .sum_of_parts
        .iter()
        .map(|check| check.predicted_ms / check.measured_ms - 1.0)
        .collect();
    let mean =
        |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / errors.len().max(1) as f64;
    Ok(Report {
        hyperspace: study.hyperspace.name.clone(),
        target: study.target.description().name,
        latency_source: study.target.latency_source()?.fingerprint(),
        seed: study.seed,
        teacher_accuracy: taught.test_accuracy,
        teacher_held_out_accuracy: teacher.held_out_accuracy,
        space: row(&settings.strategy, &evolved.best[0]),
        choices: choices(&study.hyperspace, &evolved.explanation),
        evaluations: evolved.evaluations,
        gap: evolved.gap,
        budgets,
        infeasible_budgets,
        devices: evolved.devices.clone(),
        other_spaces,
        supernet: super::result(context, "train/supernet")?,
        latency: LatencyReport {
            deciles_ms: measured.deciles_ms,
            networks: errors.len(),
            bias: mean(&mut errors.iter().copied()),
            rms_error: mean(&mut errors.iter().map(|error| error * error)).sqrt(),
        },
        diverged_blocks,
        seconds: context.seconds()?,
    })
}

fn choices(hyperspace: &Hyperspace, explanation: &Explanation) -> Vec<ChoiceRow> {
    let space = &explanation.scored.space;
    let choice = |(index, stage): (usize, &Stage)| {
        let block = |block: usize| hyperspace.candidates[block].block.clone();
        let widths = |window: usize| stage.window_widths(window).to_vec();
        let alternative = |other: &Alternative| AlternativeRow {
            block: block(other.block),
            widths: widths(other.window),
            difference: other.difference,
        };
        let support = explanation.support.iter();
        ChoiceRow {
            stage: stage.name.clone(),
            block: block(space.blocks[index]),
            widths: widths(space.windows[index]),
            best_alternative: explanation.alternatives[index].first().map(alternative),
            support: support.map(|limit| Some(limit.as_ref()?[index].effective)).collect(),
        }
    };
    hyperspace.stages.iter().enumerate().map(choice).collect()
}
