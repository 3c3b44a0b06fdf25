//! The found space against others: `spaces.json`, tables of all points, and plots.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spacewright_core::{
    latency::quantile,
    study::{StepContext, StepError},
};

use super::{
    blocks_of,
    fronts::{Comparison, Front},
    paired::{Certainty, TestedNetwork},
    table::csv_text,
};
use crate::{
    error::SpaceEvoError,
    network_parts::whole_network,
    plot::{self, Joined, Panel},
    steps::{
        rivals::{Contender, LeftOut},
        search::BudgetOutcome,
        spaces::{SpaceOutcome, TrainedOutcome},
        train::PhaseReports,
    },
};

/// Quantiles of all spaces' errors at which the share of better subnets is shown.
const LEVELS: [f64; 3] = [0.1, 0.25, 0.5];

/// The space that was found against others: `spaces.json` in the folder of the run, which `spacewright bench spaces`
/// writes. Accuracies, errors and shares are from 0 to 1, latencies are milliseconds for one image, in INT8.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpacesReport {
    /// Name of the target.
    pub target: String,
    /// Hardware, runtime and settings for which the latencies hold.
    pub latency_source: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Latency limits in milliseconds.
    pub budgets_ms: Vec<f64>,
    /// Errors at which the distributions of errors are compared: 10 %, 25 % and 50 % of the subnets of all spaces have
    /// smaller ones.
    pub levels: Vec<f64>,
    /// The spaces, the one that was found first.
    pub spaces: Vec<ComparedSpace>,
    /// The found space against each of the others.
    pub comparisons: Vec<AgainstSpace>,
    /// Manual spaces that are not compared, and why.
    pub left_out: Vec<LeftOut>,
}

/// One of the spaces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComparedSpace {
    /// `found`, `random`, or what the study calls a manual space.
    pub name: String,
    /// Its encoding.
    pub space: String,
    /// Block type of each stage.
    pub blocks: Vec<String>,
    /// What the largest subnet of its supernet achieves after each phase of training, `fp32` and `int8`.
    pub supernet: PhaseReports,
    /// The networks that were chosen, one for each budget that the space can keep to.
    pub networks: Vec<ComparedNetwork>,
    /// Budgets in milliseconds that none of its subnets keeps to.
    pub infeasible_budgets_ms: Vec<f64>,
    /// What came of training its supernet again, with other seeds.
    #[serde(default)]
    pub repeats: Vec<ComparedRepeat>,
    /// INT8 errors on held-out images of all random subnets.
    pub errors: ErrorDistribution,
    /// The same of those within the largest budget.
    pub errors_within_budget: ErrorDistribution,
}

/// What came of another training of a space's supernet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComparedRepeat {
    /// Which further training, from 1; the first one, with the study's seed, is 0.
    pub training: usize,
    /// What the largest subnet of the supernet achieves after each phase of training, `fp32` and `int8`.
    pub supernet: PhaseReports,
    /// The networks that were chosen, one for each budget that the space can keep to.
    pub networks: Vec<ComparedNetwork>,
}

/// The network that was chosen for a budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComparedNetwork {
    /// The budget in milliseconds.
    pub budget_ms: f64,
    /// Its encoding.
    pub subnet: String,
    /// Multiply-adds for one image.
    pub macs: u64,
    /// Trained scalars.
    pub params: u64,
    /// Latency in milliseconds, as the sum of its parts.
    pub predicted_ms: f64,
    /// Measured latency of the whole network, in milliseconds.
    pub int8_ms: f64,
    /// Half of the measured runs take at most this much longer, in milliseconds.
    pub int8_spread_ms: f64,
    /// Share of held-out images that it classifies correctly in INT8.
    pub held_out_accuracy: f64,
    /// Share of test images that it classifies correctly in INT8.
    pub test_accuracy: f64,
}

