use std::sync::Arc;

use spacewright_core::{
    graph::Graph,
    operators::{BlockRequest, BlockType, OperatorError, OperatorSet},
};

use super::Watch;
use crate::origin::Origin;

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
            let sound = graph.check_bounds().and_then(|()| request.check_answer(graph));
            sound.map_err(|reason| {
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

impl OperatorSet for CheckedOperators {
    fn name(&self) -> &str {
        self.set.name()
    }

    fn block_types(&self) -> Vec<BlockType> {
        self.set.block_types()
    }

    fn graphs(&self, requests: &[BlockRequest]) -> Result<Vec<Graph>, OperatorError> {
        let graphs = self.set.graphs(requests).map_err(|error| match error {
            OperatorError::Other(reason) => OperatorError::Other(self.watch.of(CALL, reason)),
            other => other,
        })?;
        self.check(requests, &graphs).map_err(OperatorError::Other)?;
        Ok(graphs)
    }
}
