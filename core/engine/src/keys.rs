//! What a step depends on, as one hash. Equal keys mean equal results.

use serde_json::{Value, json};
use spacewright_core::method::{Parts, StepSpec};

use crate::{
    error::{EngineError, Result},
    hash,
    study::Study,
};

/// Changes whenever artifacts of older versions must not be used any more.
const FORMAT: u32 = 1;

/// What all keys of a study are made from.
pub(crate) struct Ingredients<'a> {
    pub study: &'a Study,
    pub parts: &'a Parts,
    /// Identifies the images; asked for only where a step trains.
    pub data: &'a dyn Fn() -> Result<String>,
    /// Identifies the latency source; asked for only where a step does not train.
    pub latency: &'a dyn Fn() -> String,
}

impl Ingredients<'_> {
    /// The key of a step, from the keys of the steps that it reads.
    pub fn key(&self, step: &StepSpec, inputs: &[String]) -> Result<String> {
        let section = |name: &String| {
            self.study.sections.get(name).map(|value| json!([name, value])).ok_or_else(|| {
                let method = &self.study.method;
                EngineError::study(format!(
                    "method `{method}`: step `{}` depends on the unknown section [{name}]",
                    step.name
                ))
            })
        };
        let sections = step.settings.iter().map(section).collect::<Result<Vec<Value>>>()?;
        // The order of axes matters in a hyperspace, so its text is hashed, not its sorted form.
        let hyperspace = text(&self.study.hyperspace)?;
        let scheme = text(&self.parts.target.description().scheme)?;
        let own = if step.trains {
            let trainer = self.parts.trainer.as_ref().map(|trainer| trainer.fingerprint());
            json!([trainer, self.parts.threads, self.study.quantizer, (self.data)()?])
        } else {
            json!((self.latency)())
        };
        let all = json!({
            "format": FORMAT,
            "version": env!("CARGO_PKG_VERSION"),
            "method": self.study.method,
            "step": step.name,
            "seed": self.study.seed,
            "sections": sections,
            "inputs": inputs,
            "hyperspace": hyperspace,
            "target": self.study.target,
            "scheme": scheme,
            "own": own,
        });
        Ok(hash::of_bytes(hash::canonical(&all).as_bytes()))
    }
}

fn text(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| EngineError::study(error.to_string()))
}
