//! How to walk through the spaces of a hyperspace. Whatever the walk, every search ends in a
//! descent, so that its result is the best of its neighbourhood.

mod aging_evolution;
mod descent;
mod exact;
mod history;
mod random;
mod seen;

use std::sync::Arc;

use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, de::DeserializeOwned};
use spacewright_core::{
    options,
    random::generator,
    score::{PreparedScorer, ScoreError},
    search::{SearchBudget, SearchProgress, Searched, Strategy},
    space::{Hyperspace, Space},
};

pub use aging_evolution::{AgingEvolution, EvolutionOptions};
pub use descent::Descent;
pub use exact::{Exact, ExactOptions};
use history::History;
pub use random::Random;
use seen::Seen;

/// Why a strategy that needs bounds refuses a scorer.
pub(crate) const NO_BOUNDS: &str = "the scorer has no bounds, which the strategy `exact` needs; `q-t` has them with \
                                    mode = \"exact\"";

/// A way through a hyperspace.
trait Walk: Send + Sync {
    /// Name of the strategy in study files.
    const NAME: &str;
    type Options: Default + DeserializeOwned;

    /// Whether the options are such that spaces can be scored with them.
    fn check(options: &Self::Options) -> Result<(), ScoreError> {
        let _ = options;
        Ok(())
    }

    /// Scores spaces. `false` if the search was told to stop.
    fn walk(
        &self,
        course: &mut Course<'_, '_>,
        options: &Self::Options,
    ) -> Result<bool, ScoreError>;

    /// Ends the walk, if it was not told to stop.
    fn end(&self, course: &mut Course<'_, '_>) -> Result<bool, ScoreError> {
        descent::from_the_best(course)
    }
}

/// A search under way.
struct Course<'a, 'p> {
    hyperspace: &'a Hyperspace,
    /// Spaces that a walk scores.
    evaluations: usize,
    rng: Pcg64Mcg,
    seen: Seen,
    history: History<'a, 'p>,
}

impl Course<'_, '_> {
    /// A random space that was not met before.
    fn draw(&mut self) -> Option<Space> {
        self.seen.draw(self.hyperspace, &mut self.rng)
    }

    /// How many spaces the walk may still score.
    fn left(&self) -> usize {
        self.evaluations.saturating_sub(self.history.len())
    }
}

/// The search that consists of a walk and its end.
fn search<W: Walk>(
    walk: &W,
    hyperspace: &Hyperspace,
    scorer: &dyn PreparedScorer,
    budget: &SearchBudget,
    options: &serde_json::Value,
    progress: &mut SearchProgress<'_>,
) -> Result<Searched, ScoreError> {
    let options = read::<W>(options)?;
    let course = &mut Course {
        hyperspace,
        evaluations: budget.evaluations,
        rng: generator(budget.seed, &["strategy", W::NAME]),
        seen: Seen::default(),
        history: History::new(scorer, budget.seed, progress),
    };
    if walk.walk(course, &options)? {
        walk.end(course)?;
    }
    Ok(course.history.found())
}

fn read<W: Walk>(options: &serde_json::Value) -> Result<W::Options, ScoreError> {
    let options = options::read(W::NAME, options)?;
    W::check(&options)?;
    Ok(options)
}

/// Makes strategies of walks.
macro_rules! strategies_of_walks {
    ($($walk:ty),*) => {$(
        impl Strategy for $walk {
            fn name(&self) -> &str {
                <Self as Walk>::NAME
            }

            fn check_options(&self, options: &serde_json::Value) -> Result<(), ScoreError> {
                read::<Self>(options).map(drop)
            }

            fn search(
                &self,
                hyperspace: &Hyperspace,
                scorer: &dyn PreparedScorer,
                budget: &SearchBudget,
                options: &serde_json::Value,
                progress: &mut SearchProgress<'_>,
            ) -> Result<Searched, ScoreError> {
                search(self, hyperspace, scorer, budget, options, progress)
            }
        }
    )*};
}

strategies_of_walks!(AgingEvolution, Random, Descent);

/// For walks without options.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct NoOptions {}

fn strategies() -> Vec<Arc<dyn Strategy>> {
    vec![Arc::new(AgingEvolution), Arc::new(Random), Arc::new(Descent), Arc::new(Exact)]
}

spacewright_sdk::register!("spaceevo", Strategies, strategies);

#[cfg(test)]
mod tests;
