//! Scoring spaces that are named.

use std::collections::BTreeMap;

use serde::Serialize;
use spacewright_core::{
    score::SpaceScore,
    space::{Hyperspace, Space},
};

use super::ConstraintRow;
use crate::{
    catalog,
    cli::SpaceScoreArgs,
    commands::scoring,
    render::{Failure, Output, Table},
    report::or_dash,
};

#[derive(Serialize)]
struct ScoreReport {
    spaces: Vec<SpaceReport>,
}

/// `score` and `constraints` are those of the first seed; mean and standard deviation (of a
/// sample) are over all seeds.
#[derive(Serialize)]
struct SpaceReport {
    space: String,
    score: f64,
    /// How far the score may be from its definition; `None` where it is drawn.
    error_bound: Option<f64>,
    mean: f64,
    std: f64,
    constraints: Vec<ConstraintRow>,
}

pub fn score(args: &SpaceScoreArgs, seed: u64) -> Result<Output, Failure> {
    let mut by_hyperspace: BTreeMap<String, (Hyperspace, Vec<Space>)> = BTreeMap::new();
    let mut order = Vec::new();
    for encoding in &args.spaces {
        let (hyperspace, space) = catalog::space(encoding, args.hyperspace.as_deref())?;
        let (_, group) =
            by_hyperspace.entry(hyperspace.name.clone()).or_insert((hyperspace, Vec::new()));
        order.push((space.hyperspace.clone(), group.len()));
        group.push(space);
    }
    let mut reports: BTreeMap<String, Vec<SpaceReport>> = BTreeMap::new();
    for (name, (hyperspace, spaces)) in by_hyperspace {
        let scorer = scoring::prepare(&args.scoring, &hyperspace)?;
        let mut repeats = Vec::new();
        for repeat in 0..u64::from(args.repeats) {
            let scores = scorer.score(&spaces, seed.wrapping_add(repeat));
            repeats.push(scores.map_err(Failure::input)?);
        }
        let mut of_hyperspace = Vec::new();
        for (index, space) in spaces.iter().enumerate() {
            let scores: Vec<&SpaceScore> = repeats.iter().map(|scores| &scores[index]).collect();
            let bound = scorer.analysis().map(|analysis| analysis.error_bound(space));
            let bound = bound.transpose().map_err(Failure::input)?;
            of_hyperspace.extend(report(space, &scores, bound));
        }
        reports.insert(name, of_hyperspace);
    }
    // Back to front, so that taking one leaves the positions of the others.
    let mut spaces: Vec<SpaceReport> = order
        .into_iter()
        .rev()
        .filter_map(|(name, index)| Some(reports.get_mut(&name)?.remove(index)))
        .collect();
    spaces.reverse();

    let mut table =
        Table::new(&["space", "score", "mean", "std", "error", "limit", "feasible", "quality"]);
    for space in &spaces {
        for (index, part) in space.constraints.iter().enumerate() {
            let once = |text: String| if index == 0 { text } else { String::new() };
            table.row([
                once(space.space.clone()),
                once(format!("{:.5}", space.score)),
                once(format!("{:.5}", space.mean)),
                once(format!("{:.5}", space.std)),
                once(or_dash(space.error_bound, |bound| format!("{bound:.0e}"))),
                format!("{} ms", part.limit_ms),
                format!("{:.3} %", part.feasible * 100.0),
                part.quality(),
            ]);
        }
    }
    Output::new(table.render(), &ScoreReport { spaces })
}

fn report(space: &Space, scores: &[&SpaceScore], error_bound: Option<f64>) -> Option<SpaceReport> {
    let first = scores.first()?;
    let count = scores.len() as f64;
    let mean = scores.iter().map(|score| score.score).sum::<f64>() / count;
    let squares: f64 = scores.iter().map(|score| (score.score - mean).powi(2)).sum();
    Some(SpaceReport {
        space: space.to_string(),
        score: first.score,
        error_bound,
        mean,
        std: if count > 1.0 { (squares / (count - 1.0)).sqrt() } else { 0.0 },
        constraints: first.constraints.iter().map(ConstraintRow::from).collect(),
    })
}
