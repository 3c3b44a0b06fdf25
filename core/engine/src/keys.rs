//! What a step depends on, as one hash. Equal keys mean equal results.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Identities of loaded plugins by the names of what they offer, block types included.
    pub loaded: &'a BTreeMap<String, String>,
    /// Identifies the images; asked for only where a step trains.
    pub data: &'a dyn Fn() -> Result<String>,
    /// Identifies the latency source; asked for only where a step does not train.
    pub latency: &'a dyn Fn() -> String,
}

impl<'a> Ingredients<'a> {
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
        let mut all = json!({
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
        let plugins = self.plugins(&sections);
        if !plugins.is_empty() {
            all["plugins"] = json!(plugins);
        }
        Ok(hash::of_bytes(hash::canonical(&all).as_bytes()))
    }

    /// The loaded plugins that a step may use: those whose items the study names, at its top or
    /// in the step's sections, and those of its blocks.
    fn plugins(&self, sections: &[Value]) -> BTreeSet<&'a str> {
        let Study { target, quantizer, hyperspace, .. } = self.study;
        let mut names = BTreeSet::from([target.as_str(), quantizer.as_str()]);
        names.extend(hyperspace.blocks());
        sections.iter().for_each(|section| texts(section, &mut names));
        names.into_iter().filter_map(|name| self.loaded.get(name)).map(String::as_str).collect()
    }
}

/// All texts within a value.
fn texts<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
    match value {
        Value::String(text) => drop(found.insert(text)),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, found)),
        _ => {}
    }
}

fn text(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| EngineError::study(error.to_string()))
}
