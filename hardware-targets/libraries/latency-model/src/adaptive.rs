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
    fit::{FitError, Predicted, Settings, Split, fit, held_out},
    predict::Evaluator,
    rows::Rows,
};

/// Graphs that are measured together.
const TOGETHER: usize = 8;
/// Graphs between two fits.
const BATCH: usize = 32;
/// Fits whose disagreement shows what is not known (query by committee; Seung, Opper and
/// Sompolinsky, COLT 1992), each without some of the rows.
const COMMITTEE: usize = 4;
/// Trees of such a fit.
const COMMITTEE_TREES: usize = 60;
/// Rounds in a row that must reach the goal, as one may be lucky.
const REACHED: usize = 2;

/// A graph that may be measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
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

/// Why measuring ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The goal was reached.
    Reached,
    /// As many graphs were measured as were allowed.
    Most,
    /// Who measures had no time left.
    Spent,
    /// All candidates were measured.
    Exhausted,
}

/// What was measured, at one precision.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Arithmetic.
    pub precision: Precision,
    /// Validation graphs first.
    pub rows: Rows,
    /// How many rows are of validation graphs, which no fit has seen.
    pub validation: usize,
}

impl Measured {
    /// The validation rows, predicted by a fit to the others.
    pub fn validate(&self, how: &str, settings: &Settings) -> Result<Predicted, FitError> {
        let held = (0..self.rows.len()).map(|row| row < self.validation).collect();
        held_out(&self.rows, settings, &Split { how: how.to_owned(), folds: vec![held] })
    }
}

/// How far measuring is.
#[derive(Debug, Clone, PartialEq)]
pub struct Round {
    /// Graphs measured so far.
    pub measured: usize,
    /// Errors on validation graphs.
    pub accuracy: Vec<(Precision, Accuracy)>,
}

/// Why measuring came to nothing.
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

/// What an adaptive campaign works with.
pub struct Campaign<'a> {
    /// How kernels are found.
    pub rules: &'a FusionRules,
    /// At which precisions every graph is measured.
    pub precisions: &'a [Precision],
    /// Of the fits.
    pub settings: &'a Settings,
    /// When to stop.
    pub goal: Goal,
    /// Of everything random.
    pub seed: u64,
}

impl Campaign<'_> {
    /// Measures `validation`, then candidates of `pool` in rounds: at first at random, then those
    /// about which fits disagree most. `measure` answers in the order of its questions, or `None`
    /// where there is no time left.
    pub fn run<E: Error + 'static>(
        &self,
        validation: &[Candidate],
        pool: &[Candidate],
        mut measure: impl FnMut(&[LatencyQuery]) -> Result<Option<Vec<Latency>>, E>,
        mut observe: impl FnMut(&Round),
    ) -> Result<(Vec<Measured>, Ended), AdaptiveError<E>> {
        let mut reader = KernelReader::new(self.rules);
        let kernels =
            |reader: &mut KernelReader, of: &Candidate| reader.kernels(&of.graph, of.position);
        let of_pool: Vec<Vec<Kernel>> =
            pool.iter().map(|of| kernels(&mut reader, of)).collect::<Result<_, _>>()?;
        let of_validation: Vec<Vec<Kernel>> =
            validation.iter().map(|of| kernels(&mut reader, of)).collect::<Result<_, _>>()?;
        let measured = |precision: &Precision| Measured {
            precision: *precision,
            rows: Rows::default(),
            validation: validation.len(),
        };
        let mut all: Vec<Measured> = self.precisions.iter().map(measured).collect();
        let mut ask = |all: &mut Vec<Measured>, of: &[&Candidate], kernels: &[&[Kernel]]| {
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
        let validation: Vec<&Candidate> = validation.iter().collect();
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
                break Ended::Most;
            }
            if order.is_empty() {
                break Ended::Exhausted;
            }
            let next = order.split_off(order.len().saturating_sub(left));
            let mut spent = false;
            for chunk in next.chunks(TOGETHER) {
                let of: Vec<&Candidate> = chunk.iter().map(|at| &pool[*at]).collect();
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
            observe(&Round { measured: done, accuracy });
            if spent {
                break Ended::Spent;
            }
            if reached == REACHED {
                break Ended::Reached;
            }
            self.most_disputed_last(&all, &of_pool, &mut order)?;
        };
        Ok((all, ended))
    }

    fn accuracy(&self, all: &[Measured]) -> Result<Vec<(Precision, Accuracy)>, FitError> {
        let of = |measured: &Measured| {
            Ok((measured.precision, measured.validate("", self.settings)?.accuracy()))
        };
        all.iter().map(of).collect()
    }

    /// Moves the candidates about which fits to the rows without validation disagree most to the
    /// end of `order`.
    fn most_disputed_last(
        &self,
        all: &[Measured],
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

impl Candidate {
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

    fn candidates(count: usize) -> Vec<Candidate> {
        let mut rng = generator(1, &["candidates"]);
        let candidate = |_| {
            let mut b = GraphBuilder::new(Shape::square(8 * rng.random_range(1..9usize), 14));
            let mut x = b.input();
            for at in 0..rng.random_range(2..6usize) {
                let width = 8 * rng.random_range(1..17usize);
                let spec = ConvSpec::new(width, 1);
                x = b.conv_bn_act(&format!("c{at}"), x, spec, ActivationKind::HSwish);
            }
            Candidate { graph: b.finish(x), position: Position::Inside }
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
        let observe = |round: &Round| rounds.push(round.clone());
        let (measured, ended) = campaign(&rules, &settings, goal)
            .run(&all[..40], &all[40..], measure, observe)
            .unwrap();
        assert_eq!(ended, Ended::Reached);
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
        for (most, ends) in [(90, Ended::Most), (1000, Ended::Exhausted)] {
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
                    assert!(enough && ended == Ended::Spent);
                    assert_eq!(measured[0].rows.len(), calls as usize * TOGETHER);
                }
                Err(error) => {
                    assert!(!enough && error.to_string().starts_with("32 graphs"), "{error}");
                }
            }
        }
    }
}
