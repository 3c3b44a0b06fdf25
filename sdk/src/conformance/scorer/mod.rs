//! Scorers: finite scores of spaces, the same for the same seed.

mod problem;

use serde_json::{Value, json};
use spacewright_core::{
    score::{PreparedScorer, ScoreError, ScoreProblem, Scorer, SpaceScore},
    space::Space,
};

use super::{
    ConformanceReport,
    call::Call,
    item::{ItemVerdicts, guarded, require},
};
use crate::Kind;
use problem::{problems, spaces};

const SEED: u64 = 7;

/// Asks for scores of a few spaces in problems of all forms.
pub(super) fn check(report: &mut ConformanceReport, scorer: &dyn Scorer) {
    let mut item = ItemVerdicts::named(report, Kind::Scorer, || scorer.name().into());
    let spaces = spaces();
    let mut first = None;
    for (form, problem) in problems() {
        let limits = problem.constraints_ms.clone();
        let prepared = item.ask(&format!("{form}: the problem is accepted"), || {
            scorer.prepare(problem, &Value::Null)
        });
        let Some(prepared) = prepared else { continue };
        let call = Call {
            name: form,
            ask: &|spaces: &[Space]| prepared.score(spaces, SEED).map_err(|e| e.to_string()),
            show: &|space| format!("space {space}"),
        };
        let scores = check_scores(&mut item, &call, &spaces, &limits);
        first = first.or(scores.map(|scores| (prepared, scores)));
    }
    if let Some((prepared, scores)) = first {
        item.check("problems do not disturb one another", || {
            let again = prepared.score(&spaces, SEED).map_err(|error| error.to_string())?;
            require(again == scores, || "a problem was scored differently after others".into())
        });
    }
    check_options(&mut item, scorer);
    item.check("a problem without tables is refused", || without_tables(scorer));
}

/// The scores, where they are sound and depend on the spaces only.
fn check_scores(
    item: &mut ItemVerdicts<'_>,
    call: &Call<'_, Space, SpaceScore>,
    spaces: &[Space],
    limits: &[f64],
) -> Option<Vec<SpaceScore>> {
    call.takes_no_question(item);
    let scores = call.answers(item, spaces)?;
    let finite = call.each(item, "each score is a number", spaces, &scores, |_, score| {
        require(score.score.is_finite(), || format!("a score of {}", score.score))
    });
    let parts =
        call.each(item, "each limit has its part", spaces, &scores, |_, score| fit(score, limits));
    if !(finite && parts && call.depends_on_question_only(item, spaces, &scores)) {
        return None;
    }
    item.advise(&format!("{}: a looser limit allows no fewer subnets", call.name), || {
        spaces.iter().zip(&scores).try_for_each(|(space, score)| growing(space, score))
    });
    Some(scores)
}

fn fit(score: &SpaceScore, limits: &[f64]) -> Result<(), String> {
    let parts = &score.constraints;
    require(parts.len() == limits.len(), || {
        format!("{} parts for {} limits", parts.len(), limits.len())
    })?;
    parts.iter().zip(limits).try_for_each(|(part, limit)| {
        require(part.limit_ms == *limit, || {
            format!("the part of the limit {limit} ms says {} ms", part.limit_ms)
        })?;
        let numbers = [part.loss, part.penalty, part.score].iter().all(|value| value.is_finite());
        require(numbers && (0.0..=1.0).contains(&part.feasible), || {
            format!("{part:?}: needed are finite numbers, a feasible share from 0 to 1")
        })
    })
}

/// Limits are in ascending order.
fn growing(space: &Space, score: &SpaceScore) -> Result<(), String> {
    score.constraints.windows(2).try_for_each(|pair| {
        let [tight, loose] = [pair[0], pair[1]];
        require(tight.feasible <= loose.feasible, || {
            format!(
                "space {space}: a share of {} within {} ms, of {} within {} ms",
                tight.feasible, tight.limit_ms, loose.feasible, loose.limit_ms
            )
        })
    })
}

type Prepared = Result<Box<dyn PreparedScorer>, ScoreError>;

fn any_problem() -> ScoreProblem {
    let [(_, problem), ..] = problems();
    problem
}

fn check_options(item: &mut ItemVerdicts<'_>, scorer: &dyn Scorer) {
    let prepare = |options: Value| -> Prepared { scorer.prepare(any_problem(), &options) };
    item.check("options: none are needed", || prepare(json!({})).map(drop));
    item.advise("options: an unknown one is refused", || {
        require(prepare(json!({ "no_such_option": 1 })).is_err(), || {
            "`no_such_option` was accepted; a misspelt option would go unnoticed".into()
        })
    });
}

fn without_tables(scorer: &dyn Scorer) -> Result<(), String> {
    let mut problem = any_problem();
    problem.cells.clear();
    let prepared = guarded(|| scorer.prepare(problem, &Value::Null))?;
    let Ok(prepared) = prepared else { return Ok(()) };
    let scores = guarded(|| prepared.score(&spaces(), SEED))?;
    require(scores.is_err(), || "spaces without a single row got scores".into())
}

#[cfg(test)]
mod tests;
