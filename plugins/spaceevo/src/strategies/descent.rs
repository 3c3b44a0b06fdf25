//! Steepest descent: of all spaces that differ in one stage, to the best, while it is better.

use spacewright_core::{
    score::ScoreError,
    space::{Hyperspace, Space},
};

use super::{Course, NoOptions, Walk, history::History};

/// How many of the best spaces of a walk a descent starts from.
const STARTS: usize = 12;
/// In how many stages these differ.
const APART: usize = 2;

/// Descents from random spaces, until the budget is used up.
#[derive(Debug, Clone, Copy, Default)]
pub struct Descent;

impl Walk for Descent {
    const NAME: &str = "descent";
    type Options = NoOptions;

    fn walk(&self, course: &mut Course<'_, '_>, _: &NoOptions) -> Result<bool, ScoreError> {
        while course.left() > 0 {
            let Some(start) = course.draw() else { break };
            let goes_on = course.history.score(vec![start.clone()])?
                && descend(&mut course.history, course.hyperspace, &start)?;
            if !goes_on {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Every descent has ended already.
    fn end(&self, _: &mut Course<'_, '_>) -> Result<bool, ScoreError> {
        Ok(true)
    }
}

/// Descents from the best of the spaces that were scored. `false` if the search was told to stop.
pub(super) fn from_the_best(course: &mut Course<'_, '_>) -> Result<bool, ScoreError> {
    let found = course.history.found();
    let starts = found.diverse(STARTS, APART.min(course.hyperspace.stages.len()));
    for start in starts {
        if !descend(&mut course.history, course.hyperspace, &start.space)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// From a space that was scored to one that no change of one stage improves.
fn descend(
    history: &mut History<'_, '_>,
    hyperspace: &Hyperspace,
    start: &Space,
) -> Result<bool, ScoreError> {
    let Some(mut at) = history.place(start) else { return Ok(true) };
    loop {
        let neighbours = history.space_at(at).neighbours(hyperspace);
        if !history.score(neighbours.clone())? {
            return Ok(false);
        }
        let places = neighbours.iter().filter_map(|space| history.place(space));
        // Of equal ones, the first.
        let best =
            places.reduce(|a, b| if history.score_at(b) > history.score_at(a) { b } else { a });
        match best {
            Some(best) if history.score_at(best) > history.score_at(at) => at = best,
            _ => return Ok(true),
        }
    }
}
