use std::collections::BTreeMap;

use serde_json::{Value, json};
use spacewright_core::{
    quality::{Cell, FixedLatency, HeadRow, ScoreColumns, StemRow},
    space::{Halves, Hyperspace},
};

use super::*;
use crate::testing::{self, all_cells};

fn hyperspace() -> Hyperspace {
    let mut hyperspace = testing::hyperspace();
    hyperspace.candidates.truncate(2);
    hyperspace.stages.truncate(2);
    hyperspace.stages[0].widths = vec![16, 24, 32];
    hyperspace.stages[1].widths = vec![24, 32, 40];
    hyperspace
}

/// One row per input and output width. Loss and latency are functions of the two widths.
fn columns(hyperspace: &Hyperspace, cell: Cell) -> ScoreColumns {
    let mut columns = ScoreColumns::default();
    for &input_width in hyperspace.input_widths(cell.stage) {
        for &width in hyperspace.stages[cell.stage].window_widths(cell.window) {
            columns.input_width.push(input_width as u32);
            columns.output_width.push(width as u32);
            columns.resolution.push(32);
            columns.macs.push(0);
            columns.params.push(0);
            columns.loss.push(1.0 / width as f64 + cell.block as f64);
            columns.latency_ms.push((input_width * width) as f64 / 1000.0);
        }
    }
    columns
}

fn problem(composition: Composition) -> ScoreProblem {
    let hyperspace = hyperspace();
    let cells = all_cells(&hyperspace).into_iter();
    let cells = cells.map(|cell| (cell, columns(&hyperspace, cell))).collect();
    ScoreProblem {
        hyperspace,
        cells,
        fixed: FixedLatency::PerResolution(BTreeMap::from([(32, 1.0)])),
        constraints_ms: vec![100.0],
        composition,
    }
}

fn space(text: &str) -> Space {
    Space::parse(text, &hyperspace()).unwrap()
}

fn score(problem: ScoreProblem, options: Value, text: &str) -> Result<SpaceScore, ScoreError> {
    Ok(QtScore.prepare(problem, &options)?.score(&[space(text)], 3)?.remove(0))
}

#[test]
fn the_best_drawn_subnets_within_the_limit_are_averaged() {
    // Widths 16 → {16, 24} → {24, 32}; stem and head 1 ms. Drawn often enough, the best is
    // 16 → 24 → 32 (2.152 ms), then 16 → 16 → 32 or 16 → 24 → 24.
    let consistent = |limit: f64| {
        let mut problem = problem(Composition::Consistent);
        problem.constraints_ms = vec![limit];
        score(problem, json!({ "mode": "monte-carlo", "draws": 4000 }), "mini-00-00")
            .unwrap()
            .constraints[0]
    };
    let all = consistent(3.0);
    assert_eq!(all.feasible, 1.0);
    assert_eq!(all.penalty, 1.0);
    let exact = |loss: f64| loss * 50.0 / (50.0 + 1e-5);
    assert!((all.loss - exact(1.0 / 24.0 + 1.0 / 32.0)).abs() < 1e-12);
    assert!((all.score - 1.0 / all.loss).abs() < 1e-12);
    let some = consistent(1.8);
    assert!((some.feasible - 0.5).abs() < 0.05, "{}", some.feasible);
    assert!((some.loss - exact(1.0 / 16.0 + 1.0 / 32.0)).abs() < 1e-12);
    let none = consistent(1.0);
    assert_eq!((none.feasible, none.loss), (0.0, 1e5));
    assert!((none.penalty - (0.08f64 / 1e-5).powf(0.01)).abs() < 1e-12);
}

#[test]
fn independent_composition_ignores_input_widths() {
    let mut problem = problem(Composition::Independent);
    problem.constraints_ms = vec![1.77];
    let drawn = json!({ "mode": "monte-carlo" });
    let exact = score(problem.clone(), Value::Null, "mini-00-00").unwrap().constraints[0];
    assert!((exact.feasible - 3.0 / 12.0).abs() < 1e-12);
    let part = score(problem, drawn, "mini-00-00").unwrap().constraints[0];
    // 0.77 ms for 16 → 16 (0.256 ms) and then 16 → 24 (0.384 ms) or 16 → 32 (0.512 ms), or for
    // 16 → 24 (0.384 ms) and then 16 → 24, which does not fit behind it.
    assert!((part.feasible - 3.0 / 12.0).abs() < 0.01, "{}", part.feasible);
}

#[test]
fn stem_and_head_are_counted_where_they_are_predicted() {
    let mut problem = problem(Composition::Consistent);
    let stem = vec![StemRow { width: 16, resolution: 32, latency_ms: 2.0 }];
    let head = |width: usize| HeadRow { width, resolution: 32, latency_ms: width as f64 };
    problem.fixed = FixedLatency::Predicted { stem, head: vec![head(24), head(32)] };
    problem.constraints_ms = vec![30.0];
    let part = score(problem.clone(), Value::Null, "mini-00-00").unwrap().constraints[0];
    assert!((part.feasible - 0.5).abs() < 0.01, "{}", part.feasible);
    let error = score(problem, Value::Null, "mini-00-01").unwrap_err();
    assert_eq!(error.to_string(), "no latency of the head behind width 40 at resolution 32");
}

