//! What a plugin says of itself, checked before any of it is used, whichever way it is carried.

use spacewright_core::{
    call::{CallError, Fault},
    graph::Graph,
    latency::{HeldOut, Precision},
    operators::{BlockRequest, BlockType},
    quant::Scheme,
    target::TargetDescription,
};
use spacewright_plugin::{
    About,
    text::{is_legal_name, shown},
};

use super::error::IllegalName;

/// More block types than any plugin has reason to offer.
const MOST_BLOCK_TYPES: usize = 100;
/// More axes than any block has.
const MOST_AXES: usize = 32;
/// More hyperspaces than any plugin has reason to offer.
const MOST_HYPERSPACES: usize = 100;
/// More statements about errors than anybody reads.
const MOST_HELD_OUT: usize = 100;
/// Bytes of all hyperspaces of a plugin: reading them takes a hundred times as much memory.
const MOST_HYPERSPACE_BYTES: usize = 256 << 10;
/// Bytes of the text of a block's graph.
pub(super) const MOST_GRAPH_BYTES: usize = 16 << 10;

/// A plugin's name becomes a part of file names and messages.
pub(super) fn check_name(name: &str) -> Result<(), IllegalName> {
    match is_legal_name(name) {
        true => Ok(()),
        false => Err(IllegalName { name: name.to_owned() }),
    }
}

/// An answer that cannot be used.
pub(super) fn bad(call: &str, reason: impl ToString) -> CallError {
    CallError::new(call, Fault::Bad(shown(&reason.to_string())))
}

/// A name of something that a plugin offers, which study files must be able to write.
pub(super) fn item_name(call: &str, name: String) -> Result<String, CallError> {
    check_name(&name).map_err(|error| bad(call, error))?;
    Ok(name)
}

/// Who the plugin is, as text that can be shown.
pub(super) fn about(about: About) -> About {
    About { name: about.name, version: shown(&about.version), summary: shown(&about.summary) }
}

/// At least one block type, with names that encodings can hold.
pub(super) fn block_types(call: &str, types: Vec<BlockType>) -> Result<Vec<BlockType>, CallError> {
    check_count(call, "block types", types.len(), MOST_BLOCK_TYPES)?;
    let checked = types.into_iter().map(|block| {
        if !block.axes.is_empty() {
            check_count(call, "axes", block.axes.len(), MOST_AXES)?;
        }
        let axes = block.axes.into_iter().map(|axis| item_name(call, axis));
        Ok(BlockType {
            name: item_name(call, block.name)?,
            summary: shown(&block.summary),
            axes: axes.collect::<Result<_, _>>()?,
        })
    });
    checked.collect()
}

/// At least one hyperspace. What stands in them is looked at where they are registered.
pub(super) fn hyperspaces(call: &str, all: Vec<String>) -> Result<Vec<String>, CallError> {
    check_count(call, "hyperspaces", all.len(), MOST_HYPERSPACES)?;
    match all.iter().map(String::len).sum() {
        0..=MOST_HYPERSPACE_BYTES => Ok(all),
        bytes => {
            let reason = format!("{bytes} bytes; at most {MOST_HYPERSPACE_BYTES} are allowed");
            Err(bad(call, reason))
        }
    }
}

/// The precisions that a latency source knows: at least one.
pub(super) fn precisions(call: &str, known: Vec<Precision>) -> Result<Vec<Precision>, CallError> {
    check_count(call, "precisions", known.len(), Precision::ALL.len())?;
    Ok(known)
}

/// A target's description, with names that files and studies can have, and a scheme that can be
/// computed.
pub(super) fn target(
    call: &str,
    target: TargetDescription,
) -> Result<TargetDescription, CallError> {
    target.scheme.check().map_err(|reason| bad(call, reason))?;
    Ok(TargetDescription {
        name: item_name(call, target.name)?,
        summary: shown(&target.summary),
        scheme: Scheme { name: item_name(call, target.scheme.name)?, ..target.scheme },
        model_format: item_name(call, target.model_format)?,
        held_out: held_out(call, target.held_out)?,
        ..target
    })
}

fn held_out(call: &str, all: Vec<HeldOut>) -> Result<Vec<HeldOut>, CallError> {
    let checked = |HeldOut { how, accuracy }: HeldOut| {
        let how = shown(&how);
        match accuracy.check() {
            Ok(()) => Ok(HeldOut { how, accuracy }),
            Err(reason) => Err(bad(call, reason).about(format_args!("errors `{how}`"))),
        }
    };
    if !all.is_empty() {
        check_count(call, "statements of errors", all.len(), MOST_HELD_OUT)?;
    }
    all.into_iter().map(checked).collect()
}

/// The graphs of blocks in text form.
pub(super) fn graphs(
    call: &str,
    requests: &[BlockRequest],
    texts: &[String],
) -> Result<Vec<Graph>, CallError> {
    let graph = |(at, text): (usize, &String)| {
        let read = || match text.len() {
            0..=MOST_GRAPH_BYTES => text.parse::<Graph>().map_err(|reason| reason.to_string()),
            bytes => Err(format!("{bytes} bytes; at most {MOST_GRAPH_BYTES} are allowed")),
        };
        read().and_then(named).map_err(|reason| {
            let block = requests.get(at).map_or("?", |request| &request.block);
            bad(call, reason).about(format_args!("block `{}`", shown(block)))
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

fn check_count(call: &str, what: &str, count: usize, most: usize) -> Result<(), CallError> {
    match (1..=most).contains(&count) {
        true => Ok(()),
        false => Err(bad(call, format!("{count} {what}; allowed are 1 to {most}"))),
    }
}
