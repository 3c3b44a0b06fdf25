use std::cell::Cell as Counter;

use serde_json::Value;
use spacewright_core::{
    graph::{ConvSpec, Graph, GraphBuilder},
    operators::{BlockRequest, BlockType, OperatorError, OperatorSet, Operators},
    quality::{Cell, Composition},
    score::{ConstraintScore, PreparedScorer, ScoreError, ScoreProblem, Scorer, SpaceScore},
    space::Space,
};

use super::problem;
use crate::{
    Plugin,
    conformance::testing::{about, expect},
    prelude::Arc,
};

type Score = Result<Vec<SpaceScore>, ScoreError>;

/// The mean of all rows, but for what a test spoils.
#[derive(Clone, Copy)]
struct Mean {
    accept: fn(&ScoreProblem, &Value) -> Result<(), ScoreError>,
    score: fn(&Prepared, &[Space]) -> Score,
}

struct Prepared {
    mean: Mean,
    problem: ScoreProblem,
    number: usize,
}

thread_local! {
    static COUNT: Counter<usize> = const { Counter::new(0) };
}

/// How often this thread has asked.
fn count() -> usize {
    COUNT.set(COUNT.get() + 1);
    COUNT.get()
}

fn error<T>(reason: impl ToString) -> Result<T, ScoreError> {
    Err(ScoreError::new(reason.to_string()))
}

impl Scorer for Mean {
    fn name(&self) -> &str {
        "mean"
    }
    fn prepare(
        &self,
        problem: ScoreProblem,
        options: &Value,
    ) -> Result<Box<dyn PreparedScorer>, ScoreError> {
        (self.accept)(&problem, options)?;
        Ok(Box::new(Prepared { mean: *self, problem, number: count() }))
    }
}

impl PreparedScorer for Prepared {
    fn score(&self, spaces: &[Space], _: u64) -> Score {
        (self.mean.score)(self, spaces)
    }
}

impl Prepared {
    /// Scores after a change to each.
    fn changed(&self, spaces: &[Space], change: impl Fn(usize, &mut SpaceScore)) -> Score {
        let mut scores =
            spaces.iter().map(|space| self.one(space)).collect::<Result<Vec<_>, _>>()?;
        scores.iter_mut().enumerate().for_each(|(at, score)| change(at, score));
        Ok(scores)
    }

    fn one(&self, space: &Space) -> Result<SpaceScore, ScoreError> {
        let (mut losses, mut latencies) = (Vec::<f64>::new(), Vec::<f64>::new());
        for cell in Cell::of_space(space) {
            let Some(columns) = self.problem.cells.get(&cell) else {
                return error(format!("no table of {cell:?}"));
            };
            losses.extend(&columns.loss);
            latencies.extend(&columns.latency_ms);
        }
        let loss = losses.iter().sum::<f64>() / losses.len() as f64;
        let part = |limit_ms: &f64| {
            let within = latencies.iter().filter(|ms| *ms <= limit_ms).count();
            let feasible = within as f64 / latencies.len() as f64;
            ConstraintScore {
                limit_ms: *limit_ms,
                feasible,
                loss,
                penalty: 1.0,
                score: feasible / loss,
            }
        };
        let constraints: Vec<_> = self.problem.constraints_ms.iter().map(part).collect();
        Ok(SpaceScore { score: constraints.iter().map(|part| part.score).sum(), constraints })
    }
}

fn no_options(_: &ScoreProblem, options: &Value) -> Result<(), ScoreError> {
    match options.as_object().and_then(|options| options.keys().next()) {
        Some(option) => error(format!("no option `{option}`")),
        None => Ok(()),
    }
}

const GOOD: Mean =
    Mean { accept: no_options, score: |prepared, spaces| prepared.changed(spaces, |_, _| ()) };

#[test]
fn a_good_scorer_is_good() {
    expect(Plugin::new(about()).scorer(GOOD), &[], &[]);
}

/// That a fault shows in each of the four forms of the problem.
#[track_caller]
fn in_each_form(score: fn(&Prepared, &[Space]) -> Score, check: &str, reason: &str) {
    expect(Plugin::new(about()).scorer(Mean { score, ..GOOD }), &[(check, reason); 4], &[]);
}