/// INT8 errors on held-out images of random subnets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorDistribution {
    /// How many subnets.
    pub n: usize,
    /// The smallest error; none where there are no subnets.
    pub smallest: Option<f64>,
    /// The median; none where there are no subnets.
    pub median: Option<f64>,
    /// Share of subnets with an error below each of `levels`.
    pub shares: Vec<f64>,
    /// The error of each subnet, ascending.
    pub errors: Vec<f64>,
}

/// The found space against another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgainstSpace {
    /// Name of the other one, as in `spaces`.
    pub name: String,
    /// The found space against it, each with the study's seed.
    #[serde(flatten)]
    pub compared: Comparison,
    /// How sure that is, over the test images and all trainings; none of reports of before this was told.
    #[serde(default)]
    pub certainty: Option<Certainty>,
}

impl ErrorDistribution {
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

fn errors(outcome: &SpaceOutcome<'_>, most_ms: f64) -> Vec<f64> {
    let subnets = outcome.accuracies.iter().zip(&outcome.sampled_ms);
    subnets.filter(|(_, ms)| **ms <= most_ms).map(|(accuracy, _)| 1.0 - accuracy).collect()
}

impl SpacesReport {
    /// Of all spaces, the found one first.
    pub(crate) fn new(
        context: &dyn StepContext,
        budgets_ms: Vec<f64>,
        outcomes: &[SpaceOutcome<'_>],
        left_out: Vec<LeftOut>,
    ) -> Result<Self, StepError> {
        let study = context.study();
        let most_ms = budgets_ms.iter().copied().fold(0.0, f64::max);
        let mut all: Vec<f64> = outcomes.iter().flat_map(|o| errors(o, f64::INFINITY)).collect();
        all.sort_by(f64::total_cmp);
        let levels = LEVELS.map(|level| quantile(&all, level));
        let mut spaces = Vec::new();
        for outcome in outcomes {
            let TrainedOutcome { contender, searched, .. } = &outcome.first;
            let repeat = |trained: &TrainedOutcome<'_>| {
                Ok(ComparedRepeat {
                    training: trained.contender.training,
                    supernet: context.get(&trained.contender.supernet)?,
                    networks: networks(context, trained)?,
                })
            };
            spaces.push(ComparedSpace {
                name: contender.name.clone(),
                space: contender.space.to_string(),
                blocks: blocks_of(&contender.space, &study.hyperspace),
                supernet: context.get(&contender.supernet)?,
                networks: networks(context, &outcome.first)?,
                infeasible_budgets_ms: infeasible(searched),
                repeats: outcome.repeats.iter().map(repeat).collect::<Result<_, StepError>>()?,
                errors: ErrorDistribution::new(errors(outcome, f64::INFINITY), &levels),
                errors_within_budget: ErrorDistribution::new(errors(outcome, most_ms), &levels),
            });
        }
        let front = |space: &ComparedSpace| {
            Front::new(space.networks.iter().map(|n| (n.int8_ms, n.test_accuracy)).collect())
        };
        let (own, own_tested) = (front(&spaces[0]), tested(&outcomes[0]));
        let against = |(space, outcome): (&ComparedSpace, &SpaceOutcome<'_>)| AgainstSpace {
            name: space.name.clone(),
            compared: Comparison::new(&own, &front(space)),
            certainty: Some(Certainty::new(&own_tested, &tested(outcome), study.seed)),
        };
        Ok(Self {
            target: study.target.description().name,
            latency_source: study.target.latency_source()?.fingerprint(),
            seed: study.seed,
            budgets_ms,
            levels: levels.into(),
            comparisons: spaces[1..].iter().zip(&outcomes[1..]).map(against).collect(),
            spaces,
            left_out,
        })
    }
}

/// The networks of each training on the test images.
fn tested(outcome: &SpaceOutcome<'_>) -> Vec<Vec<TestedNetwork>> {
    let of_training = |trained: &TrainedOutcome<'_>| {
        let judged = trained.chosen().zip(&trained.tested).zip(&trained.latencies);
        let tested = judged.map(|((chosen, tested), (ms, spread_ms))| TestedNetwork {
            budget_ms: chosen.budget_ms,
            ms: *ms,
            spread_ms: *spread_ms,
            right: tested.right(),
        });
        tested.collect()
    };
    std::iter::once(&outcome.first).chain(&outcome.repeats).map(of_training).collect()
}

