//! `spaces.json`, tables of all points, and plots.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use spacewright_core::{
    latency::quantile,
    method::{StepContext, StepError, Task},
    train::TrainReport,
};

use super::{Outcome, Searched};
use crate::{
    fronts::{Comparison, Front},
    parts,
    plot::{self, Joined, Panel},
    steps::{measure::Measured, rivals::LeftOut},
};

/// Quantiles of all spaces' errors at which the share of better subnets is shown.
const LEVELS: [f64; 3] = [0.1, 0.25, 0.5];

/// Content of `spaces.json`. Accuracies, errors and shares are fractions.
#[derive(Debug, Serialize, Deserialize)]
struct Report {
    target: String,
    latency_source: String,
    seed: u64,
    budgets_ms: Vec<f64>,
    /// Errors at which the distributions are compared.
    levels: Vec<f64>,
    /// The found one first.
    spaces: Vec<SpaceRow>,
    /// The found space against each of the others.
    comparisons: Vec<AgainstOne>,
    left_out: Vec<LeftOut>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SpaceRow {
    name: String,
    space: String,
    blocks: Vec<String>,
    /// By phase, of the largest subnet.
    supernet: BTreeMap<String, TrainReport>,
    networks: Vec<NetworkRow>,
    infeasible_budgets_ms: Vec<f64>,
    /// Of all random subnets.
    errors: Distribution,
    /// Of those within the largest budget.
    errors_within_budget: Distribution,
}

/// The network that was chosen for a budget.
#[derive(Debug, Serialize, Deserialize)]
struct NetworkRow {
    budget_ms: f64,
    subnet: String,
    macs: u64,
    params: u64,
    predicted_ms: f64,
    int8_ms: f64,
    int8_spread_ms: f64,
    held_out_accuracy: f64,
    test_accuracy: f64,
}

/// INT8 errors on held-out images of random subnets.
#[derive(Debug, Serialize, Deserialize)]
struct Distribution {
    n: usize,
    /// `None` where there are none.
    smallest: Option<f64>,
    median: Option<f64>,
    /// Share of subnets with an error below each level.
    shares: Vec<f64>,
    /// Ascending.
    errors: Vec<f64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct AgainstOne {
    name: String,
    #[serde(flatten)]
    compared: Comparison,
}

impl Distribution {
    fn new(mut errors: Vec<f64>, levels: &[f64]) -> Self {
        errors.sort_by(f64::total_cmp);
        let n = errors.len();
        let below = |level: &f64| errors.partition_point(|error| error < level);
        Self {
            n,
            smallest: errors.first().copied(),
            median: (n > 0).then(|| quantile(&errors, 0.5)),
            shares: levels.iter().map(|level| below(level) as f64 / n.max(1) as f64).collect(),
            errors,
        }
    }

