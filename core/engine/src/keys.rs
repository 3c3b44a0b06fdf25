//! What a step depends on, as one hash. Equal keys mean equal results.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use spacewright_core::method::{Parts, StepSpec};
use spacewright_sdk::Kind;

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
    /// Loaded plugins.
    pub loaded: &'a Identities,
    /// The target whose runtime the study's target borrows.
    pub lender: Option<&'a str>,
    /// Identifies the images; asked for only where a step trains.
    pub data: &'a dyn Fn() -> Result<String>,
    /// Identifies the latency source; asked for only where a step does not train.
    pub latency: &'a dyn Fn() -> String,
    /// Identifies the latency source of another target; as above.
    pub others: &'a dyn Fn(&str) -> String,
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
        // Studies without them keep the keys that they had before there were plugins.
        let plugins = self.plugins(&sections);
        if !plugins.is_empty() {
            all["plugins"] = json!(plugins);
        }
        let others = self.others(step, &sections);
        if !others.is_empty() {
            all["others"] = json!(others);
        }
        if let Some(lender) = self.lender {
            all["lender"] = json!(lender);
        }
        Ok(hash::of_bytes(hash::canonical(&all).as_bytes()))
    }

    /// The latency sources of other targets that a step which measures names.
    fn others(&self, step: &StepSpec, sections: &[Value]) -> BTreeMap<&'a str, String> {
        let mut named = BTreeSet::new();
        if !step.trains {
            sections.iter().for_each(|section| texts(section, &mut named));
        }
        let targets = self.parts.targets.keys().map(String::as_str);
        let others = targets.filter(|name| named.contains(name) && *name != self.study.target);
        others.map(|name| (name, (self.others)(name))).collect()
    }

    /// The loaded plugins that a step may use: those of the study's target, quantizer and blocks,
    /// the lender of a runtime, and those whose items the step's sections name.
    fn plugins(&self, sections: &[Value]) -> BTreeSet<&'a str> {
        let Study { target, quantizer, hyperspace, .. } = self.study;
        let mut named = BTreeSet::new();
        sections.iter().for_each(|section| texts(section, &mut named));
        let used = |(kind, name): (&Kind, &str)| match kind {
            Kind::Target => name == target || self.lender == Some(name) || named.contains(name),
            Kind::Quantizer => name == quantizer || named.contains(name),
            _ => named.contains(name),
        };
        let items = self.loaded.items.iter().filter(|((kind, name), _)| used((kind, name)));
        let blocks = hyperspace.blocks().filter_map(|block| self.loaded.blocks.get(block));
        items.map(|(_, identity)| identity).chain(blocks).map(String::as_str).collect()
    }
}

/// Which plugins were loaded from files: name, version and hash of each.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Identities {
    /// By what they offer.
    pub items: BTreeMap<(Kind, String), String>,
    /// By their block types.
    pub blocks: BTreeMap<String, String>,
}

impl Study {
    /// All texts in the method's sections, which may be names of other targets.
    pub(crate) fn named_texts(&self) -> BTreeSet<&str> {
        let mut named = BTreeSet::new();
        self.sections.values().for_each(|section| texts(section, &mut named));
        named
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
