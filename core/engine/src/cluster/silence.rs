//! How long an engine has given no answer.

use std::time::{Duration, Instant};

/// An engine is asked so often before it is given up, however much time lies between two questions.
const LEAST_QUESTIONS: usize = 3;

/// Since when an engine has not answered, and how many questions; none where it has.
#[derive(Default)]
pub(super) struct Silence(Option<(Instant, usize)>);

impl Silence {
    /// Takes note of one more question without an answer; how many there are by now, `None` where it is time to give
    /// up.
    pub fn goes_on(&mut self, patience: Duration) -> Option<usize> {
        let (since, before) = self.0.unwrap_or_else(|| (Instant::now(), 0));
        let questions = before + 1;
        self.0 = Some((since, questions));
        (since.elapsed() < patience || questions < LEAST_QUESTIONS).then_some(questions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_asked_for_a_time_and_more_than_once() {
        let heard = |patience| {
            let mut silence = Silence::default();
            [(); 4].map(|()| silence.goes_on(patience))
        };
        assert_eq!(heard(Duration::ZERO), [Some(1), Some(2), None, None]);
        assert_eq!(heard(Duration::from_secs(600)), [1, 2, 3, 4].map(Some));
    }
}
