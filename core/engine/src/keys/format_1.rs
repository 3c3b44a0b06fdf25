//! Keys as the first format of runs made them, so that what such a run holds is taken over.
//!
//! That format collected all texts within a step's sections and took those that are names of
//! targets and plugins for what the step depends on.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use spacewright_core::study::EarlierStep;
use spacewright_plugin::Kind;

use super::{Sources, UNAVAILABLE, text};
use crate::{error::Result, hash};

/// The key of a step, from the keys of the steps that it read.
pub(crate) fn key_of_format_1(
    sources: &Sources<'_>,
    step: &EarlierStep,
    inputs: &[String],
) -> Result<String> {
    let Sources { study, context, .. } = *sources;
    let sections: Vec<Value> = step
        .sections
        .iter()
        .map(|name| json!([name, earlier_section(step, name, study.section(name))]))
        .collect();
    let mut named = BTreeSet::new();
    sections.iter().for_each(|section| texts(section, &mut named));
    let latency = |target| (sources.latency)(target).unwrap_or_else(|| UNAVAILABLE.into());
    let mut all = json!({
        "format": 1,
        "version": "0.1.0",
        "method": study.method,
        "step": step.name,
        "seed": study.seed,
        "sections": sections,
        "inputs": inputs,
        "hyperspace": text(&study.hyperspace)?,
        "target": study.target,
        "scheme": text(&context.target.description().scheme)?,
        "own": latency(None),
    });
    let plugins = plugins(sources, &named);
    if !plugins.is_empty() {
        all["plugins"] = json!(plugins);
    }
    let others = context.targets.keys().map(String::as_str);
    let others = others.filter(|name| named.contains(name));
    let others = others.filter(|name| *name != study.target);
    let others: BTreeMap<&str, String> = others.map(|name| (name, latency(Some(name)))).collect();
    if !others.is_empty() {
        all["others"] = json!(others);
    }
    if let Some(lender) = sources.lender {
        all["lender"] = json!(lender);
    }
    Ok(hash::of_bytes(hash::canonical(&all).as_bytes()))
}

/// A section without the fields that it did not have yet, where they change nothing.
fn earlier_section(step: &EarlierStep, name: &str, mut section: Value) -> Value {
    for later in step.later_fields.iter().filter(|later| later.section == name) {
        if let Some(fields) = section.as_object_mut()
            && fields.get(later.field).and_then(Value::as_f64) == Some(later.as_before)
        {
            fields.remove(later.field);
        }
    }
    section
}

/// The loaded plugins of the study's target, quantizer and blocks, of the lender of a runtime, and
/// those whose items the step's sections name.
fn plugins<'a>(sources: &Sources<'a>, named: &BTreeSet<&str>) -> BTreeSet<&'a str> {
    let Sources { study, loaded, lender, .. } = *sources;
    let used = |(kind, name): (&Kind, &str)| match kind {
        Kind::Target => name == study.target || lender == Some(name) || named.contains(name),
        Kind::Quantizer => name == study.quantizer || named.contains(name),
        _ => named.contains(name),
    };
    let items = loaded.items.iter().filter(|((kind, name), _)| used((kind, name)));
    let blocks = study.hyperspace.blocks().filter_map(|block| loaded.blocks.get(block));
    items.map(|(_, identity)| identity).chain(blocks).map(String::as_str).collect()
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

#[cfg(test)]
mod tests {
    use spacewright_core::study::LaterField;

    use super::*;

    #[test]
    fn a_later_field_counts_where_it_changes_something() {
        const LATER: LaterField =
            LaterField { section: "train", field: "smoothing", as_before: 0.0 };
        let step =
            EarlierStep { name: "train", reads: &[], sections: &["train"], later_fields: &[LATER] };
        let earlier = |section| earlier_section(&step, "train", section);
        assert_eq!(earlier(json!({ "steps": 2, "smoothing": 0.0 })), json!({ "steps": 2 }));
        let changed = json!({ "steps": 2, "smoothing": 0.1 });
        assert_eq!(earlier(changed.clone()), changed);
        let other = json!({ "smoothing": 0.0 });
        assert_eq!(earlier_section(&step, "teach", other.clone()), other);
    }
}