#[test]
fn faults_of_scores_are_named() {
    in_each_form(
        |prepared, spaces| match spaces {
            [] => error("no spaces"),
            _ => prepared.changed(spaces, |_, _| ()),
        },
        "no answer to no question",
        "no spaces",
    );
    in_each_form(
        |prepared, spaces| prepared.changed(&spaces[..spaces.len().min(2)], |_, _| ()),
        "one answer to each question",
        "a batch of 4: 2 answers to 4 questions",
    );
    in_each_form(
        |prepared, spaces| prepared.changed(spaces, |_, score| score.score /= 0.0),
        "each score is a number",
        "space probe-00-00: a score of inf",
    );
    in_each_form(
        |prepared, spaces| prepared.changed(spaces, |_, score| score.constraints.truncate(1)),
        "each limit has its part",
        "space probe-00-00: 1 parts for 2 limits",
    );
    in_each_form(
        |prepared, spaces| prepared.changed(spaces, |_, score| score.constraints.swap(0, 1)),
        "each limit has its part",
        "the part of the limit 2.5 ms says 6 ms",
    );
    in_each_form(
        |prepared, spaces| prepared.changed(spaces, |_, s| s.constraints[1].feasible *= 100.0),
        "each limit has its part",
        "needed are finite numbers, a feasible share from 0 to 1",
    );
    in_each_form(
        |prepared, spaces| prepared.changed(spaces, |_, score| score.score += count() as f64),
        "the same answer when asked again",
        "space probe-00-00: a different answer",
    );
    in_each_form(
        |prepared, spaces| prepared.changed(spaces, |at, score| score.score += at as f64),
        "the same answer alone as in a batch",
        "space probe-11-11: a different answer",
    );
}

#[test]
fn every_form_of_the_problem_must_be_accepted() {
    let choosy = |problem: &ScoreProblem, options: &Value| match problem.composition {
        Composition::Consistent => no_options(problem, options),
        Composition::Independent => error("widths must match"),
    };
    let refused = [
        ("independent, stem and head predicted: the problem is accepted", "widths must match"),
        ("independent, stem and head known: the problem is accepted", "widths must match"),
    ];
    expect(Plugin::new(about()).scorer(Mean { accept: choosy, ..GOOD }), &refused, &[]);
}

#[test]
fn faults_of_scorers_are_named() {
    let offer = |scorer, check, reason| {
        expect(Plugin::new(about()).scorer(scorer), &[(check, reason)], &[]);
    };
    let demanding = |_: &ScoreProblem, options: &Value| match options.is_null() {
        true => Ok(()),
        false => error("no options, please"),
    };
    offer(Mean { accept: demanding, ..GOOD }, "options: none are needed", "no options, please");
    offer(
        Mean {
            score: |prepared, spaces| match prepared.problem.cells.len() {
                0 => panic!("no cells"),
                _ => prepared.changed(spaces, |_, _| ()),
            },
            ..GOOD
        },
        "a problem without tables is refused",
        "panicked: no cells",
    );
    offer(
        Mean {
            score: |prepared, spaces| match prepared.problem.cells.len() {
                0 => Ok(vec![SpaceScore { score: 0.0, constraints: Vec::new() }; spaces.len()]),
                _ => prepared.changed(spaces, |_, _| ()),
            },
            ..GOOD
        },
        "a problem without tables is refused",
        "spaces without a single row got scores",
    );
    offer(
        Mean {
            score: |prepared, spaces| {
                let is_last = prepared.number == COUNT.get();
                prepared.changed(spaces, |_, score| score.score += f64::from(is_last))
            },
            ..GOOD
        },
        "problems do not disturb one another",
        "scored differently after others",
    );
}

#[test]
fn doubtful_scorers_are_noted() {
    let unheeding = Mean { accept: |_, _| Ok(()), ..GOOD };
    let note = ("options: an unknown one is refused", "`no_such_option` was accepted");
    expect(Plugin::new(about()).scorer(unheeding), &[], &[note]);
    let falling = Mean {
        score: |prepared, spaces| prepared.changed(spaces, |_, s| s.constraints[1].feasible = 0.0),
        ..GOOD
    };
    let note = ("a looser limit allows no fewer subnets", "within 2.5 ms, of 0 within 6 ms");
    expect(Plugin::new(about()).scorer(falling), &[], &[note; 4]);
}

struct Blocks;

impl OperatorSet for Blocks {
    fn name(&self) -> &str {
        "blocks"
    }
    fn block_types(&self) -> Vec<BlockType> {
        let block = |(name, axes): (&str, Vec<String>)| BlockType {
            name: name.into(),
            summary: String::new(),
            axes,
        };
        let kernel = || vec!["kernel".to_owned()];
        [("narrow", kernel()), ("wide", kernel()), ("classify", Vec::new())].map(block).into()
    }
    fn graphs(&self, requests: &[BlockRequest]) -> Result<Vec<Graph>, OperatorError> {
        let graph = |request: &BlockRequest| {
            let mut b = GraphBuilder::new(request.input);
            let x = b.conv("conv", b.input(), ConvSpec::new(request.out_channels, 3));
            b.finish(x)
        };
        Ok(requests.iter().map(graph).collect())
    }
}

#[test]
fn the_problem_is_sound() {
    let operators = Operators::new([Arc::new(Blocks) as Arc<dyn OperatorSet>]).unwrap();
    for (form, problem) in problem::problems() {
        let hyperspace = &problem.hyperspace;
        hyperspace.validate(&operators).unwrap();
        let cells = problem.cells.len();
        assert_eq!(cells, hyperspace.stages.len() * hyperspace.candidates.len() * 2, "{form}");
        assert!(problem.cells.values().all(|columns| columns.rows() > Some(0)), "{form}");
    }
    for space in problem::spaces() {
        space.check(&problem::problems()[0].1.hyperspace).unwrap();
    }
}