fn networks(
    context: &dyn StepContext,
    trained: &TrainedOutcome<'_>,
) -> Result<Vec<ComparedNetwork>, StepError> {
    let study = context.study();
    let stages = trained.contender.space.elastic_stages(&study.hyperspace);
    let mut rows = Vec::new();
    let figures = trained.tested.iter().zip(&trained.latencies);
    for (chosen, (tested, &(int8_ms, int8_spread_ms))) in trained.chosen().zip(figures) {
        let graph = whole_network(study, &stages, &chosen.subnet)?;
        rows.push(ComparedNetwork {
            budget_ms: chosen.budget_ms,
            subnet: chosen.subnet.to_string(),
            macs: graph.macs()?,
            params: graph.params()?,
            predicted_ms: chosen.predicted_ms,
            int8_ms,
            int8_spread_ms,
            held_out_accuracy: chosen.held_out_accuracy,
            test_accuracy: tested.accuracy,
        });
    }
    Ok(rows)
}

fn infeasible(searched: &[BudgetOutcome]) -> Vec<f64> {
    let budget = |outcome: &BudgetOutcome| match outcome {
        BudgetOutcome::Infeasible { budget_ms, .. } => Some(*budget_ms),
        BudgetOutcome::Found(_) => None,
    };
    searched.iter().filter_map(budget).collect()
}

