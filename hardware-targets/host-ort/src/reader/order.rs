//! Nodes in the order in which they can run.

use std::collections::{HashMap, VecDeque};

use crate::proto::{GraphProto, NodeProto};

/// Nodes in topological order, which a dumped graph does not keep; those of a cycle come last.
pub(crate) fn sorted(graph: &GraphProto) -> Vec<&NodeProto> {
    let made_by: HashMap<&str, usize> = graph
        .node
        .iter()
        .enumerate()
        .flat_map(|(at, node)| node.output.iter().map(move |name| (name.as_str(), at)))
        .filter(|(name, _)| !name.is_empty())
        .collect();
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); graph.node.len()];
    let mut waits: Vec<usize> = vec![0; graph.node.len()];
    for (at, node) in graph.node.iter().enumerate() {
        for maker in node.input.iter().filter_map(|name| made_by.get(name.as_str())) {
            readers[*maker].push(at);
            waits[at] += 1;
        }
    }
    let mut ready: VecDeque<usize> = (0..waits.len()).filter(|at| waits[*at] == 0).collect();
    let mut order = Vec::with_capacity(waits.len());
    while let Some(at) = ready.pop_front() {
        order.push(&graph.node[at]);
        for reader in &readers[at] {
            waits[*reader] -= 1;
            if waits[*reader] == 0 {
                ready.push_back(*reader);
            }
        }
    }
    order.extend((0..waits.len()).filter(|at| waits[*at] > 0).map(|at| &graph.node[at]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(nodes: &[(&str, &[&str])]) -> String {
        let node = |(output, inputs): &(&str, &[&str])| NodeProto {
            input: inputs.iter().map(|name| (*name).into()).collect(),
            output: vec![(*output).into()],
            ..NodeProto::default()
        };
        let graph = GraphProto { node: nodes.iter().map(node).collect(), ..GraphProto::default() };
        sorted(&graph).iter().flat_map(|node| node.output.clone()).collect()
    }

    #[test]
    fn makers_come_before_readers_and_cycles_last() {
        assert_eq!(order(&[("c", &["b", "b"]), ("b", &["a"]), ("a", &["x"])]), "abc");
        assert_eq!(order(&[("a", &["b"]), ("b", &["a"]), ("c", &["x"])]), "cab");
    }

    #[test]
    fn a_long_graph_in_reverse_takes_no_time() {
        let name = |at: usize| format!("n{at}");
        let node = |at: usize| NodeProto {
            input: vec![name(at)],
            output: vec![name(at + 1)],
            ..NodeProto::default()
        };
        let node = (0..200_000).rev().map(node).collect();
        let graph = GraphProto { node, ..GraphProto::default() };
        assert_eq!(sorted(&graph)[0].input, ["n0"]);
    }
}