#[test]
fn drawn_scores_depend_on_the_seed_alone() {
    let text = "mini-01-10";
    for composition in [Composition::Consistent, Composition::Independent] {
        let mut problem = problem(composition);
        problem.constraints_ms = vec![1.9, 2.1];
        let prepared =
            QtScore.prepare(problem, &json!({ "mode": "monte-carlo", "draws": 1000 })).unwrap();
        let alone = prepared.score(&[space(text)], 3).unwrap();
        let among = prepared.score(&[space("mini-11-11"), space(text)], 3).unwrap();
        assert_eq!(alone[0], among[1]);
        let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(alone, one_thread.install(|| prepared.score(&[space(text)], 3)).unwrap());
        assert_ne!(alone, prepared.score(&[space(text)], 4).unwrap());
        assert_ne!(alone[0].constraints[0].feasible, alone[0].constraints[1].feasible);
    }
}

#[test]
fn weights_scale_the_contributions() {
    let mut problem = problem(Composition::Consistent);
    problem.constraints_ms = vec![50.0, 100.0];
    let plain = score(problem.clone(), Value::Null, "mini-00-00").unwrap();
    let weighted = score(problem.clone(), json!({ "weights": [0.0, 2.0] }), "mini-00-00").unwrap();
    assert_eq!(weighted.constraints[0].score, 0.0);
    assert_eq!(weighted.score, 2.0 * plain.constraints[1].score);
    let scaled = score(problem, json!({ "stage_weights": [2.0, 2.0] }), "mini-00-00").unwrap();
    assert!((scaled.score - plain.score / 2.0).abs() < 1e-12);
}

#[test]
fn what_is_missing_is_named() {
    let check = |spoil: fn(&mut ScoreProblem), options: Value, message: &str| {
        let mut problem = problem(Composition::Consistent);
        spoil(&mut problem);
        assert_eq!(score(problem, options, "mini-00-00").unwrap_err().to_string(), message);
    };
    const FIRST: Cell = Cell { stage: 0, block: 0, window: 0 };
    const SECOND: Cell = Cell { stage: 1, block: 0, window: 0 };
    check(
        |p| drop(p.cells.remove(&SECOND)),
        Value::Null,
        "space mini-00-00 needs a quality table of stage `stage2`, block 0, window 0, which is \
         missing",
    );
    check(
        |p| {
            let widths = &mut p.cells.get_mut(&SECOND).unwrap().input_width;
            widths.iter_mut().filter(|width| **width == 24).for_each(|width| *width = 32);
        },
        Value::Null,
        "space mini-00-00: stage `stage2`, block 0, window 0 has no row of input width 24 at \
         resolution 32",
    );
    check(
        |p| p.cells.get_mut(&FIRST).unwrap().input_width[1] = 17,
        Value::Null,
        "stage `stage1`, block 0, window 0: row 2: input width 17 is not of the hyperspace",
    );
    check(
        |p| p.cells.get_mut(&FIRST).unwrap().loss.truncate(1),
        Value::Null,
        "stage `stage1`, block 0, window 0: columns of different lengths",
    );
    check(
        |p| p.fixed = FixedLatency::PerResolution(BTreeMap::new()),
        Value::Null,
        "no latency of stem and head at resolution 32",
    );
    check(
        |p| p.constraints_ms = vec![],
        Value::Null,
        "latency limits []; needed is at least one, above 0 ms",
    );
    check(
        |_| (),
        json!({ "stage_weights": [1.0, -1.0] }),
        "options of `q-t`: stage_weights = [1.0, -1.0]; allowed is 2 numbers from 0, one per stage, and not all 0",
    );
    check(|_| (), json!({ "t": 0.0 }), "options of `q-t`: t = 0; allowed is above 0, at most 1");
    check(
        |_| (),
        json!({ "weights": [1.0, 2.0] }),
        "options of `q-t`: weights = [1.0, 2.0]; allowed is 1 numbers from 0, one per latency limit, and not all 0",
    );
}

/// Ten times the rows of [`problem`], and in the first stage one that is far better than the
/// others of its width.
fn problem_with_a_winner() -> ScoreProblem {
    let mut problem = problem(Composition::Consistent);
    for (cell, columns) in &mut problem.cells {
        let once = columns.clone();
        for _ in 1..10 {
            columns.input_width.extend(&once.input_width);
            columns.output_width.extend(&once.output_width);
            columns.resolution.extend(&once.resolution);
            columns.macs.extend(&once.macs);
            columns.params.extend(&once.params);
            columns.latency_ms.extend(&once.latency_ms);
            columns.loss.extend(&once.loss);
        }
        if cell.stage == 0 {
            columns.loss[0] = 0.001;
        }
    }
    problem
}

