//! Whether block-wise losses rank subnets as their INT8 accuracy does: `proxy.json`, a table of the
//! subnets and a plot.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spacewright_core::{
    rank::{kendall_tau, spearman},
    space::Subnet,
    study::{StepContext, StepError},
};

use crate::{
    error::SpaceEvoError,
    plot::{self, Joined, Panel},
    stage_weights::{fit, weighted},
};

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
    pub fitted: Compared,
    /// Agreement over the other subnets of the space.
    pub held_out: Compared,
    /// Agreement over subnets of another space, drawn at random.
    pub second: Compared,
    /// Agreement over the subnets of both spaces together on which nothing was fitted: a score compares spaces.
    pub both: Compared,
    /// All subnets, those of the random space included.
    pub subnets: Vec<JudgedSubnet>,
}

/// Sums of losses against accuracies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Compared {
    /// Encoding of the space, or the spaces, that the subnets are of.
    pub space: String,
    /// How many subnets.
    pub n: usize,
    /// Agreement where every stage counts the same.
    pub raw: Agreement,
    /// Agreement where stages count as the weights say.
    pub weighted: Agreement,
}

/// How well losses rank subnets; none where all subnets have the same loss or the same accuracy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Agreement {
    /// Kendall's τ.
    pub kendall_tau: Option<f64>,
    /// Spearman's ρ.
    pub spearman: Option<f64>,
}

/// A subnet with its losses and its accuracy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JudgedSubnet {
    /// What it was used for.
    pub part: SubnetPart,
    /// Its encoding.
    pub subnet: String,
    /// Loss of each stage: noise-to-signal ratio of its output against the teacher's.
    pub losses: Vec<f64>,
    /// Their sum.
    pub loss: f64,
    /// Their weighted sum.
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
}

/// Random subnets of one space.
pub(crate) struct SampledSubnets {
    /// Encoding of the space.
    pub space: String,
    /// The subnets.
    pub subnets: Vec<Subnet>,
    /// Loss of each stage of each subnet.
    pub losses: Vec<Vec<f64>>,
    /// INT8 accuracy of each subnet, a share of held-out images.
    pub accuracies: Vec<f64>,
}

impl ProxyReport {
    /// Of the found space and a random one. Weights of the stages are fitted on a share of the
    /// found space's subnets.
    pub(crate) fn new(
        stages: Vec<String>,
        fit_share: f64,
        found: &SampledSubnets,
        random: &SampledSubnets,
    ) -> Self {
        let n = found.subnets.len();
        let fitted = (fit_share * n as f64).round() as usize;
        let weights = fit(&found.losses[..fitted], &found.accuracies[..fitted]);
        let part = |index: usize| {
            if index < fitted { SubnetPart::Fitted } else { SubnetPart::HeldOut }
        };
        let mut subnets = judged(found, &weights, part);
        subnets.extend(judged(random, &weights, |_| SubnetPart::Second));
        let compared = |parts: &[SubnetPart], space: String| {
            let subnets: Vec<&JudgedSubnet> =
                subnets.iter().filter(|subnet| parts.contains(&subnet.part)).collect();
            Compared {
                space,
                n: subnets.len(),
                raw: agreement(&subnets, |subnet| subnet.loss),
                weighted: agreement(&subnets, |subnet| subnet.weighted_loss),
            }
        };
        let all: Vec<&JudgedSubnet> = subnets.iter().take(n).collect();
        let Agreement { kendall_tau, spearman } = agreement(&all, |subnet| subnet.loss);
        let rounded: Vec<String> = weights.iter().map(|weight| format!("{weight:.3}")).collect();
        let both = format!("{}, {}", found.space, random.space);
        Self {
            space: found.space.clone(),
            n,
            kendall_tau,
            spearman,
            stages,
            setting: format!("score = {{ stage_weights = [{}] }}", rounded.join(", ")),
            fitted: compared(&[SubnetPart::Fitted], found.space.clone()),
            held_out: compared(&[SubnetPart::HeldOut], found.space.clone()),
            second: compared(&[SubnetPart::Second], random.space.clone()),
            both: compared(&[SubnetPart::HeldOut, SubnetPart::Second], both),
            weights,
            subnets,
        }
    }
}

/// The subnets of one space; `part` says what each position was used for.
fn judged(
    sampled: &SampledSubnets,
    weights: &[f64],
    part: impl Fn(usize) -> SubnetPart,
) -> Vec<JudgedSubnet> {
    let judge = |(index, subnet): (usize, &Subnet)| {
        let losses = sampled.losses[index].clone();
        JudgedSubnet {
            part: part(index),
            subnet: subnet.to_string(),
            loss: losses.iter().sum(),
            weighted_loss: weighted(&losses, weights),
            losses,
            accuracy: sampled.accuracies[index],
        }
    };
    sampled.subnets.iter().enumerate().map(judge).collect()
}

/// How well losses rank subnets as their accuracies do.
fn agreement(subnets: &[&JudgedSubnet], loss: impl Fn(&JudgedSubnet) -> f64) -> Agreement {
    let losses: Vec<f64> = subnets.iter().map(|subnet| -loss(subnet)).collect();
    let accuracies: Vec<f64> = subnets.iter().map(|subnet| subnet.accuracy).collect();
    Agreement {
        kendall_tau: kendall_tau(&losses, &accuracies),
        spearman: spearman(&losses, &accuracies),
    }
}

/// Writes `proxy.json`, `proxy.csv` and `proxy.svg`.
pub(crate) fn publish(context: &dyn StepContext, report: &ProxyReport) -> Result<(), StepError> {
    let text = serde_json::to_string_pretty(report)? + "\n";
    context.publish("proxy.json", text.as_bytes())?;
    let mut csv = format!("part,subnet,{},loss,weighted_loss,accuracy\n", report.stages.join(","));
    for JudgedSubnet { part, subnet, losses, loss, weighted_loss, accuracy } in &report.subnets {
        let losses: Vec<String> = losses.iter().map(f64::to_string).collect();
        let part = match part {
            SubnetPart::Fitted => "fitted",
            SubnetPart::HeldOut => "held out",
            SubnetPart::Second => "second space",
        };
        let losses = losses.join(",");
        csv += &format!("{part},{subnet},{losses},{loss},{weighted_loss},{accuracy}\n");
    }
    context.publish("proxy.csv", csv.as_bytes())?;
    let points = |part: SubnetPart, x: fn(&JudgedSubnet) -> f64| {
        let of_part = report.subnets.iter().filter(move |subnet| subnet.part == part);
        of_part.map(|subnet| (x(subnet), 100.0 * subnet.accuracy)).collect::<Vec<_>>()
    };
    let parts = [SubnetPart::Fitted, SubnetPart::HeldOut, SubnetPart::Second];
    let panel = |x: &'static str, value: fn(&JudgedSubnet) -> f64| Panel {
        x,
        y: "INT8 accuracy in %",
        series: parts.map(|part| points(part, value)).into(),
        joined: Joined::Dots,
    };
    let panels = [
        panel("sum of block-wise losses", |subnet| subnet.loss),
        panel("weighted sum of block-wise losses", |subnet| subnet.weighted_loss),
    ];
    let names = [
        format!("{}, fitted", report.space),
        format!("{}, held out", report.space),
        format!("{}, random space", report.second.space),
    ];
    let svg = plot::svg("Block-wise loss and accuracy of subnets", &names, &panels)
        .map_err(SpaceEvoError::from)?;
    context.publish("proxy.svg", svg.as_bytes()).map(drop)
}
