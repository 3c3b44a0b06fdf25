//! Whether block-wise losses rank subnets as their INT8 accuracy does: `proxy.json`, a table of the
//! subnets and a plot.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spacewright_core::{
    rank::{PartOfTau, kendall_tau, kendall_tau_by_group, spearman},
    space::{Space, Subnet},
    study::{StepContext, StepError},
};

use crate::{
    error::SpaceEvoError,
    loss_factors::{self, JudgedNetwork, corrected},
    plot::{self, Joined, Panel},
    report::Interval,
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
    /// Agreement over subnets of each of the manual spaces.
    pub manual: Vec<Compared>,
    /// Agreement over the subnets of all spaces together on which nothing was fitted: a score compares spaces.
    pub all: Compared,
    /// Where the agreement over all spaces comes from.
    pub parts: AgreementParts,
    /// All subnets, those of the other spaces included.
    pub subnets: Vec<JudgedSubnet>,
}

/// Sums of losses against accuracies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Compared {
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

impl ProxyReport {
    /// Of the found space, a random one, and the manual ones, in this order. Weights of the stages are fitted on a
    /// share of the found space's subnets; `factors` are those of the step `correct`, by stage and block type.
    pub(crate) fn new(
        stages: Vec<String>,
        factors: &[Vec<f64>],
        fit_share: f64,
        spaces: &[SampledSubnets],
    ) -> Self {
        let found = &spaces[0];
        let n = found.subnets.len();
        let fitted = (fit_share * n as f64).round() as usize;
        let weights = stage_weights(found, factors, fitted);
        let part = |space: usize, index: usize| match space {
            0 if index < fitted => SubnetPart::Fitted,
            0 => SubnetPart::HeldOut,
            1 => SubnetPart::Second,
            _ => SubnetPart::Manual,
        };
        let of_space = |(at, sampled): (usize, &SampledSubnets)| {
            judged(sampled, factors, &weights, |index| part(at, index))
        };
        let subnets: Vec<JudgedSubnet> = spaces.iter().enumerate().flat_map(of_space).collect();
        let compared = |space: &str, wanted: &dyn Fn(&JudgedSubnet) -> bool| {
            Compared::new(space.to_owned(), &subnets, wanted)
        };
        let of_part = |part: SubnetPart, space: &str| compared(space, &|s| s.part == part);
        let of_found: Vec<&JudgedSubnet> = subnets.iter().take(n).collect();
        let Agreement { kendall_tau, spearman, .. } = agreement(&of_found, |subnet| subnet.loss);
        let encodings: Vec<String> = spaces.iter().map(|space| space.space.to_string()).collect();
        let manual = spaces
            .iter()
            .zip(&encodings)
            .skip(2)
            .map(|(sampled, space)| compared(space, &|subnet| subnet.name == sampled.name));
        let is_new = |subnet: &JudgedSubnet| subnet.part != SubnetPart::Fitted;
        let all: Vec<&JudgedSubnet> = subnets.iter().filter(|subnet| is_new(subnet)).collect();
        let rounded: Vec<String> = weights.iter().map(|weight| format!("{weight:.3}")).collect();
        Self {
            space: encodings[0].clone(),
            n,
            kendall_tau,
            spearman,
            stages,
            setting: format!("score = {{ stage_weights = [{}] }}", rounded.join(", ")),
            fitted: of_part(SubnetPart::Fitted, &encodings[0]),
            held_out: of_part(SubnetPart::HeldOut, &encodings[0]),
            second: of_part(SubnetPart::Second, &encodings[1]),
            manual: manual.collect(),
            all: compared(&encodings.join(", "), &is_new),
            parts: AgreementParts {
                spaces: spaces.len(),
                multiply_adds: PairParts::new(&all, fewness),
                raw: PairParts::new(&all, |subnet| subnet.loss),
                corrected: PairParts::new(&all, |subnet| subnet.corrected_loss),
                weighted: PairParts::new(&all, |subnet| subnet.weighted_loss),
            },
            weights,
            subnets,
        }
    }
}

