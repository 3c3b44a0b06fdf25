//! What several unit tests share.

use spacewright_core::{
    graph::Graph,
    latency::{GraphColumns, LatencyQuery, Position, Precision},
};

/// Graphs as columns.
pub fn columns(graphs: &[Graph]) -> GraphColumns {
    let query = |graph: &Graph| LatencyQuery {
        graph: graph.clone(),
        precision: Precision::Int8,
        position: Position::Inside,
    };
    GraphColumns::of(&graphs.iter().map(query).collect::<Vec<_>>()).unwrap()
}
