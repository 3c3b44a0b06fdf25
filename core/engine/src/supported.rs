//! Whether a target can run what a hyperspace is made of.

use spacewright_core::{
    graph::ActivationKind,
    method::Parts,
    operators::{BlockConfig, BlockRequest},
    quant::place,
    space::Hyperspace,
};

use crate::error::{EngineError, Result};

/// An error names the first block with an operator that the target cannot run in integers.
pub(crate) fn check(hyperspace: &Hyperspace, parts: &Parts) -> Result<()> {
    let target = parts.target.description();
    if target.unsupported.is_empty() {
        return Ok(());
    }
    for (block, activation, config) in blocks(hyperspace) {
        let request = BlockRequest::probe(block, activation, config);
        let wrong = |reason: String| EngineError::study(format!("block `{block}`: {reason}"));
        let graph = parts.operators.graph(&request).map_err(|e| wrong(e.to_string()))?;
        let placed = place(&graph, &target.scheme).map_err(|e| wrong(e.to_string()))?;
        let mut kinds = placed.graph.nodes.iter().map(|node| node.op.kind());
        if let Some(kind) = kinds.find(|kind| target.unsupported.contains(kind)) {
            let message = format!(
                "target `{}` cannot run `{}`, which block `{block}` of hyperspace `{}` needs",
                target.name,
                kind.name(),
                hyperspace.name
            );
            return Err(EngineError::study(message)
                .with_hint("take another hyperspace, or give the block another activation"));
        }
    }
    Ok(())
}

type Block<'a> = (&'a str, ActivationKind, BlockConfig);

/// Every block type with its largest choices.
fn blocks(hyperspace: &Hyperspace) -> Vec<Block<'_>> {
    let stem = hyperspace.stem.iter().map(|stage| &stage.candidate);
    let elastic = stem.chain(&hyperspace.candidates).map(|candidate| {
        let largest = |(axis, values): (&String, &Vec<f64>)| {
            (axis.clone(), values.last().copied().unwrap_or_default())
        };
        let config = BlockConfig(candidate.choices.iter().map(largest).collect());
        (candidate.block.as_str(), candidate.activation, config)
    });
    let head = hyperspace
        .head
        .iter()
        .map(|head| (head.block.as_str(), head.activation, BlockConfig(head.config.clone())));
    elastic.chain(head).collect()
}
