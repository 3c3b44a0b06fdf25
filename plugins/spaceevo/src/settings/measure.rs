//! `[measure]`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;
use spacewright_core::study::{FieldError, Reference, Referred, Section};

/// A latency budget of the networks that are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Budget {
    /// A share of the hyperspace's subnets, from 0 to 1, is faster than the budget.
    Quantile(f64),
    /// Milliseconds.
    Ms(f64),
}

/// Latency of the blocks that the quality tables hold, and the latency budgets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct MeasureSettings {
    /// Latency budgets: `{ ms = 1.5 }`, or `{ quantile = 0.2 }` of the hyperspace's own latencies.
    #[default(vec![Budget::Quantile(0.1), Budget::Quantile(0.3), Budget::Quantile(0.6)])]
    #[schemars(length(min = 1))]
    pub budgets: Vec<Budget>,
    /// Most sub-stages of the stem to measure.
    #[default = 16]
    #[schemars(range(min = 1))]
    pub stem_rows: usize,
    /// Random subnets that make up the latency distribution.
    #[default = 2000]
    #[schemars(range(min = 1))]
    pub subnets: usize,
    /// Whole networks measured to check the sum of their parts.
    #[default = 8]
    pub whole_networks: usize,
    /// Threads that a network runs with where latencies are measured; budgets and reports hold for
    /// this number.
    #[default = 1]
    #[schemars(range(min = 1, max = 256))]
    pub threads: usize,
    /// Other targets that the space has to suit as well; each has its own budgets, by the same
    /// quantiles.
    pub also: Vec<String>,
}

impl Section for MeasureSettings {
    const NAME: &'static str = "measure";

    fn check(&self) -> Result<(), FieldError> {
        let refuse = |field: &str, reason: String, hint: &str| {
            Err(FieldError::refused(Self::NAME, field, reason, hint))
        };
        let in_ms = self.budgets.iter().any(|budget| matches!(budget, Budget::Ms(_)));
        if in_ms && !self.also.is_empty() {
            let reason = "milliseconds are those of one target, and `also` names others";
            return refuse("budgets", reason.into(), "give quantiles");
        }
        for (index, budget) in self.budgets.iter().enumerate() {
            let field = format!("budgets[{index}]");
            match *budget {
                Budget::Quantile(q) if !(0.0..=1.0).contains(&q) => {
                    let reason = format!("quantile = {q} is not between 0 and 1");
                    return refuse(&field, reason, "such as { quantile = 0.2 }");
                }
                Budget::Ms(ms) if !ms.is_finite() || ms <= 0.0 => {
                    let reason = format!("ms = {ms} is not positive");
                    return refuse(&field, reason, "such as { ms = 1.5 }");
                }
                _ => {}
            }
        }
        for (index, name) in self.also.iter().enumerate() {
            if self.also[..index].contains(name) {
                return refuse("also", format!("`{name}` is there twice"), "name it once");
            }
        }
        Ok(())
    }

    fn measuring_threads(&self) -> Option<usize> {
        Some(self.threads)
    }

    fn references(&self) -> Vec<Reference> {
        let target = |name: &String| Reference::new("also", Referred::Target(name.clone()));
        self.also.iter().map(target).collect()
    }
}

impl MeasureSettings {
    /// The study's target, as `None`, then the others.
    pub fn targets(&self) -> impl Iterator<Item = Option<&str>> {
        std::iter::once(None).chain(self.also.iter().map(|name| Some(name.as_str())))
    }
}
