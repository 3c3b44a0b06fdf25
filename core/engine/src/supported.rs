//! Whether a target can run what a hyperspace is made of.

use spacewright_core::{
    graph::ActivationKind,
    operators::{BlockConfig, BlockRequest},
    quant::place,
    space::Hyperspace,
    study::StudyContext,
    target::TargetDescription,
};

use crate::error::{EngineError, Result};

/// An error names the first block with an operator that the target cannot run in integers.
pub(crate) fn check(
    hyperspace: &Hyperspace,
    context: &StudyContext,
    others: &[String],
) -> Result<()> {
    let others = others.iter().filter_map(|name| context.targets.get(name));
    let targets = others.map(|target| target.description());
    std::iter::once(context.target.description())
        .chain(targets)
        .filter(|target| !target.unsupported.is_empty())
        .try_for_each(|target| runs_on(hyperspace, context, &target))
}

fn runs_on(
    hyperspace: &Hyperspace,
    context: &StudyContext,
    target: &TargetDescription,
) -> Result<()> {
    for request in requests(hyperspace) {
        // What an operator set refuses is none of the study's blocks.
        let Ok(graph) = context.operators.graph(&request) else { continue };
        let block = &request.block;
        let block_error = |reason: String| EngineError::study(format!("block `{block}`: {reason}"));
        let placed = place(&graph, &target.scheme).map_err(|e| block_error(e.to_string()))?;
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

/// Every block type with each of its choices, with and without a change of width and size: some
/// operators, such as the sum of a residual connection, are there in some cases only.
fn requests(hyperspace: &Hyperspace) -> Vec<BlockRequest> {
    let stem = hyperspace.stem.iter().map(|stage| &stage.candidate);
    let mut blocks: Vec<(&str, ActivationKind, BlockConfig)> = Vec::new();
    for candidate in stem.chain(&hyperspace.candidates) {
        let mut add = |config| blocks.push((&candidate.block, candidate.activation, config));
        add(candidate.smallest());
        for (axis, values) in &candidate.choices {
            for value in values {
                let mut config = candidate.smallest();
                config.0.insert(axis.clone(), *value);
                add(config);
            }
        }
    }
    for head in &hyperspace.head {
        blocks.push((&head.block, head.activation, BlockConfig(head.config.clone())));
    }
    let mut requests = Vec::new();
    for (block, activation, config) in blocks {
        let probe = BlockRequest::probe(block, activation, config);
        for (out_channels, stride) in
            [(probe.input.channels, 1), (probe.out_channels, 1), (probe.out_channels, 2)]
        {
            requests.push(BlockRequest { out_channels, stride, ..probe.clone() });
        }
    }
    requests
}