    /// Errors in percent with the share of subnets that have at most that.
    fn points(&self) -> Vec<(f64, f64)> {
        let share = |index: usize| (index + 1) as f64 / self.n as f64;
        self.errors.iter().enumerate().map(|(i, error)| (100.0 * error, share(i))).collect()
    }
}

pub fn run(
    context: &dyn StepContext,
    outcomes: &[Outcome<'_>],
    left_out: Vec<LeftOut>,
) -> Result<(), StepError> {
    let report = report(context, outcomes, left_out)?;
    let value = serde_json::to_value(&report)?;
    context.tasks(vec![Task::new("report", |_, _| Ok(value.clone()))], 1)?;
    publish(context, &report, outcomes)
}

fn errors(outcome: &Outcome<'_>, most_ms: f64) -> Vec<f64> {
    let subnets = outcome.accuracies.iter().zip(&outcome.latencies.sampled);
    subnets.filter(|(_, ms)| **ms <= most_ms).map(|(accuracy, _)| 1.0 - accuracy).collect()
}

fn report(
    context: &dyn StepContext,
    outcomes: &[Outcome<'_>],
    left_out: Vec<LeftOut>,
) -> Result<Report, StepError> {
    let study = context.parts();
    let measured: Measured = crate::steps::result(context, "measure/latency")?;
    let most_ms = measured.budgets_ms.iter().copied().fold(0.0, f64::max);
    let mut all: Vec<f64> = outcomes.iter().flat_map(|o| errors(o, f64::INFINITY)).collect();
    all.sort_by(f64::total_cmp);
    let levels = LEVELS.map(|level| quantile(&all, level));
    let mut spaces = Vec::new();
    for outcome in outcomes {
        let space = &outcome.contender.space;
        let block = |&index: &usize| study.hyperspace.candidates[index].block.clone();
        spaces.push(SpaceRow {
            name: outcome.contender.name.clone(),
            space: space.to_string(),
            blocks: space.blocks.iter().map(block).collect(),
            supernet: crate::steps::result(context, &outcome.contender.supernet)?,
            networks: networks(context, outcome)?,
            infeasible_budgets_ms: infeasible(&outcome.searched),
            errors: Distribution::new(errors(outcome, f64::INFINITY), &levels),
            errors_within_budget: Distribution::new(errors(outcome, most_ms), &levels),
        });
    }
    let front = |row: &SpaceRow| {
        Front::new(row.networks.iter().map(|n| (n.int8_ms, n.test_accuracy)).collect())
    };
    let own = front(&spaces[0]);
    let against = |row: &SpaceRow| AgainstOne {
        name: row.name.clone(),
        compared: Comparison::new(&own, &front(row)),
    };
    Ok(Report {
        target: study.target.description().name,
        latency_source: study.target.latency_source()?.fingerprint(),
        seed: study.seed,
        budgets_ms: measured.budgets_ms,
        levels: levels.into(),
        comparisons: spaces[1..].iter().map(against).collect(),
        spaces,
        left_out,
    })
}

fn networks(
    context: &dyn StepContext,
    outcome: &Outcome<'_>,
) -> Result<Vec<NetworkRow>, StepError> {
    let study = context.parts();
    let stages = outcome.contender.space.elastic_stages(&study.hyperspace);
    let mut rows = Vec::new();
    let figures = outcome.test_accuracies.iter().zip(&outcome.latencies.chosen);
    for (chosen, (&test_accuracy, &(int8_ms, int8_spread_ms))) in outcome.chosen().zip(figures) {
        let graph = parts::whole(study, &stages, &chosen.subnet)?;
        rows.push(NetworkRow {
            budget_ms: chosen.budget_ms,
            subnet: chosen.subnet.to_string(),
            macs: graph.macs()?,
            params: graph.params()?,
            predicted_ms: chosen.predicted_ms,
            int8_ms,
            int8_spread_ms,
            held_out_accuracy: chosen.held_out_accuracy,
            test_accuracy,
        });
    }
    Ok(rows)
}

fn infeasible(searched: &[Searched]) -> Vec<f64> {
    let budget = |searched: &Searched| match searched {
        Searched::Infeasible { budget_ms, .. } => Some(*budget_ms),
        Searched::Found(_) => None,
    };
    searched.iter().filter_map(budget).collect()
}

fn publish(
    context: &dyn StepContext,
    report: &Report,
    outcomes: &[Outcome<'_>],
) -> Result<(), StepError> {
    let text = serde_json::to_string_pretty(report)? + "\n";
    context.publish("spaces.json", text.as_bytes())?;
    let mut networks = "name,space,budget_ms,subnet,macs,params,predicted_ms,int8_ms,\
                        int8_spread_ms,held_out_accuracy,test_accuracy\n"
        .to_owned();
    for SpaceRow { name, space, networks: rows, .. } in &report.spaces {
        for n in rows {
            networks += &format!(
                "{name},{space},{},{},{},{},{},{},{},{},{}\n",
                n.budget_ms,
                n.subnet,
                n.macs,
                n.params,
                n.predicted_ms,
                n.int8_ms,
                n.int8_spread_ms,
                n.held_out_accuracy,
                n.test_accuracy
            );
        }
    }
    context.publish("spaces.csv", networks.as_bytes())?;
    let mut subnets = "name,space,subnet,predicted_ms,error\n".to_owned();
    for Outcome { contender, sampled, accuracies, latencies, .. } in outcomes {
        for ((subnet, accuracy), ms) in sampled.iter().zip(accuracies).zip(&latencies.sampled) {
            let (name, space, error) = (&contender.name, &contender.space, 1.0 - accuracy);
            subnets += &format!("{name},{space},{subnet},{ms},{error}\n");
        }
    }
    context.publish("spaces-subnets.csv", subnets.as_bytes())?;
    plots(context, report)
}

fn plots(context: &dyn StepContext, report: &Report) -> Result<(), StepError> {
    let names: Vec<String> =
        report.spaces.iter().map(|row| format!("{} ({})", row.name, row.space)).collect();
    let networks = |row: &SpaceRow| {
        row.networks.iter().map(|n| (n.int8_ms, 100.0 * n.test_accuracy)).collect()
    };
    let panel = Panel {
        x: "measured INT8 latency in ms",
        y: "INT8 accuracy on test images in %",
        series: report.spaces.iter().map(networks).collect(),
        joined: Joined::Lines,
    };
    let title = format!("Networks of {} spaces on {}", report.spaces.len(), report.target);
    let svg = plot::svg(&title, &names, &[panel])?;
    context.publish("spaces.svg", svg.as_bytes())?;
    let panel = |x: &'static str, of: fn(&SpaceRow) -> &Distribution| Panel {
        x,
        y: "share of subnets",
        series: report.spaces.iter().map(|row| of(row).points()).collect(),
        joined: Joined::Steps,
    };
    let panels = [
        panel("INT8 error in %, all random subnets", |row| &row.errors),
        panel("INT8 error in %, those within the largest budget", |row| &row.errors_within_budget),
    ];
    let svg = plot::svg("Errors of random subnets", &names, &panels)?;
    context.publish("spaces-errors.svg", svg.as_bytes()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_count_the_subnets_below_a_level() {
        let distribution = Distribution::new(vec![0.3, 0.1, 0.2, 0.4], &[0.1, 0.25, 1.0]);
        assert_eq!(distribution.shares, [0.0, 0.5, 1.0]);
        assert_eq!((distribution.smallest, distribution.median), (Some(0.1), Some(0.25)));
        assert_eq!(distribution.points()[3], (40.0, 1.0));
        let nothing = Distribution::new(Vec::new(), &[0.1]);
        assert_eq!((nothing.n, nothing.median, nothing.shares), (0, None, vec![0.0]));
    }
}
