//! How well sums of losses rank subnets.

use std::collections::HashSet;

use spacewright_core::{
    rank::{PartOfTau, kendall_tau, kendall_tau_by_group, spearman},
    space::Subnet,
};

use super::{
    Agreement, AgreementParts, JudgedSubnet, PairPart, PairParts, ProxyReport, SampledSubnets,
    SpaceAgreement, SubnetPart,
};
use crate::{
    loss_factors::{self, NetworkLosses, corrected},
    report::Interval,
};

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
            SpaceAgreement::new(space.to_owned(), &subnets, wanted)
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
                spaces: all.iter().map(|subnet| &subnet.name).collect::<HashSet<_>>().len(),
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

impl SpaceAgreement {
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
        NetworkLosses {
            blocks: vec![0; losses.len()],
            losses: losses.iter().enumerate().map(of_stage).collect(),
            accuracy: *accuracy,
        }
    };
    let subnets = found.losses.iter().zip(&found.accuracies).take(fitted);
    let subnets: Vec<NetworkLosses> = subnets.map(subnet).collect();
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
