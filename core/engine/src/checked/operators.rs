use std::sync::Arc;

use spacewright_core::{
    call::CallError,
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

    fn check(&self, requests: &[BlockRequest], graphs: &[Graph]) -> Result<(), CallError> {
        self.watch.count(CALL, graphs.len(), requests.len())?;
        requests.iter().zip(graphs).try_for_each(|(request, graph)| {
            let sound = graph.check_bounds().and_then(|()| request.check_answer(graph));
            sound.map_err(|error| self.watch.fault(CALL, error.into()).about(item(request)))
        })
    }

    fn ask(&self, requests: &[BlockRequest]) -> Result<Vec<Graph>, OperatorError> {
        self.set.graphs(requests).map_err(|error| self.watch.with_origin(CALL, error))
    }
}

fn item(request: &BlockRequest) -> String {
    format!("block `{}`", request.block)
}

impl OperatorSet for CheckedOperators {
    fn name(&self) -> &str {
        self.set.name()
    }

    fn block_types(&self) -> Vec<BlockType> {
        self.set.block_types()
    }

    fn graphs(&self, requests: &[BlockRequest]) -> Result<Vec<Graph>, OperatorError> {
        let graphs = self.ask(requests)?;
        self.check(requests, &graphs).map_err(OperatorError::other)?;
        if !requests.is_empty() && self.watch.asks_twice() {
            let again = self.ask(&requests[..1])?;
            let same = self.watch.same(CALL, item(&requests[0]), again == graphs[..1]);
            same.map_err(OperatorError::other)?;
        }
        Ok(graphs)
    }
}
