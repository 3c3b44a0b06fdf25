//! Asks a latency source about operators, and computes their costs from its answers.

use std::{collections::HashMap, error::Error};

use serde::Serialize;
use spacewright_core::latency::{Latency, LatencyQuery, Position, Precision};
use thiserror::Error;

use crate::{
    operator::Operator,
    plan::{CaseError, OperatorCase, Plan},
};

/// Copies of the operator in the shorter chain. One is enough for what an operator shares with its surroundings:
/// the first copy after a different operator and the last before one are in both chains.
const SHORT: usize = 1;

/// Copies that the longer chain has more. A second one halves the error of the difference; more
/// would grow the time of a profile faster than they lower the error.
const MORE: usize = 2;

/// Two minima of the same measurement, each good to one per cent, differ by this share.
const CHANCE: f64 = 0.02;

/// Questions to the latency source about one case: three graphs at two precisions.
const QUESTIONS: usize = 6;

/// What an operator costs on one feature map, in milliseconds. Ratios are FP32 time by INT8 time:
/// above 1, INT8 is faster.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OperatorCost {
    /// The operator.
    pub operator: Operator,
    /// Side of its kernel or window.
    pub kernel: Option<usize>,
    /// Channels of its input and output.
    pub width: usize,
    /// Side of the feature map.
    pub size: usize,
    /// Time that one more such operator adds to an FP32 network.
    pub fp32_ms: f64,
    /// Time that one more such operator adds to an INT8 network.
    pub int8_ms: f64,
    /// `fp32_ms / int8_ms`.
    pub ratio: f64,
    /// Spread of the measurements behind `fp32_ms`.
    pub fp32_spread_ms: f64,
    /// Spread of the measurements behind `int8_ms`.
    pub int8_spread_ms: f64,
    /// A network of this operator alone in FP32.
    pub alone_fp32_ms: f64,
    /// A network of this operator alone in INT8, conversions of input and output included.
    pub alone_int8_ms: f64,
    /// `alone_fp32_ms / alone_int8_ms`.
    pub alone_ratio: f64,
    /// One of the chains' differences was no more than chance; its cost is then the mean over the
    /// longer chain, which contains a share of what surrounds it.
    pub noisy: bool,
}

impl OperatorCost {
    /// The operator and its shape.
    pub fn case(&self) -> OperatorCase {
        OperatorCase { operator: self.operator, width: self.width, size: self.size }
    }
}

/// The answers to a [`Plan`].
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Profile {
    /// Operators by feature map, in the order of the plan.
    pub grid: Vec<OperatorCost>,
    /// Operators by width, in the order of the plan.
    pub sweep: Vec<OperatorCost>,
}

/// Why there is no profile. `E` is the error of the latency source.
#[derive(Debug, Error)]
pub enum ProfileError<E: Error + 'static> {
    /// An operator of the plan cannot have its shape. The source was not asked anything.
    #[error(transparent)]
    Case(#[from] CaseError),
    /// The source failed.
    #[error(transparent)]
    Source(E),
    /// The source did not answer every question.
    #[error("{case}: asked for {asked} latencies, got {answered}")]
    Count {
        /// What was asked about.
        case: OperatorCase,
        /// Number of questions.
        asked: usize,
        /// Number of answers.
        answered: usize,
    },
}

/// Profiles the cases of a plan, each once.
///
/// `ask` answers six questions about one case at a time, so that a source that measures can let
/// them take turns, and a cache can stand between. `progress` gets how many cases are done, how
/// many there are, and which is next.
pub fn profile<E: Error + 'static>(
    plan: &Plan,
    mut ask: impl FnMut(&[LatencyQuery]) -> Result<Vec<Latency>, E>,
    mut progress: impl FnMut(usize, usize, &str),
) -> Result<Profile, ProfileError<E>> {
    let mut cases = Vec::new();
    let mut position = HashMap::new();
    for case in plan.cases() {
        case.check()?;
        position.entry(case).or_insert_with(|| {
            cases.push(case);
            cases.len() - 1
        });
    }
    let mut rows = Vec::with_capacity(cases.len());
    for (done, &case) in cases.iter().enumerate() {
        progress(done, cases.len(), &case.to_string());
        let answers = ask(&questions(case)).map_err(ProfileError::Source)?;
        let answered = answers.len();
        let count = |_| ProfileError::Count { case, asked: QUESTIONS, answered };
        rows.push(row(case, answers.try_into().map_err(count)?));
    }
    progress(cases.len(), cases.len(), "done");
    let part = |part: &[OperatorCase]| part.iter().map(|case| rows[position[case]]).collect();
    Ok(Profile { grid: part(&plan.grid), sweep: part(&plan.sweep) })
}

/// For each precision the operator alone, the shorter chain and the longer one.
fn questions(case: OperatorCase) -> Vec<LatencyQuery> {
    Precision::ALL
        .into_iter()
        .flat_map(|precision| {
            [(1, Position::Whole), (SHORT, Position::Inside), (SHORT + MORE, Position::Inside)].map(
                |(copies, position)| LatencyQuery {
                    graph: case.chain(copies),
                    precision,
                    position,
                },
            )
        })
        .collect()
}

fn row(case: OperatorCase, answers: [Latency; QUESTIONS]) -> OperatorCost {
    let [alone_fp32, short, long, alone_int8, short_int8, long_int8] = answers;
    let fp32 = Marginal::of(short, long);
    let int8 = Marginal::of(short_int8, long_int8);
    OperatorCost {
        operator: case.operator,
        kernel: case.operator.kernel(),
        width: case.width,
        size: case.size,
        fp32_ms: fp32.ms,
        int8_ms: int8.ms,
        ratio: fp32.ms / int8.ms,
        fp32_spread_ms: fp32.spread_ms,
        int8_spread_ms: int8.spread_ms,
        alone_fp32_ms: alone_fp32.ms,
        alone_int8_ms: alone_int8.ms,
        alone_ratio: alone_fp32.ms / alone_int8.ms,
        noisy: fp32.noisy || int8.noisy,
    }
}

