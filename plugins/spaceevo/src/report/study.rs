//! What a study found, against what it beats: `report.json`.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spacewright_core::{
    quantize::QuantizeReport,
    space::{Hyperspace, Stage},
    train::{Accuracies, TrainedWith},
};

use super::{AgainstNetwork, Interval, Point, SpaceSummary};
use crate::{
    explain::{Alternative, Explanation},
    steps::{
        correct::Correction,
        evolve::TargetLoss,
        export::{NetworkLatency, VerifiedNetwork},
        measure::SumOfParts,
        rivals::LeftOut,
        search::BudgetOutcome,
        train::PhaseReports,
    },
};

/// What a study found, and what it beats: `report.json` in the folder of the run, which `spacewright run` and
/// `spacewright report` write. Shares and accuracies are from 0 to 1, latencies are milliseconds for one image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StudyReport {
    /// Name of the hyperspace.
    pub hyperspace: String,
    /// Name of the target.
    pub target: String,
    /// Hardware, runtime and settings for which the latencies hold.
    pub latency_source: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Who trained, and with what; reports of earlier versions do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_with: Option<TrainedWith>,
    /// Share of test images that the teacher classifies correctly.
    pub teacher_accuracy: f64,
    /// Share of held-out images that the teacher classifies correctly.
    pub teacher_held_out_accuracy: f64,
    /// What a teacher from outside achieved before the study trained it; none where it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher_before: Option<Accuracies>,
    /// Block type of the teacher, whose losses are flattered: such blocks copy it more easily than they are good.
    /// None where it is a network from outside; reports of earlier versions do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher_block: Option<String>,
    /// What losses of block types are worth; none where the study does not ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correction: Option<LossCorrection>,
    /// The space that was found.
    pub space: SpaceSummary,
    /// The space's choices, by stage.
    pub choices: Vec<StageChoice>,
    /// How many spaces the search that found it has scored: where there are several targets, that for all of them.
    pub evaluations: usize,
    /// How much better another space may be, as a share of the score; none where the strategy does not know it.
    pub gap: Option<f64>,
    /// The networks, one for each latency budget that the space can keep to, in the order of the budgets.
    pub budgets: Vec<BudgetNetwork>,
    /// Networks from outside that the study names below `[report]`, as they are on its target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rivals: Vec<RivalNetwork>,
    /// Networks from outside that could not be judged, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rivals_left_out: Vec<LeftOut>,
    /// Budgets that no subnet of the space keeps to.
    pub infeasible_budgets: Vec<BudgetOutcome>,
    /// Where the space has to suit several targets: what each of them loses. Limits of spaces are
    /// then those of all targets, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<TargetLoss>,
    /// Random search, which ends with the same descent as other strategies, and the uniform spaces, by score and
    /// predicted feasibility.
    pub other_spaces: Vec<SpaceSummary>,
    /// What the largest subnet of the supernet achieves after each phase of training, `fp32` and `int8`.
    pub supernet: PhaseReports,
    /// How well the sums of parts predict whole networks.
    pub latency: SumOfPartsError,
    /// Stages with block types whose distillation diverged; their losses count as 1.
    pub diverged_blocks: Vec<String>,
    /// Seconds that each step took, by its name.
    pub seconds: IndexMap<String, f64>,
}

/// What a few networks of mixed block types, trained for a short time, say of the losses of block types.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LossCorrection {
    /// How many networks.
    pub networks: usize,
    /// Kendall's τ of the networks' sums of losses, as they were distilled, with their INT8 accuracy.
    pub distilled_tau: Option<f64>,
    /// From where to where this lies with 95 % certainty, over all networks that might have been drawn.
    pub distilled_interval: Option<Interval>,
    /// The same of corrected losses, each pair of networks with factors that were fitted without one of them.
    pub corrected_tau: Option<f64>,
    /// From where to where this lies with 95 % certainty, as if the factors were known.
    pub corrected_interval: Option<Interval>,
    /// The block types, in the order of the factors.
    pub blocks: Vec<String>,
    /// Factors that the search for spaces gave to losses, by stage and by block type: 1 where networks that were left
    /// out are ranked no better with them than without.
    pub factors: Vec<Vec<f64>>,
}

impl LossCorrection {
    pub(crate) fn new(correction: Correction, hyperspace: &Hyperspace) -> Option<Self> {
        let candidates = hyperspace.candidates.iter();
        (!correction.networks.is_empty()).then(|| Self {
            networks: correction.networks.len(),
            distilled_tau: correction.distilled_tau,
            distilled_interval: correction.distilled_interval,
            corrected_tau: correction.corrected_tau,
            corrected_interval: correction.corrected_interval,
            blocks: candidates.map(|candidate| candidate.block.clone()).collect(),
            factors: correction.factors,
        })
    }
}