impl Compared {
    fn new(
        space: String,
        subnets: &[JudgedSubnet],
        wanted: &dyn Fn(&JudgedSubnet) -> bool,
    ) -> Self {
        let subnets: Vec<&JudgedSubnet> = subnets.iter().filter(|subnet| wanted(subnet)).collect();
        Self {
            space,
            n: subnets.len(),
            multiply_adds: agreement(&subnets, fewness),
            raw: agreement(&subnets, |subnet| subnet.loss),
            corrected: agreement(&subnets, |subnet| subnet.corrected_loss),
            weighted: agreement(&subnets, |subnet| subnet.weighted_loss),
        }
    }
}

impl PairParts {
    fn new(subnets: &[&JudgedSubnet], loss: impl Fn(&JudgedSubnet) -> f64) -> Self {
        let mut spaces: Vec<&str> = Vec::new();
        for subnet in subnets {
            if !spaces.contains(&subnet.space.as_str()) {
                spaces.push(&subnet.space);
            }
        }
        let space = |subnet: &JudgedSubnet| spaces.iter().position(|space| *space == subnet.space);
        let parts = |left_out: Option<usize>| {
            let kept = subnets.iter().copied().filter(|&subnet| space(subnet) != left_out);
            let kept: Vec<&JudgedSubnet> = kept.collect();
            let groups: Vec<usize> = kept.iter().filter_map(|subnet| space(subnet)).collect();
            let (losses, accuracies) = ranked(&kept, &loss);
            let none = PartOfTau { pairs: 0, tau: None, contribution: None };
            kendall_tau_by_group(&losses, &accuracies, &groups).unwrap_or([none; 2])
        };
        let without: Vec<[PartOfTau; 2]> = (0..spaces.len()).map(|one| parts(Some(one))).collect();
        let all = parts(None);
        let [within, between] = [0, 1].map(|part| {
            let PartOfTau { pairs, tau: kendall_tau, contribution } = all[part];
            let without = |left_out: usize| without[left_out][part].tau;
            let interval =
                kendall_tau.and_then(|tau| Interval::of_correlation(tau, spaces.len(), without));
            PairPart { pairs, kendall_tau, interval, contribution }
        });
        Self { within, between }
    }
}

/// Weights of the stages that the first `fitted` subnets of a space ask for; their mean is 1.
fn stage_weights(found: &SampledSubnets, factors: &[Vec<f64>], fitted: usize) -> Vec<f64> {
    let subnet = |(losses, accuracy): (&Vec<f64>, &f64)| {
        let of_stage =
            |(stage, loss): (usize, &f64)| factors[stage][found.space.blocks[stage]] * loss;
        JudgedNetwork {
            blocks: vec![0; losses.len()],
            losses: losses.iter().enumerate().map(of_stage).collect(),
            accuracy: *accuracy,
        }
    };
    let subnets = found.losses.iter().zip(&found.accuracies).take(fitted);
    let subnets: Vec<JudgedNetwork> = subnets.map(subnet).collect();
    let weights = loss_factors::fit(&subnets, factors.len(), 1).concat();
    let mean = weights.iter().sum::<f64>() / weights.len() as f64;
    weights.into_iter().map(|weight| weight / mean).collect()
}

/// The factors of one stage, times its weight.
fn times((factors, weight): (&Vec<f64>, &f64)) -> Vec<f64> {
    factors.iter().map(|factor| factor * weight).collect()
}

/// The subnets of one space; `part` says what each position was used for.
fn judged(
    sampled: &SampledSubnets,
    factors: &[Vec<f64>],
    weights: &[f64],
    part: impl Fn(usize) -> SubnetPart,
) -> Vec<JudgedSubnet> {
    let judge = |(index, subnet): (usize, &Subnet)| {
        let losses = sampled.losses[index].clone();
        let blocks = &sampled.space.blocks;
        let weighed: Vec<Vec<f64>> = factors.iter().zip(weights).map(times).collect();
        JudgedSubnet {
            part: part(index),
            name: sampled.name.clone(),
            space: sampled.space.to_string(),
            subnet: subnet.to_string(),
            multiply_adds: sampled.multiply_adds[index],
            loss: losses.iter().sum(),
            corrected_loss: corrected(&losses, blocks, factors),
            weighted_loss: corrected(&losses, blocks, &weighed),
            losses,
            accuracy: sampled.accuracies[index],
        }
    };
    sampled.subnets.iter().enumerate().map(judge).collect()
}

