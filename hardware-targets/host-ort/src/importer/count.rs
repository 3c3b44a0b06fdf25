//! Multiply-adds of nodes, where the file says the shapes of what they give.

use std::collections::HashMap;

use crate::proto::{DimensionProto, GraphProto, NodeProto, ValueInfoProto};

/// Sizes by the names of tensors.
struct Sizes<'g>(HashMap<&'g str, Vec<u64>>);

/// For each of some nodes, its share of the multiply-adds of the whole graph, from 0 to 1; `None` where the file
/// leaves open what a node with weights gives, or where they are too many to be counted.
pub(super) fn shares(graph: &GraphProto, nodes: &[&NodeProto]) -> Option<Vec<f64>> {
    let sizes = Sizes::of(graph);
    let mut each = graph.node.iter().map(|node| sizes.multiply_adds(node));
    let all = each.try_fold(0u64, |all, node| all.checked_add(node?)).filter(|all| *all > 0)?;
    let share = |node: &&NodeProto| Some(sizes.multiply_adds(node)? as f64 / all as f64);
    nodes.iter().map(share).collect()
}

impl<'g> Sizes<'g> {
    fn of(graph: &'g GraphProto) -> Self {
        let declared = graph.input.iter().chain(&graph.value_info).chain(&graph.output);
        let declared = declared.filter_map(|info| Some((info.name.as_str(), sizes(info)?)));
        let constants = graph.initializer.iter().map(|constant| {
            let sizes = constant.dims.iter().map(|size| u64::try_from(*size).unwrap_or(0));
            (constant.name.as_str(), sizes.collect())
        });
        Self(declared.chain(constants).collect())
    }

    fn get(&self, name: Option<&String>) -> Option<&[u64]> {
        self.0.get(name?.as_str()).map(Vec::as_slice)
    }

    /// Multiply-adds for one image; 0 of operators that have no weights.
    fn multiply_adds(&self, node: &NodeProto) -> Option<u64> {
        let input = |at: usize| self.get(node.input.get(at));
        let output = || self.get(node.output.first());
        let each = match node.op_type.as_str() {
            // Each output takes the weights of its channel once, ...
            "Conv" => [product(output()?), product(input(1)?.get(1..)?)],
            // ... each input gives those of its channel once.
            "ConvTranspose" => [product(input(0)?), product(input(1)?.get(1..)?)],
            // Each output takes a column of the weights once, which is as long as a row of the input.
            "Gemm" => [product(output()?), product(input(1)?) / output()?.last()?.max(&1)],
            "MatMul" => [product(output()?), *input(0)?.last()?],
            _ => [0, 0],
        };
        each[0].checked_mul(each[1])
    }
}

/// Sizes that a file declares, one image where the first is open.
fn sizes(info: &ValueInfoProto) -> Option<Vec<u64>> {
    let shape = info.r#type.as_ref()?.tensor_type.as_ref()?.shape.as_ref()?;
    let size = |(at, dim): (usize, &DimensionProto)| match dim.dim_value {
        Some(size) if size > 0 => u64::try_from(size).ok(),
        _ => (at == 0).then_some(1),
    };
    shape.dim.iter().enumerate().map(size).collect()
}

fn product(sizes: &[u64]) -> u64 {
    sizes.iter().fold(1, |all, size| all.saturating_mul(*size))
}
