//! How to walk through the spaces of a hyperspace. Whatever the walk, every search ends in a
//! descent, so that its result is the best of its neighbourhood.

mod aging_evolution;
mod descent;
mod exact;
mod history;
mod random;
mod seen;

use std::sync::Arc;

use serde::Deserialize;
use spacewright_core::search::Strategy;

pub use aging_evolution::{AgingEvolution, EvolutionOptions};
pub use descent::Descent;
pub use exact::{Exact, ExactOptions};
pub use random::Random;

/// For strategies without options.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct NoOptions {}

fn strategies() -> Vec<Arc<dyn Strategy>> {
    vec![Arc::new(AgingEvolution), Arc::new(Random), Arc::new(Descent), Arc::new(Exact)]
}

spacewright_sdk::register!("spaceevo", Strategies, strategies);

#[cfg(test)]
mod tests;