/// Writes `spaces.json`, the tables of all points, and the plots.
pub(crate) fn publish(
    context: &dyn StepContext,
    report: &SpacesReport,
    outcomes: &[SpaceOutcome<'_>],
) -> Result<(), StepError> {
    let text = serde_json::to_string_pretty(report)? + "\n";
    context.publish("spaces.json", text.as_bytes())?;
    context.publish("spaces.csv", networks_table(report).map_err(StepError::method)?.as_bytes())?;
    let subnets = subnets_table(outcomes).map_err(StepError::method)?;
    context.publish("spaces-subnets.csv", subnets.as_bytes())?;
    plots(context, report)
}

/// A line for each network that was chosen.
fn networks_table(report: &SpacesReport) -> Result<String, csv::Error> {
    let heading = [
        "name",
        "space",
        "training",
        "budget_ms",
        "subnet",
        "macs",
        "params",
        "predicted_ms",
        "int8_ms",
        "int8_spread_ms",
        "held_out_accuracy",
        "test_accuracy",
    ];
    let mut rows = Vec::new();
    for ComparedSpace { name, space, networks, repeats, .. } in &report.spaces {
        let repeats = repeats.iter().map(|repeat| (repeat.training, &repeat.networks));
        for (training, networks) in std::iter::once((0, networks)).chain(repeats) {
            rows.extend(networks.iter().map(|network| {
                vec![
                    name.clone(),
                    space.clone(),
                    training.to_string(),
                    network.budget_ms.to_string(),
                    network.subnet.clone(),
                    network.macs.to_string(),
                    network.params.to_string(),
                    network.predicted_ms.to_string(),
                    network.int8_ms.to_string(),
                    network.int8_spread_ms.to_string(),
                    network.held_out_accuracy.to_string(),
                    network.test_accuracy.to_string(),
                ]
            }));
        }
    }
    csv_text(&heading, rows)
}

/// A line for each random subnet.
fn subnets_table(outcomes: &[SpaceOutcome<'_>]) -> Result<String, csv::Error> {
    let rows = outcomes.iter().flat_map(|outcome| {
        let SpaceOutcome { first, sampled, accuracies, sampled_ms, .. } = outcome;
        let Contender { name, space, .. } = first.contender;
        let judged = sampled.iter().zip(accuracies).zip(sampled_ms);
        judged.map(move |((subnet, accuracy), ms)| {
            let error = 1.0 - accuracy;
            vec![
                name.clone(),
                space.to_string(),
                subnet.to_string(),
                ms.to_string(),
                error.to_string(),
            ]
        })
    });
    csv_text(&["name", "space", "subnet", "predicted_ms", "error"], rows)
}

fn plots(context: &dyn StepContext, report: &SpacesReport) -> Result<(), StepError> {
    let names: Vec<String> =
        report.spaces.iter().map(|row| format!("{} ({})", row.name, row.space)).collect();
    let networks = |row: &ComparedSpace| {
        row.networks.iter().map(|n| (n.int8_ms, 100.0 * n.test_accuracy)).collect()
    };
    let panel = Panel {
        x: "measured INT8 latency in ms",
        y: "INT8 accuracy on test images in %",
        series: report.spaces.iter().map(networks).collect(),
        joined: Joined::Lines,
    };
    let title = format!("Networks of {} spaces on {}", report.spaces.len(), report.target);
    let svg = plot::svg(&title, &names, &[panel]).map_err(SpaceEvoError::from)?;
    context.publish("spaces.svg", svg.as_bytes())?;
    let panel = |x: &'static str, of: fn(&ComparedSpace) -> &ErrorDistribution| Panel {
        x,
        y: "share of subnets",
        series: report.spaces.iter().map(|row| of(row).points()).collect(),
        joined: Joined::Steps,
    };
    let panels = [
        panel("INT8 error in %, all random subnets", |row| &row.errors),
        panel("INT8 error in %, those within the largest budget", |row| &row.errors_within_budget),
    ];
    let svg =
        plot::svg("Errors of random subnets", &names, &panels).map_err(SpaceEvoError::from)?;
    context.publish("spaces-errors.svg", svg.as_bytes()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_count_the_subnets_below_a_level() {
        let distribution = ErrorDistribution::new(vec![0.3, 0.1, 0.2, 0.4], &[0.1, 0.25, 1.0]);
        assert_eq!(distribution.shares, [0.0, 0.5, 1.0]);
        assert_eq!((distribution.smallest, distribution.median), (Some(0.1), Some(0.25)));
        assert_eq!(distribution.points()[3], (40.0, 1.0));
        let nothing = ErrorDistribution::new(Vec::new(), &[0.1]);
        assert_eq!((nothing.n, nothing.median, nothing.shares), (0, None, vec![0.0]));
    }

    #[test]
    fn every_chosen_network_is_a_line_of_the_table() {
        let network = |budget_ms: f64, accuracy: f64| {
            serde_json::json!({
                "budget_ms": budget_ms, "subnet": "d1_k3", "macs": 1000, "params": 20,
                "predicted_ms": 1.25, "int8_ms": 1.0, "int8_spread_ms": 0.0001,
                "held_out_accuracy": 0.5, "test_accuracy": accuracy,
            })
        };
        let errors = ErrorDistribution::new(Vec::new(), &[]);
        let report = serde_json::json!({
            "target": "npu", "latency_source": "a machine", "seed": 0, "budgets_ms": [2.0],
            "levels": [], "comparisons": [], "left_out": [],
            "spaces": [{
                "name": "found", "space": "mini-0000-0000", "blocks": [], "supernet": {},
                "networks": [network(2.0, 0.75)], "infeasible_budgets_ms": [],
                "repeats": [{ "training": 1, "supernet": {}, "networks": [network(2.5, 0.8)] }],
                "errors": errors, "errors_within_budget": errors,
            }],
        });
        let table = networks_table(&serde_json::from_value(report).unwrap()).unwrap();
        assert_eq!(
            table.lines().collect::<Vec<_>>(),
            [
                "name,space,training,budget_ms,subnet,macs,params,predicted_ms,int8_ms,\
                 int8_spread_ms,held_out_accuracy,test_accuracy",
                "found,mini-0000-0000,0,2,d1_k3,1000,20,1.25,1,0.0001,0.5,0.75",
                "found,mini-0000-0000,1,2.5,d1_k3,1000,20,1.25,1,0.0001,0.5,0.8",
            ]
        );
    }
}
