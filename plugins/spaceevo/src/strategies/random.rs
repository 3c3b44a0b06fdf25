//! Random search: the baseline that every other strategy has to beat.

use spacewright_core::score::ScoreError;

use super::{Course, NoOptions, Walk};

/// Scores spaces drawn uniformly, none twice.
#[derive(Debug, Clone, Copy, Default)]
pub struct Random;

impl Walk for Random {
    const NAME: &str = "random";
    type Options = NoOptions;

    fn walk(&self, course: &mut Course<'_, '_>, _: &NoOptions) -> Result<bool, ScoreError> {
        let spaces = (0..course.evaluations).map_while(|_| course.draw()).collect();
        course.history.score(spaces)
    }
}