/// Multiply-adds as a loss: the fewer, the larger.
fn fewness(subnet: &JudgedSubnet) -> f64 {
    -(subnet.multiply_adds as f64)
}

/// Losses, the largest first, and accuracies, whose orders are to agree.
fn ranked(subnets: &[&JudgedSubnet], loss: impl Fn(&JudgedSubnet) -> f64) -> (Vec<f64>, Vec<f64>) {
    subnets.iter().map(|subnet| (-loss(subnet), subnet.accuracy)).unzip()
}

/// How well losses rank subnets as their accuracies do.
fn agreement(subnets: &[&JudgedSubnet], loss: impl Fn(&JudgedSubnet) -> f64) -> Agreement {
    let (losses, accuracies) = ranked(subnets, loss);
    let tau = kendall_tau(&losses, &accuracies);
    let without = |left_out: usize| {
        let [losses, accuracies] = [&losses, &accuracies]
            .map(|values| [&values[..left_out], &values[left_out + 1..]].concat());
        kendall_tau(&losses, &accuracies)
    };
    Agreement {
        kendall_tau: tau,
        interval: tau.and_then(|tau| Interval::of_correlation(tau, losses.len(), without)),
        spearman: spearman(&losses, &accuracies),
    }
}

/// Writes `proxy.json`, `proxy.csv` and `proxy.svg`.
pub(crate) fn publish(context: &dyn StepContext, report: &ProxyReport) -> Result<(), StepError> {
    let text = serde_json::to_string_pretty(report)? + "\n";
    context.publish("proxy.json", text.as_bytes())?;
    let stages = report.stages.join(",");
    let mut csv = format!(
        "part,name,space,subnet,multiply_adds,{stages},loss,corrected_loss,weighted_loss,accuracy\n"
    );
    for judged in &report.subnets {
        let JudgedSubnet {
            part,
            name,
            space,
            subnet,
            multiply_adds,
            losses,
            loss,
            corrected_loss,
            weighted_loss,
            accuracy,
        } = judged;
        let losses: Vec<String> = losses.iter().map(f64::to_string).collect();
        let part = match part {
            SubnetPart::Fitted => "fitted",
            SubnetPart::HeldOut => "held out",
            SubnetPart::Second => "second space",
            SubnetPart::Manual => "manual space",
        };
        let losses = losses.join(",");
        csv += &format!(
            "{part},{name},{space},{subnet},{multiply_adds},{losses},{loss},{corrected_loss},{weighted_loss},{accuracy}\n"
        );
    }
    context.publish("proxy.csv", csv.as_bytes())?;
    let series = series(report);
    let panel = |x: &'static str, value: fn(&JudgedSubnet) -> f64| {
        let point = |subnet: &&JudgedSubnet| (value(subnet), 100.0 * subnet.accuracy);
        let points = series.iter().map(|(_, subnets)| subnets.iter().map(point).collect());
        Panel { x, y: "INT8 accuracy in %", series: points.collect(), joined: Joined::Dots }
    };
    let panels = [
        panel("million multiply-adds", |subnet| subnet.multiply_adds as f64 / 1e6),
        panel("sum of block-wise losses", |subnet| subnet.loss),
        panel("corrected sum", |subnet| subnet.corrected_loss),
        panel("corrected and weighted sum", |subnet| subnet.weighted_loss),
    ];
    let names: Vec<String> = series.iter().map(|(name, _)| name.clone()).collect();
    let svg = plot::svg("Block-wise loss and accuracy of subnets", &names, &panels)
        .map_err(SpaceEvoError::from)?;
    context.publish("proxy.svg", svg.as_bytes()).map(drop)
}