/// The cost of one more copy in a chain.
struct Marginal {
    ms: f64,
    spread_ms: f64,
    noisy: bool,
}

impl Marginal {
    fn of(short: Latency, long: Latency) -> Self {
        let difference = long.ms - short.ms;
        let is_measured = long.runs > 0;
        let chance = if is_measured { CHANCE * long.ms } else { 0.0 };
        let spread = short.spread_ms + long.spread_ms;
        if difference > chance {
            let copies = MORE as f64;
            Self { ms: difference / copies, spread_ms: spread / copies, noisy: false }
        } else {
            let copies = (SHORT + MORE) as f64;
            Self { ms: long.ms / copies, spread_ms: long.spread_ms / copies, noisy: true }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use spacewright_core::latency::LatencySource;

    use super::*;
    use crate::testing::{CALL_MS, Fake, fake_ms};

    fn measured(ms: f64) -> Latency {
        Latency::measured(ms, 0.1 * ms, 50)
    }

    #[test]
    fn marginal_costs_are_those_of_the_operator_and_lonely_ones_contain_the_call() {
        let plan = Plan::quick();
        let profile = profile(&plan, |queries| Fake.latencies(queries), |_, _, _| {}).unwrap();
        assert_eq!(profile.grid.iter().map(OperatorCost::case).collect::<Vec<_>>(), plan.grid);
        assert_eq!(profile.sweep.iter().map(OperatorCost::case).collect::<Vec<_>>(), plan.sweep);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} is not {b}");
        for row in profile.grid.iter().chain(&profile.sweep) {
            let [fp32, int8] = Precision::ALL.map(|precision| fake_ms(row.case(), precision));
            close(row.fp32_ms, fp32);
            close(row.int8_ms, int8);
            close(row.ratio, fp32 / int8);
            close(row.alone_fp32_ms, fp32 + CALL_MS);
            close(row.alone_int8_ms, int8 + CALL_MS);
            close(row.alone_ratio, (fp32 + CALL_MS) / (int8 + CALL_MS));
            assert!(!row.noisy);
        }
    }

    #[test]
    fn each_case_is_asked_once_and_progress_counts_them() {
        let (mut batches, mut states) = (Vec::new(), Vec::new());
        let add = [Operator::Add];
        let plan = Plan::default().with_grid(&add, &[(8, 16), (4, 32)]).with_sweep(&add, 8, &[16]);
        let ask = |queries: &[LatencyQuery]| {
            batches.push(queries.len());
            Fake.latencies(queries)
        };
        let progress = |done, total, next: &str| states.push(format!("{done}/{total} {next}"));
        let profile = profile(&plan, ask, progress).unwrap();
        assert_eq!(batches, [QUESTIONS; 2]);
        assert_eq!(states, ["0/2 add at 16x8x8", "1/2 add at 32x4x4", "2/2 done"]);
        assert_eq!(profile.sweep, profile.grid[..1]);
    }

    #[test]
    fn differences_within_chance_are_marked() {
        let check = |short: Latency, long: Latency, ms: f64, noisy: bool| {
            let marginal = Marginal::of(short, long);
            assert!((marginal.ms - ms).abs() < 1e-12, "{} is not {ms}", marginal.ms);
            assert_eq!(marginal.noisy, noisy);
        };
        check(measured(1.0), measured(3.0), 1.0, false);
        check(measured(3.1), measured(3.0), 1.0, true);
        check(measured(2.95), measured(3.0), 1.0, true);
        check(Latency::predicted(2.95), Latency::predicted(3.0), 0.025, false);
        check(Latency::predicted(3.0), Latency::predicted(3.0), 1.0, true);
        let spread = Marginal::of(measured(1.0), measured(3.0)).spread_ms;
        assert!((spread - 0.2).abs() < 1e-12);
    }

    #[test]
    fn rows_are_flat_in_json() {
        let row = crate::testing::row(Operator::HSwish, 16, 8, 1.0, 2.0);
        let json = serde_json::to_value(Profile { grid: vec![row], sweep: vec![] }).unwrap();
        let row = &json["grid"][0];
        assert_eq!((&row["operator"], &row["ratio"]), (&"h_swish".into(), &0.5.into()));
        assert!(row["kernel"].is_null());
    }

    #[test]
    fn wrong_plans_and_answers_are_named() {
        let conv = [Operator::GroupedConv { kernel: 3 }];
        let wrong = Plan::default().with_grid(&conv, &[(8, 8)]);
        let nobody = |_: &[LatencyQuery]| -> Result<Vec<Latency>, Infallible> { unreachable!() };
        let error = profile(&wrong, nobody, |_, _, _| {}).unwrap_err();
        assert!(matches!(error, ProfileError::Case(_)), "{error}");

        let plan = Plan::default().with_grid(&[Operator::Add], &[(8, 8)]);
        let short =
            |queries: &[LatencyQuery]| Ok::<_, Infallible>(vec![measured(1.0); queries.len() - 1]);
        let error = profile(&plan, short, |_, _, _| {}).unwrap_err();
        assert_eq!(error.to_string(), "add at 8x8x8: asked for 6 latencies, got 5");

        let failing = |queries: &[LatencyQuery]| {
            Err(spacewright_core::latency::LatencyError::of(&queries[0], "too hot"))
        };
        let error = profile(&plan, failing, |_, _, _| {}).unwrap_err();
        assert!(error.to_string().ends_with("too hot"), "{error}");
    }
}
