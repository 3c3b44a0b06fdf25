//! An operator set for tests.

use std::cell::Cell;

use spacewright_core::{
    graph::{ConvSpec, Graph, GraphBuilder, ValueId},
    operators::{BlockRequest, BlockType, OperatorError, OperatorSet},
};

pub type Graphs = Result<Vec<Graph>, OperatorError>;

/// Makes each graph on its own, but for what a test spoils.
#[derive(Clone, Copy)]
pub struct Blocks {
    pub types: fn() -> Vec<BlockType>,
    pub graph: fn(&BlockRequest) -> Result<Graph, OperatorError>,
    pub graphs: fn(Self, &[BlockRequest]) -> Graphs,
}

impl Blocks {
    pub fn all(self, requests: &[BlockRequest]) -> Graphs {
        requests.iter().map(self.graph).collect()
    }
}

impl OperatorSet for Blocks {
    fn name(&self) -> &str {
        "blocks"
    }
    fn block_types(&self) -> Vec<BlockType> {
        (self.types)()
    }
    fn graphs(&self, requests: &[BlockRequest]) -> Graphs {
        (self.graphs)(*self, requests)
    }
}

pub fn types() -> Vec<BlockType> {
    let block = |name: &str, axes: &[&str]| BlockType {
        name: name.into(),
        summary: "For tests".into(),
        axes: axes.iter().map(|axis| (*axis).into()).collect(),
    };
    vec![block("plain", &["kernel", "expand"]), block("pool", &[])]
}

/// Two convolutions, or for `pool` a pool and one.
pub fn graph(request: &BlockRequest) -> Result<Graph, OperatorError> {
    build(request, |_, x| x)
}

/// A graph with something more at its end.
pub fn build(
    r: &BlockRequest,
    end: impl FnOnce(&mut GraphBuilder, ValueId) -> ValueId,
) -> Result<Graph, OperatorError> {
    let mut b = GraphBuilder::new(r.input);
    let x = match r.block.as_str() {
        "plain" => {
            let spec = ConvSpec::new(8 * r.count("expand")?, r.count("kernel")?);
            let x = b.conv_bn_act("conv", b.input(), spec.stride(r.stride), r.activation);
            b.conv_bn("project", x, ConvSpec::new(r.out_channels, 1))
        }
        "pool" => {
            let x = b.global_avg_pool("pool", b.input());
            b.conv("conv", x, ConvSpec::new(r.out_channels, 1))
        }
        block => {
            let known = "plain, pool".into();
            return Err(OperatorError::UnknownBlock { block: block.into(), known });
        }
    };
    let x = end(&mut b, x);
    Ok(b.finish(x))
}

pub fn refused(reason: &str) -> OperatorError {
    OperatorError::other(reason)
}

pub const GOOD: Blocks = Blocks { types, graph, graphs: Blocks::all };

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// How often this thread has asked.
pub fn count() -> usize {
    COUNT.set(COUNT.get() + 1);
    COUNT.get()
}