/// The choice of a space for one stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageChoice {
    /// Name of the stage.
    pub stage: String,
    /// Its block type.
    pub block: String,
    /// Its output widths, in channels.
    pub widths: Vec<usize>,
    /// The next best choice; none where the stage has no other.
    pub best_alternative: Option<AlternativeChoice>,
    /// Effective number of rows of the stage's quality table among the best subnets, by budget;
    /// none where it is not known.
    pub support: Vec<Option<f64>>,
}

/// The next best choice for a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AlternativeChoice {
    /// Its block type.
    pub block: String,
    /// Its output widths, in channels.
    pub widths: Vec<usize>,
    /// What the score changes by, all other stages being the same.
    pub difference: f64,
}

/// The network of one budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetNetwork {
    /// The budget in milliseconds.
    pub budget_ms: f64,
    /// INT8 latency in milliseconds, as the sum of the network's parts.
    pub predicted_ms: f64,
    /// Share of held-out images that it classifies correctly in INT8, with the weights of the supernet.
    pub held_out_accuracy: f64,
    /// Standard error of this share.
    pub standard_error: f64,
    /// What training it alone gave, by phase, `fp32` and `int8`; none where it has the supernet's weights.
    pub finetuned: Option<PhaseReports>,
    /// Name of its INT8 file in the run's folder.
    pub file: String,
    /// Name of its FP32 file in the run's folder.
    pub fp32_file: String,
    /// As its runtime computes it.
    #[serde(flatten)]
    pub network: VerifiedNetwork,
    /// Of the whole network.
    #[serde(flatten)]
    pub latency: NetworkLatency,
    /// FP32 latency over INT8 latency; none where the former is not known.
    pub speed_up: Option<f64>,
}

impl BudgetNetwork {
    /// Its number, as in the names of its files: the position of its budget among those of the study.
    pub fn number(&self) -> &str {
        let number = self.file.strip_prefix("network-").and_then(|rest| rest.split('.').next());
        number.unwrap_or(&self.file)
    }

    /// INT8 latency and accuracy.
    pub(crate) fn point(&self) -> Point {
        (self.latency.int8_ms, self.network.int8_accuracy)
    }
}

/// A network from outside, quantized for the study's target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RivalNetwork {
    /// Its folder, as the study names it.
    pub model: String,
    /// As the target's runtime computes it.
    #[serde(flatten)]
    pub network: QuantizeReport,
    /// Of the whole network.
    #[serde(flatten)]
    pub latency: NetworkLatency,
    /// FP32 latency over INT8 latency; none where the former is not known.
    pub speed_up: Option<f64>,
    /// The study's networks against it.
    pub against: AgainstNetwork,
}

impl RivalNetwork {
    /// INT8 latency and accuracy.
    pub(crate) fn point(&self) -> Point {
        (self.latency.int8_ms, self.network.int8_accuracy.unwrap_or_default())
    }
}

/// How well the sums of parts predict whole networks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SumOfPartsError {
    /// Deciles of the INT8 latency of random subnets in milliseconds, from the fastest to the slowest.
    pub deciles_ms: Vec<f64>,
    /// How many whole networks were measured against the sum of their parts.
    pub networks: usize,
    /// Mean of predicted / measured − 1.
    pub bias: f64,
    /// Root mean square of predicted / measured − 1.
    pub rms_error: f64,
}

impl SumOfPartsError {
    /// From the networks that were measured.
    pub fn new(deciles_ms: Vec<f64>, sums: &[SumOfParts]) -> Self {
        let errors: Vec<f64> =
            sums.iter().map(|sum| sum.predicted_ms / sum.measured_ms - 1.0).collect();
        let mean = |values: &mut dyn Iterator<Item = f64>| {
            values.sum::<f64>() / errors.len().max(1) as f64
        };
        Self {
            deciles_ms,
            networks: errors.len(),
            bias: mean(&mut errors.iter().copied()),
            rms_error: mean(&mut errors.iter().map(|error| error * error)).sqrt(),
        }
    }
}

impl StageChoice {
    /// The choices of an explained space, by stage.
    pub fn of(explanation: &Explanation, hyperspace: &Hyperspace) -> Vec<Self> {
        let space = &explanation.scored.space;
        let choice = |(index, stage): (usize, &Stage)| {
            let block = |block: usize| hyperspace.candidates[block].block.clone();
            let widths = |window: usize| stage.window_widths(window).to_vec();
            let alternative = |other: &Alternative| AlternativeChoice {
                block: block(other.block),
                widths: widths(other.window),
                difference: other.difference,
            };
            let support = explanation.support.iter();
            Self {
                stage: stage.name.clone(),
                block: block(space.blocks[index]),
                widths: widths(space.windows[index]),
                best_alternative: explanation.alternatives[index].first().map(alternative),
                support: support.map(|limit| Some(limit.as_ref()?[index].effective)).collect(),
            }
        };
        hyperspace.stages.iter().enumerate().map(choice).collect()
    }
}
