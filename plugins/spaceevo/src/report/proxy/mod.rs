//! Whether block-wise losses rank subnets as their INT8 accuracy does: `proxy.json`, a table of the
//! subnets and a plot.

mod publish;
mod statistics;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spacewright_core::space::{Space, Subnet};

use crate::report::Interval;

pub(crate) use publish::publish;

/// Whether losses of blocks rank subnets as their accuracies do: `proxy.json` in the folder of the run, which
/// `spacewright bench proxy` writes. Agreement is 1 where a smaller loss always means a higher accuracy, and 0 where
/// losses say nothing; it is none where all subnets have the same loss or the same accuracy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProxyReport {
    /// Encoding of the space that was found.
    pub space: String,
    /// How many of its subnets were looked at.
    pub n: usize,
    /// Kendall's τ of the sum of losses with the accuracy, over all of them.
    pub kendall_tau: Option<f64>,
    /// Spearman's ρ of the same.
    pub spearman: Option<f64>,
    /// Names of the stages, in the order of the lists below.
    pub stages: Vec<String>,
    /// Weight of each stage's loss, fitted on a part of the subnets; their mean is 1.
    pub weights: Vec<f64>,
    /// The weights as a line of a study file, below `[evolve]`.
    pub setting: String,
    /// Agreement over the subnets that the weights were fitted on.
    pub fitted: SpaceAgreement,
    /// Agreement over the other subnets of the space.
    pub held_out: SpaceAgreement,
    /// Agreement over subnets of another space, drawn at random.
    pub second: SpaceAgreement,
    /// Agreement over subnets of each of the manual spaces.
    pub manual: Vec<SpaceAgreement>,
    /// Agreement over the subnets of all spaces together on which nothing was fitted: a score compares spaces.
    pub all: SpaceAgreement,
    /// Where the agreement over all spaces comes from.
    pub parts: AgreementParts,
    /// All subnets, those of the other spaces included.
    pub subnets: Vec<JudgedSubnet>,
}

/// Sums of losses against accuracies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpaceAgreement {
    /// Encoding of the space, or the spaces, that the subnets are of.
    pub space: String,
    /// How many subnets.
    pub n: usize,
    /// Agreement of the number of multiply-adds, 1 where more of them always mean a higher accuracy: what losses have
    /// to beat.
    pub multiply_adds: Agreement,
    /// Agreement of losses as they were distilled.
    pub raw: Agreement,
    /// Agreement of losses as the search for spaces reads them, with the factors of the step `correct`.
    pub corrected: Agreement,
    /// Agreement where, of these, stages count as the weights say.
    pub weighted: Agreement,
}

/// How well losses rank subnets; none where all subnets have the same loss or the same accuracy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Agreement {
    /// Kendall's τ.
    pub kendall_tau: Option<f64>,
    /// From where to where τ lies with 95 % certainty, over all subnets of the same trained supernets.
    pub interval: Option<Interval>,
    /// Spearman's ρ.
    pub spearman: Option<f64>,
}

/// Where Kendall's τ over subnets of several spaces comes from: a score ranks spaces, a search ranks subnets of one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgreementParts {
    /// How many spaces the subnets are of. Pairs between two of them are many, but no more independent than these
    /// few spaces, each with one trained supernet.
    pub spaces: usize,
    /// Of the number of multiply-adds.
    pub multiply_adds: PairParts,
    /// Of losses as they were distilled.
    pub raw: PairParts,
    /// Of losses as the search for spaces reads them.
    pub corrected: PairParts,
    /// Where, of these, stages count as the weights say.
    pub weighted: PairParts,
}

/// Pairs of subnets of one space, and pairs of subnets of two.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PairParts {
    /// Both of one space.
    pub within: PairPart,
    /// Of two spaces.
    pub between: PairPart,
}

/// A part of all pairs of subnets.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PairPart {
    /// How many pairs.
    pub pairs: usize,
    /// Kendall's τ over these alone.
    pub kendall_tau: Option<f64>,
    /// From where to where it lies with 95 % certainty, over all spaces that might have been looked at.
    pub interval: Option<Interval>,
    /// What they add to Kendall's τ over all pairs: both parts add up to it.
    pub contribution: Option<f64>,
}

/// A subnet with its losses and its accuracy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JudgedSubnet {
    /// What it was used for.
    pub part: SubnetPart,
    /// Name of its space: `found`, `random`, or what the study calls a manual one.
    pub name: String,
    /// Encoding of its space.
    pub space: String,
    /// Its encoding.
    pub subnet: String,
    /// Its multiply-adds for one image.
    pub multiply_adds: u64,
    /// Loss of each stage as it was distilled: noise-to-signal ratio of its output against the teacher's.
    pub losses: Vec<f64>,
    /// Their sum.
    pub loss: f64,
    /// Their sum with the factors of the step `correct`.
    pub corrected_loss: f64,
    /// The sum of these with the weights of the stages.
    pub weighted_loss: f64,
    /// Share of held-out images that it classifies correctly in INT8, from 0 to 1.
    pub accuracy: f64,
}

/// What a subnet was used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubnetPart {
    /// The weights were fitted on it.
    Fitted,
    /// It is of the found space, and the weights were not fitted on it.
    HeldOut,
    /// It is of the random space.
    Second,
    /// It is of a manual space.
    Manual,
}

/// Random subnets of one space.
pub(crate) struct SampledSubnets {
    /// `found`, `random`, or what the study calls a manual space.
    pub name: String,
    /// The space.
    pub space: Space,
    /// The subnets.
    pub subnets: Vec<Subnet>,
    /// Multiply-adds of each subnet.
    pub multiply_adds: Vec<u64>,
    /// Loss of each stage of each subnet, as it was distilled.
    pub losses: Vec<Vec<f64>>,
    /// INT8 accuracy of each subnet, a share of held-out images.
    pub accuracies: Vec<f64>,
}