/// The subnets of each space, those of the found one in two parts, with what a legend calls them.
fn series(report: &ProxyReport) -> Vec<(String, Vec<&JudgedSubnet>)> {
    let mut series: Vec<(String, Vec<&JudgedSubnet>)> = Vec::new();
    for subnet in &report.subnets {
        let name = match subnet.part {
            SubnetPart::Fitted => format!("{}, fitted", subnet.space),
            SubnetPart::HeldOut => format!("{}, held out", subnet.space),
            SubnetPart::Second | SubnetPart::Manual => format!("{}, {}", subnet.space, subnet.name),
        };
        match series.last_mut().filter(|(known, _)| *known == name) {
            Some((_, subnets)) => subnets.push(subnet),
            None => series.push((name, vec![subnet])),
        }
    }
    series
}

#[cfg(test)]
mod tests {
    use spacewright_core::space::Subnet;

    use super::*;
    use crate::hyperspaces;

    /// Subnets of a space with these losses of their one stage and accuracies.
    fn sampled(name: &str, position: usize, judged: &[(f64, f64)]) -> SampledSubnets {
        let hyperspace = hyperspaces::built_in("mini").unwrap();
        let stages = hyperspace.uniform_spaces()[0].elastic_stages(&hyperspace);
        let subnet = Subnet::smallest(&stages, &hyperspace.resolutions);
        SampledSubnets {
            name: name.into(),
            space: hyperspace.uniform_spaces().swap_remove(position),
            subnets: vec![subnet; judged.len()],
            multiply_adds: (1..=judged.len() as u64).collect(),
            losses: judged.iter().map(|(loss, _)| vec![*loss]).collect(),
            accuracies: judged.iter().map(|(_, accuracy)| *accuracy).collect(),
        }
    }

    /// Losses rank the spaces, but the subnets of each the wrong way round, one of the last space excepted.
    #[test]
    fn agreement_over_all_spaces_comes_from_pairs_within_and_between() {
        let spaces = [
            sampled("found", 0, &[(1.0, 0.9), (1.0, 0.9), (1.1, 0.91), (1.2, 0.92)]),
            sampled("random", 1, &[(2.1, 0.81), (2.2, 0.82)]),
            sampled("resnet", 2, &[(3.1, 0.71), (3.2, 0.72), (3.3, 0.7)]),
        ];
        let report =
            ProxyReport::new(vec!["stage1".into()], &[vec![1.0, 0.1, 0.1, 1.0, 1.0]], 0.5, &spaces);
        assert_eq!((report.fitted.n, report.held_out.n, report.second.n), (2, 2, 2));
        assert_eq!((report.manual.len(), report.manual[0].n, report.all.n), (1, 3, 7));
        assert_eq!(report.second.raw.kendall_tau, Some(-1.0));
        assert_eq!(
            report.second.multiply_adds.kendall_tau,
            Some(1.0),
            "of the larger more is right"
        );
        let PairParts { within, between } = report.parts.raw;
        assert_eq!((within.pairs, within.kendall_tau), (5, Some(-0.2)));
        assert_eq!((between.pairs, between.kendall_tau), (16, Some(1.0)));
        assert!(within.interval.is_some());
        assert_eq!(between.interval, None, "in all spaces alike");
        assert_eq!(report.second.raw.interval, None, "of two subnets");
        let interval = report.all.raw.interval.unwrap();
        assert!(interval.low <= report.all.raw.kendall_tau.unwrap() && interval.high <= 1.0);
        let sum = within.contribution.unwrap() + between.contribution.unwrap();
        assert!((sum - report.all.raw.kendall_tau.unwrap()).abs() < 1e-12);
        let names: Vec<String> = series(&report).into_iter().map(|(name, _)| name).collect();
        let expected = [
            "mini-0000-0000, fitted",
            "mini-0000-0000, held out",
            "mini-0000-1111, random",
            "mini-1111-0000, resnet",
        ];
        assert_eq!(names, expected);
    }
}
