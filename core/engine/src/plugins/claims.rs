//! What a plugin says of itself, checked before any of it is used, whichever way it is carried.

use spacewright_core::{
    graph::Graph,
    operators::{BlockType, OperatorError},
    target::TargetDescription,
};
use spacewright_sdk::About;

use super::text::shown;

/// More than any plugin has reason to offer.
const MOST_ITEMS: usize = 1000;

/// A plugin's name becomes a part of file names and messages.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    const LONGEST: usize = 64;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > LONGEST || !name.chars().all(legal) {
        let name = shown(name);
        return Err(format!(
            "`{name}` cannot be the name of a plugin: up to {LONGEST} letters, digits, `-` and `_`"
        ));
    }
    Ok(())
}

/// A name of something that a plugin offers, which study files must be able to write.
pub(super) fn item_name(call: &str, name: String) -> Result<String, String> {
    check_name(&name).map_err(|reason| format!("`{call}`: {reason}"))?;
    Ok(name)
}

/// Who the plugin is, as text that can be shown.
pub(super) fn about(about: About) -> About {
    About { name: about.name, version: shown(&about.version), summary: shown(&about.summary) }
}

/// At least one block type, with names that encodings can hold.
pub(super) fn block_types(call: &str, types: Vec<BlockType>) -> Result<Vec<BlockType>, String> {
    check_count(call, "block types", types.len())?;
    let checked = types.into_iter().map(|block| {
        let axes = block.axes.into_iter().map(|axis| item_name(call, axis));
        Ok(BlockType {
            name: item_name(call, block.name)?,
            summary: shown(&block.summary),
            axes: axes.collect::<Result<_, String>>()?,
        })
    });
    checked.collect()
}

/// At least one hyperspace. What stands in them is looked at where they are registered.
pub(super) fn hyperspaces(call: &str, all: Vec<String>) -> Result<Vec<String>, String> {
    check_count(call, "hyperspaces", all.len())?;
    Ok(all)
}

/// A target's description, with names that files and studies can have.
pub(super) fn target(call: &str, target: TargetDescription) -> Result<TargetDescription, String> {
    Ok(TargetDescription {
        name: item_name(call, target.name)?,
        summary: shown(&target.summary),
        model_format: item_name(call, target.model_format)?,
        ..target
    })
}

/// The graph of a block in text form.
pub(super) fn graph(call: &str, block: &str, text: &str) -> Result<Graph, OperatorError> {
    text.parse().map_err(|reason| {
        OperatorError::Other(shown(&format!("`{call}`: block `{block}`: {reason}")))
    })
}

fn check_count(call: &str, what: &str, count: usize) -> Result<(), String> {
    match count {
        1..=MOST_ITEMS => Ok(()),
        _ => Err(format!("`{call}`: {count} {what}; allowed are 1 to {MOST_ITEMS}")),
    }
}
