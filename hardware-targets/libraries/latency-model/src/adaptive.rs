//! What to measure next, until predictions are good enough.

use std::error::Error;

use rand::{Rng, seq::SliceRandom};
use spacewright_core::{
    graph::Graph,
    kernel::{FusionError, FusionRules, Kernel, KernelReader},
    latency::{Accuracy, Latency, LatencyQuery, Position, Precision},
    random::generator,
};
use thiserror::Error;

use crate::{
    fit::{FitError, HeldOutPredictions, Settings, Split, fit, held_out},
    kernel_sums::KernelSums,
    predict::Evaluator,
};

/// Graphs that are measured together: the fewer, the less a time budget is exceeded.
const TOGETHER: usize = 8;
/// Graphs that are measured between two fits: the fewer, the better each is chosen, and the more
/// time goes into fits.
const BATCH: usize = 32;
/// Fits whose disagreement shows what is not known (query by committee; Seung, Opper and
/// Sompolinsky, COLT 1992), each without some of the rows.
const COMMITTEE: usize = 4;
/// Trees of such a fit. Fewer than a model has: disagreement shows early, and four fits take time.
const COMMITTEE_TREES: usize = 60;
/// Rounds in a row that must reach the goal, as a single one may reach it by chance.
const REACHED: usize = 2;

/// A graph that may be measured.
#[derive(Debug, Clone, PartialEq)]
pub struct CandidateGraph {
    /// Without quantizers.
    pub graph: Graph,
    /// Where it stands in its network.
    pub position: Position,
}

/// When predictions are good enough, and what must not be exceeded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goal {
    /// Share of validation graphs that must be predicted within 10 %, at each precision.
    pub within_10: f64,
    /// Graphs that are measured at most, validation included.
    pub most: usize,
}

/// Why a [`Campaign`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CampaignEnd {
    /// The goal was reached.
    Reached,
    /// As many graphs were measured as were allowed.
    Most,
    /// The time budget is used up.
    Spent,
    /// All candidates were measured.
    Exhausted,
}

/// All measurements of a [`Campaign`] at one precision.
#[derive(Debug, Clone)]
pub struct PrecisionMeasurements {
    /// Arithmetic of the measured networks.
    pub precision: Precision,
    /// One row for each measured graph, those of validation graphs first.
    pub rows: KernelSums,
    /// How many of the first rows are of validation graphs, which no fit has seen.
    pub validation: usize,
}

impl PrecisionMeasurements {
    /// Predicts the validation rows by a fit to the others. `how` says in words how rows were held
    /// out.
    pub fn validate(&self, how: &str, settings: &Settings) -> Result<HeldOutPredictions, FitError> {
        let held = (0..self.rows.len()).map(|row| row < self.validation).collect();
        held_out(&self.rows, settings, &Split { how: how.to_owned(), folds: vec![held] })
    }
}

/// How far a [`Campaign`] has come after one of its rounds.
#[derive(Debug, Clone, PartialEq)]
pub struct CampaignRound {
    /// Graphs measured so far.
    pub measured: usize,
    /// Errors of predictions on validation graphs, at each precision.
    pub accuracy: Vec<(Precision, Accuracy)>,
}

/// Why a [`Campaign`] gave no measurements that a model can be fitted to.
#[derive(Debug, Error)]
pub enum AdaptiveError<E: Error + 'static> {
    /// A measurement failed.
    #[error(transparent)]
    Measure(E),
    /// A graph has no kernels.
    #[error(transparent)]
    Fusion(#[from] FusionError),
    /// Nothing can be fitted to what was measured.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// No time was left before the first fit.
    #[error(
        "{measured} graphs were measured before the time was spent, too few for a fit; \
         hint: give more time"
    )]
    TooFew {
        /// How many.
        measured: usize,
    },
}

