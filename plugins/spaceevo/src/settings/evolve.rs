//! `[evolve]`

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use smart_default::SmartDefault;
use spacewright_core::{
    quality::Composition,
    study::{Reference, Referred, Section},
};

/// The search for the space.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct EvolveSettings {
    /// What judges spaces.
    #[default = "q-t"]
    pub scorer: String,
    /// Options of the scorer; those of `q-t`: mode (`exact` or `monte-carlo`), draws, top, t, a, batch (draws at one
    /// resolution), weights (one per budget), stage_weights (one per stage).
    pub score: BTreeMap<String, Value>,
    /// How to walk through spaces: `aging-evolution`, `random`, `descent`, or `exact`, which ends in a proof. Where not
    /// given, `exact` with a scorer that has bounds, as `q-t` in its mode `exact` has, and `aging-evolution` otherwise.
    pub strategy: Option<String>,
    /// Options of the strategy; those of `aging-evolution`: population, parents; of `exact`: candidates.
    pub strategy_options: BTreeMap<String, Value>,
    /// Spaces to score before the descent or the proof that ends a search; the random search
    /// beside it gets as many.
    #[default = 5000]
    #[schemars(range(min = 1))]
    pub evaluations: usize,
    /// `consistent`: widths of neighbouring stages match; `independent`: as published.
    pub composition: Composition,
}

impl Section for EvolveSettings {
    const NAME: &'static str = "evolve";

    fn references(&self) -> Vec<Reference> {
        let scorer = Reference::new("scorer", Referred::Scorer(self.scorer.clone()));
        let strategy = self.strategy.clone();
        let strategy = strategy.map(|name| Reference::new("strategy", Referred::Strategy(name)));
        std::iter::once(scorer).chain(strategy).collect()
    }
}
