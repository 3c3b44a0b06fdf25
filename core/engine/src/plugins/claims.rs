//! What a plugin says of itself, checked before any of it is used, whichever way it is carried.

use spacewright_core::{
    graph::Graph,
    latency::{HeldOut, Precision},
    operators::{BlockRequest, BlockType, OperatorError},
    quant::Scheme,
    target::TargetDescription,
};
use spacewright_sdk::{
    About,
    text::{LONGEST_NAME, is_legal_name, shown},
};

/// More than any plugin has reason to offer.
const MOST_ITEMS: usize = 1000;

/// A plugin's name becomes a part of file names and messages.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    if is_legal_name(name) {
        return Ok(());
    }
    let name = shown(name);
    Err(format!(
        "`{name}` cannot be the name of a plugin: up to {LONGEST_NAME} letters, digits, `-` and `_`"
    ))
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

/// The precisions that a latency source knows: at least one.
pub(super) fn precisions(call: &str, known: Vec<Precision>) -> Result<Vec<Precision>, String> {
    check_count(call, "precisions", known.len())?;
    Ok(known)
}

/// A target's description, with names that files and studies can have, and a scheme that can be
/// computed.
pub(super) fn target(call: &str, target: TargetDescription) -> Result<TargetDescription, String> {
    target.scheme.check().map_err(|reason| format!("`{call}`: {reason}"))?;
    Ok(TargetDescription {
        name: item_name(call, target.name)?,
        summary: shown(&target.summary),
        scheme: Scheme { name: item_name(call, target.scheme.name)?, ..target.scheme },
        model_format: item_name(call, target.model_format)?,
        held_out: held_out(call, target.held_out)?,
        ..target
    })
}

fn held_out(call: &str, all: Vec<HeldOut>) -> Result<Vec<HeldOut>, String> {
    let checked = |HeldOut { how, accuracy }: HeldOut| {
        let how = shown(&how);
        match accuracy.check() {
            Ok(()) => Ok(HeldOut { how, accuracy }),
            Err(reason) => Err(format!("`{call}`: errors `{how}`: {reason}")),
        }
    };
    if !all.is_empty() {
        check_count(call, "statements of errors", all.len())?;
    }
    all.into_iter().map(checked).collect()
}

/// The graphs of blocks in text form.
pub(super) fn graphs(
    call: &str,
    requests: &[BlockRequest],
    texts: &[String],
) -> Result<Vec<Graph>, OperatorError> {
    let graph = |(at, text): (usize, &String)| {
        let read = text.parse::<Graph>().map_err(|reason| reason.to_string());
        read.and_then(named).map_err(|reason| {
            let block = requests.get(at).map_or("?", |request| &request.block);
            OperatorError::Other(shown(&format!("`{call}`: block `{block}`: {reason}")))
        })
    };
    texts.iter().enumerate().map(graph).collect()
}

/// Names of nodes become names of weights in files.
fn named(graph: Graph) -> Result<Graph, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    match graph.nodes.iter().find(|node| !node.name.chars().all(legal)) {
        None => Ok(graph),
        Some(node) => Err(format!(
            "`{}` cannot be the name of a node: letters, digits, `.`, `_`, `-` and `/`",
            node.name
        )),
    }
}

fn check_count(call: &str, what: &str, count: usize) -> Result<(), String> {
    match count {
        1..=MOST_ITEMS => Ok(()),
        _ => Err(format!("`{call}`: {count} {what}; allowed are 1 to {MOST_ITEMS}")),
    }
}