/// Measures graphs until a model that is fitted to them predicts well enough, choosing the graphs
/// from which most can be learnt.
pub struct Campaign<'a> {
    /// How the runtime's kernels are found in a graph.
    pub rules: &'a FusionRules,
    /// Every graph is measured at each of these.
    pub precisions: &'a [Precision],
    /// Settings of the fits.
    pub settings: &'a Settings,
    /// When to stop.
    pub goal: Goal,
    /// Seed of everything random.
    pub seed: u64,
}

impl Campaign<'_> {
    /// Measures `validation`, then candidates of `pool` in rounds: at first at random, then those
    /// about which fits disagree most. `measure` answers in the order of its questions, or `None`
    /// where there is no time left.
    pub fn run<E: Error + 'static>(
        &self,
        validation: &[CandidateGraph],
        pool: &[CandidateGraph],
        mut measure: impl FnMut(&[LatencyQuery]) -> Result<Option<Vec<Latency>>, E>,
        mut observe: impl FnMut(&CampaignRound),
    ) -> Result<(Vec<PrecisionMeasurements>, CampaignEnd), AdaptiveError<E>> {
        let mut reader = KernelReader::new(self.rules);
        let kernels =
            |reader: &mut KernelReader, of: &CandidateGraph| reader.kernels(&of.graph, of.position);
        let of_pool: Vec<Vec<Kernel>> =
            pool.iter().map(|of| kernels(&mut reader, of)).collect::<Result<_, _>>()?;
        let of_validation: Vec<Vec<Kernel>> =
            validation.iter().map(|of| kernels(&mut reader, of)).collect::<Result<_, _>>()?;
        let measured = |precision: &Precision| PrecisionMeasurements {
            precision: *precision,
            rows: KernelSums::default(),
            validation: validation.len(),
        };
        let mut all: Vec<PrecisionMeasurements> = self.precisions.iter().map(measured).collect();
        let mut ask = |all: &mut Vec<PrecisionMeasurements>,
                       of: &[&CandidateGraph],
                       kernels: &[&[Kernel]]| {
            let queries: Vec<LatencyQuery> = of
                .iter()
                .flat_map(|of| self.precisions.iter().map(|precision| of.query(*precision)))
                .collect();
            let Some(latencies) = measure(&queries).map_err(AdaptiveError::Measure)? else {
                return Ok(false);
            };
            for (latencies, kernels) in latencies.chunks(self.precisions.len()).zip(kernels) {
                for (measured, latency) in all.iter_mut().zip(latencies) {
                    measured.rows.push(kernels, latency.ms, 1.0);
                }
            }
            Ok::<bool, AdaptiveError<E>>(true)
        };
        let mut order: Vec<usize> = (0..pool.len()).collect();
        order.shuffle(&mut generator(self.seed, &["adaptive", "order"]));
        let validation: Vec<&CandidateGraph> = validation.iter().collect();
        let of_validation: Vec<&[Kernel]> = of_validation.iter().map(Vec::as_slice).collect();
        for (of, kernels) in validation.chunks(TOGETHER).zip(of_validation.chunks(TOGETHER)) {
            if !ask(&mut all, of, kernels)? {
                return Err(AdaptiveError::TooFew { measured: all[0].rows.len() });
            }
        }
        let (mut reached, mut done) = (0, validation.len());
        let ended = loop {
            let left = self.goal.most.saturating_sub(done).min(BATCH);
            if left == 0 {
                break CampaignEnd::Most;
            }
            if order.is_empty() {
                break CampaignEnd::Exhausted;
            }
            let next = order.split_off(order.len().saturating_sub(left));
            let mut spent = false;
            for chunk in next.chunks(TOGETHER) {
                let of: Vec<&CandidateGraph> = chunk.iter().map(|at| &pool[*at]).collect();
                let kernels: Vec<&[Kernel]> =
                    chunk.iter().map(|at| of_pool[*at].as_slice()).collect();
                spent = !ask(&mut all, &of, &kernels)?;
                if spent {
                    break;
                }
                done += chunk.len();
            }
            if done < validation.len() + BATCH && spent {
                return Err(AdaptiveError::TooFew { measured: done });
            }
            let accuracy = self.accuracy(&all)?;
            let good = accuracy.iter().all(|(_, of)| of.within_10 >= self.goal.within_10);
            reached = if good { reached + 1 } else { 0 };
            observe(&CampaignRound { measured: done, accuracy });
            if spent {
                break CampaignEnd::Spent;
            }
            if reached == REACHED {
                break CampaignEnd::Reached;
            }
            self.most_disputed_last(&all, &of_pool, &mut order)?;
        };
        Ok((all, ended))
    }

    fn accuracy(
        &self,
        all: &[PrecisionMeasurements],
    ) -> Result<Vec<(Precision, Accuracy)>, FitError> {
        let validated = |measured: &PrecisionMeasurements| {
            Ok((measured.precision, measured.validate("", self.settings)?.accuracy()))
        };
        all.iter().map(validated).collect()
    }

    /// Moves the candidates about which fits to the rows without validation disagree most to the
    /// end of `order`.
    fn most_disputed_last(
        &self,
        all: &[PrecisionMeasurements],
        kernels: &[Vec<Kernel>],
        order: &mut [usize],
    ) -> Result<(), FitError> {
        let settings =
            Settings { trees: self.settings.trees.min(COMMITTEE_TREES), ..*self.settings };
        let mut rng = generator(self.seed, &["adaptive", &order.len().to_string()]);
        let mut disputes = vec![0.0; kernels.len()];
        for measured in all {
            let rows = measured.rows.len();
            let member: Vec<usize> = (0..rows).map(|_| rng.random_range(0..COMMITTEE)).collect();
            let mut committee = Vec::with_capacity(COMMITTEE);
            for of in 0..COMMITTEE {
                let seen =
                    measured.rows.subset(|row| row >= measured.validation && member[row] != of);
                committee.push(Evaluator::new(&fit(&seen, &settings)?));
            }
            for &candidate in order.iter() {
                let kernels = &kernels[candidate];
                let mut ms = vec![0.0; kernels.len()];
                let says = committee.iter().map(|fit| {
                    fit.evaluate(kernels, &mut ms);
                    ms.iter().sum::<f64>().ln()
                });
                let says: Vec<f64> = says.collect();
                let mean = says.iter().sum::<f64>() / COMMITTEE as f64;
                disputes[candidate] += says.iter().map(|ln| (ln - mean).powi(2)).sum::<f64>();
            }
        }
        order.sort_by(|a, b| disputes[*a].total_cmp(&disputes[*b]));
        // Neighbours in dispute are often alike: the next batch is a random half of the worst two.
        let worst = order.len().saturating_sub(2 * BATCH);
        order[worst..].shuffle(&mut rng);
        Ok(())
    }
}