#[test]
fn few_rows_support_a_lucky_winner() {
    let winner = QtScore.prepare(problem_with_a_winner(), &Value::Null).unwrap();
    let support = |scorer: &dyn PreparedScorer, text: &str| {
        scorer.analysis().unwrap().support(&space(text), 0).unwrap().unwrap()
    };
    let [first, second] = support(&*winner, "mini-00-00")[..] else { panic!("two stages") };
    assert!((first.effective - 1.0).abs() < 1e-9, "{first:?}");
    assert!(second.effective > 5.0 && second.effective < 10.5, "{second:?}");
    assert_eq!(second.rows, winner_rows());
    assert_eq!(support(&*winner, "mini-00-00"), support(&*winner, "mini-00-00"));
}

fn winner_rows() -> usize {
    let cell = Cell { stage: 1, block: 0, window: 0 };
    problem_with_a_winner().cells[&cell].rows().unwrap()
}

#[test]
fn what_is_not_computed_has_no_analysis() {
    let problem = problem(Composition::Consistent);
    let drawn = QtScore.prepare(problem.clone(), &json!({ "mode": "monte-carlo" })).unwrap();
    assert!(drawn.analysis().is_none());
    let mut infeasible = problem;
    infeasible.constraints_ms = vec![1.0];
    let scorer = QtScore.prepare(infeasible, &Value::Null).unwrap();
    let analysis = scorer.analysis().unwrap();
    assert_eq!(analysis.support(&space("mini-00-00"), 0).unwrap(), None);
    assert_eq!(analysis.distribution(&space("mini-00-00"), 0).unwrap(), []);
    let error = analysis.support(&space("mini-00-00"), 1).unwrap_err();
    assert_eq!(error.to_string(), "latency limit 1 of 1; they count from 0");
}

#[test]
fn no_space_scores_above_its_bounds() {
    let hyperspace = testing::hyperspace();
    let halves = Halves::of(&hyperspace);
    let known = Space::parse("mini-0123-0101", &hyperspace).unwrap();
    for (composition, rows) in [(Composition::Consistent, 5), (Composition::Independent, 2)] {
        let mut problem = crate::testing::problem(&hyperspace, composition, rows);
        // Predicted latencies may be negative.
        let columns = problem.cells.values_mut().next().unwrap();
        columns.latency_ms[0] = -0.3;
        if let FixedLatency::Predicted { stem, .. } = &mut problem.fixed {
            stem[0].latency_ms = -0.1;
        }
        let options = json!({ "top": 2000, "stage_weights": [1.0, 0.5, 2.0, 1.0] });
        let scorer = QtScore.prepare(problem, &options).unwrap();
        let bounds = scorer.bounded().unwrap().bounds(&known).unwrap();
        let pairs: Vec<(u32, u32)> = (0..halves.first_count() as u32)
            .step_by(7)
            .flat_map(|first| (0..halves.last_count() as u32).map(move |last| (first, last)))
            .collect();
        let space = |(first, last): &(u32, u32)| halves.space(*first as usize, *last as usize);
        let spaces: Vec<Space> = pairs.iter().map(space).collect();
        let lasts: Vec<u32> = (0..halves.last_count() as u32).collect();
        let third: Vec<u32> = lasts.iter().copied().step_by(3).collect();
        let of_third: Vec<f64> = bounds.closer(0, &lasts).into_iter().step_by(3).collect();
        assert_eq!(bounds.closer(0, &third), of_third);
        let firsts = (0..halves.first_count()).step_by(7);
        let each =
            bounds.tight(&pairs).into_iter().zip(firsts.flat_map(|first| {
                bounds.rough(first).into_iter().zip(bounds.closer(first, &lasts))
            }));
        let (mut closest, mut lowered) = (f64::INFINITY, 0);
        for ((score, space), (tight, (rough, closer))) in
            scorer.score(&spaces, 0).unwrap().iter().zip(&spaces).zip(each)
        {
            let score = score.score;
            assert!(score <= tight, "{composition:?} {space}: {score}, bound {tight}");
            assert!(tight <= closer, "{composition:?} {space}: {tight}, closer bound {closer}");
            // But for the order in which single precision adds up.
            assert!(closer <= 1.01 * rough, "{composition:?} {space}: {closer}, rough {rough}");
            closest = closest.min(tight / score);
            lowered += usize::from(tight < 0.98 * closer);
        }
        assert!(closest < 1.2, "bounds that rule nothing out: {closest}");
        assert!(
            lowered > pairs.len() / 4,
            "tight bounds that are no tighter: {lowered} of {}",
            pairs.len()
        );
    }
}

#[test]
fn drawn_scores_have_no_bounds() {
    let options = json!({ "mode": "monte-carlo" });
    let drawn = QtScore.prepare(problem(Composition::Consistent), &options).unwrap();
    assert!(drawn.bounded().is_none());
}
