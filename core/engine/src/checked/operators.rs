use std::sync::Arc;

use spacewright_core::{
    graph::Graph,
    operators::{BlockRequest, BlockType, OperatorError, OperatorSet},
};

use super::Watch;
use crate::origin::Origin;

/// More nodes than any block has.
const MOST_NODES: usize = 1000;
/// Sizes from here on are taken for mistakes; products stay within 64 bits.
const LARGEST_SIZE: usize = 1 << 16;

/// An operator set whose graphs fit their requests.
pub(crate) struct CheckedOperators {
    set: Arc<dyn OperatorSet>,
    watch: Watch,
}

const CALL: &str = "graphs";

impl CheckedOperators {
    pub fn wrap(origin: &Origin, set: Arc<dyn OperatorSet>) -> Arc<dyn OperatorSet> {
        Arc::new(Self { set, watch: Watch::new(origin) })
    }

    fn check(&self, requests: &[BlockRequest], graphs: &[Graph]) -> Result<(), String> {
        self.watch.count(CALL, graphs.len(), requests.len())?;
        for (request, graph) in requests.iter().zip(graphs) {
            fits(request, graph).map_err(|reason| {
                self.watch.wrong(CALL, format!("block `{}`: {reason}", request.block))
            })?;
        }
        if !requests.is_empty() && self.watch.asks_twice() {
            let again = self.set.graphs(&requests[..1]).map_err(|error| error.to_string())?;
            let item = format!("block `{}`", requests[0].block);
            self.watch.same(CALL, item, again == graphs[..1])?;
        }
        Ok(())
    }
}

fn fits(request: &BlockRequest, graph: &Graph) -> Result<(), String> {
    if graph.nodes.len() > MOST_NODES {
        return Err(format!("{} nodes; at most {MOST_NODES} are allowed", graph.nodes.len()));
    }
    if graph.input != request.input {
        return Err(format!("asked for an input of {}, got {}", request.input, graph.input));
    }
    let shapes = graph.shapes().map_err(|error| error.to_string())?;
    let huge = |size: usize| size > LARGEST_SIZE;
    if let Some(shape) = shapes.iter().find(|s| huge(s.channels) || huge(s.height) || huge(s.width))
    {
        return Err(format!("a value of {shape}; sizes are at most {LARGEST_SIZE}"));
    }
    let output = shapes[graph.output.index()];
    if output.channels != request.out_channels {
        return Err(format!("asked for {} output channels, got {output}", request.out_channels));
    }
    Ok(())
}

impl OperatorSet for CheckedOperators {
    fn name(&self) -> &str {
        self.set.name()
    }

    fn block_types(&self) -> Vec<BlockType> {
        self.set.block_types()
    }

    fn graphs(&self, requests: &[BlockRequest]) -> Result<Vec<Graph>, OperatorError> {
        let graphs = self.set.graphs(requests)?;
        self.check(requests, &graphs).map_err(OperatorError::Other)?;
        Ok(graphs)
    }
}