impl CandidateGraph {
    /// The question for it.
    pub fn query(&self, precision: Precision) -> LatencyQuery {
        let Self { graph, position } = self.clone();
        LatencyQuery { graph, precision, position }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use spacewright_core::graph::{ActivationKind, ConvSpec, GraphBuilder, Shape};

    use super::*;

    fn candidates(count: usize) -> Vec<CandidateGraph> {
        let mut rng = generator(1, &["candidates"]);
        let candidate = |_| {
            let mut b = GraphBuilder::new(Shape::square(8 * rng.random_range(1..9usize), 14));
            let mut x = b.input();
            for at in 0..rng.random_range(2..6usize) {
                let width = 8 * rng.random_range(1..17usize);
                let spec = ConvSpec::new(width, 1);
                x = b.conv_bn_act(&format!("c{at}"), x, spec, ActivationKind::HSwish);
            }
            CandidateGraph { graph: b.finish(x), position: Position::Inside }
        };
        (0..count).map(candidate).collect()
    }

    /// Time by multiply-adds; twice as long in floating point.
    fn truth(query: &LatencyQuery) -> Latency {
        let ms = 0.01 + query.graph.macs().unwrap() as f64 / 1e6;
        Latency::predicted(if query.precision == Precision::Fp32 { 2.0 * ms } else { ms })
    }

    fn campaign<'a>(rules: &'a FusionRules, settings: &'a Settings, goal: Goal) -> Campaign<'a> {
        Campaign { rules, precisions: &Precision::ALL, settings, goal, seed: 3 }
    }

    #[test]
    fn measuring_ends_when_the_goal_is_reached() {
        let (rules, all) = (FusionRules::common(), candidates(400));
        let settings = Settings { trees: 60, ..Settings::default() };
        let goal = Goal { within_10: 0.9, most: 300 };
        let mut asked = 0;
        let measure = |queries: &[LatencyQuery]| {
            asked += queries.len();
            Ok::<_, Infallible>(Some(queries.iter().map(truth).collect()))
        };
        let mut rounds = Vec::new();
        let observe = |round: &CampaignRound| rounds.push(round.clone());
        let (measured, ended) = campaign(&rules, &settings, goal)
            .run(&all[..40], &all[40..], measure, observe)
            .unwrap();
        assert_eq!(ended, CampaignEnd::Reached);
        assert_eq!(asked, 2 * rounds.last().unwrap().measured);
        for of in &measured {
            assert_eq!((of.validation, of.rows.len()), (40, asked / 2));
            let accuracy = of.validate("held out", &settings).unwrap().accuracy();
            assert!(accuracy.rows == 40 && accuracy.within_10 >= 0.9, "{accuracy:?}");
        }
    }

    #[test]
    fn no_graph_is_measured_twice_and_no_limit_is_exceeded() {
        let (rules, all) = (FusionRules::common(), candidates(120));
        let settings = Settings { trees: 5, ..Settings::default() };
        for (most, ends) in [(90, CampaignEnd::Most), (1000, CampaignEnd::Exhausted)] {
            let goal = Goal { within_10: 1.1, most };
            let mut seen = Vec::new();
            let measure = |queries: &[LatencyQuery]| {
                seen.extend(queries.iter().map(|q| (q.graph.hash(), q.precision)));
                Ok::<_, Infallible>(Some(queries.iter().map(truth).collect()))
            };
            let campaign = campaign(&rules, &settings, goal);
            let (_, ended) = campaign.run(&all[..20], &all[20..], measure, |_| ()).unwrap();
            assert_eq!(ended, ends);
            assert_eq!(seen.len(), 2 * most.min(all.len()));
            let mut different = seen.clone();
            different.sort();
            different.dedup();
            assert_eq!(different.len(), seen.len());
        }
    }

    #[test]
    fn a_spent_budget_keeps_what_was_measured() {
        let (rules, all) = (FusionRules::common(), candidates(200));
        let settings = Settings { trees: 5, ..Settings::default() };
        let goal = Goal { within_10: 1.1, most: 1000 };
        for (calls, enough) in [(4, false), (12, true)] {
            let mut left = calls;
            let measure = |queries: &[LatencyQuery]| {
                left -= 1;
                Ok::<_, Infallible>(
                    (left >= 0).then(|| queries.iter().map(truth).collect::<Vec<_>>()),
                )
            };
            let campaign = campaign(&rules, &settings, goal);
            match campaign.run(&all[..16], &all[16..], measure, |_| ()) {
                Ok((measured, ended)) => {
                    assert!(enough && ended == CampaignEnd::Spent);
                    assert_eq!(measured[0].rows.len(), calls as usize * TOGETHER);
                }
                Err(error) => {
                    assert!(!enough && error.to_string().starts_with("32 graphs"), "{error}");
                }
            }
        }
    }
}
