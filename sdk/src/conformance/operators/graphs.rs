//! What holds of graphs: each for itself, and all of a block type together.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
};

use spacewright_core::{
    graph::{Graph, Node, Shape, WeightSpec},
    operators::BlockRequest,
};

use super::{super::item::require, Probe, show};

/// That shapes can be inferred, and that nothing is larger than the program takes.
pub(super) fn well_formed(graph: &Graph) -> Result<(), String> {
    graph.check_bounds().map_err(|error| error.to_string())
}

fn output(graph: &Graph) -> Result<Shape, String> {
    graph.output_shape().map_err(|error| error.to_string())
}

/// That input and output channels are as asked.
pub(super) fn fits(request: &BlockRequest, graph: &Graph) -> Result<(), String> {
    request.check_answer(graph).map_err(|error| error.to_string())
}

/// That a block pools always, as those of a head do, or never.
pub(super) fn size(probe: &Probe) -> Result<(), String> {
    let pooled = |(request, graph): (&BlockRequest, &Graph)| {
        let Shape { height, width, .. } = output(graph)?;
        let asked = [request.input.height, request.input.width];
        let asked = asked.map(|size| size.div_ceil(request.stride));
        Ok::<_, String>(([height, width] == [1, 1], asked == [1, 1]))
    };
    if probe.answers().all(|answer| pooled(answer).is_ok_and(|(pooled, _)| pooled)) {
        return Ok(());
    }
    probe.answers().try_for_each(|(request, graph)| {
        let (pooled, asked) = pooled((request, graph))?;
        require(!pooled || asked, || format!("{}: the output is 1x1", show(request)))
    })
}

/// That names of nodes can be written: graphs cross to plugins and into files as text.
pub(super) fn survives_as_text(graph: &Graph) -> Result<(), String> {
    let text = graph.to_string();
    let read: Graph = text.parse().map_err(|error| format!("{error} of `{text}`"))?;
    require(read == *graph, || format!("another graph is read from `{text}`"))
}

/// A value with the request that it was seen for.
type Seen<'p, V> = (V, &'p BlockRequest);

/// The first key that is seen with two values.
fn conflict<'p, K: Eq + Hash, V: PartialEq>(
    things: impl Iterator<Item = (K, Seen<'p, V>)>,
) -> Option<(K, [Seen<'p, V>; 2])> {
    let mut first = HashMap::new();
    for (key, seen) in things {
        match first.entry(key) {
            Entry::Vacant(entry) => drop(entry.insert(seen)),
            Entry::Occupied(entry) if entry.get().0 != seen.0 => {
                let (key, before) = entry.remove_entry();
                return Some((key, [before, seen]));
            }
            Entry::Occupied(_) => {}
        }
    }
    None
}

fn weights(probe: &Probe) -> impl Iterator<Item = (WeightSpec, &BlockRequest)> {
    probe.answers().flat_map(|(request, graph)| {
        let weights = graph.weights().unwrap_or_default();
        weights.into_iter().map(move |weight| (weight, request))
    })
}

/// That a node's name stands for one operator in all configurations with the same activation.
pub(super) fn one_operator(probe: &Probe) -> Result<(), String> {
    let nodes = probe.answers().flat_map(|(request, graph)| {
        let key = |node: &Node| (node.name.clone(), request.activation);
        graph.nodes.iter().map(move |node| (key(node), (node.op.kind(), request)))
    });
    conflict(nodes).map_or(Ok(()), |((name, _), [(before, with), (kind, request)])| {
        let (kind, before) = (kind.name(), before.name());
        Err(format!("{}: `{name}` is {kind}, but {before} for {}", show(request), show(with)))
    })
}

/// That the weights of a name, which share memory, have one number of dimensions.
pub(super) fn one_rank(probe: &Probe) -> Result<(), String> {
    let ranks =
        weights(probe).map(|(weight, request)| (weight.name, (weight.shape.len(), request)));
    conflict(ranks).map_or(Ok(()), |(name, [(before, with), (rank, request)])| {
        let request = show(request);
        Err(format!("{request}: `{name}` has {rank} dimensions, but {before} for {}", show(with)))
    })
}

/// That no grouped convolution changes its shape: such weights cannot be shared.
pub(super) fn elastic_groups(probe: &Probe) -> Result<(), String> {
    let grouped = weights(probe).filter(|(weight, _)| weight.grouped);
    let shapes = grouped.map(|(weight, request)| (weight.name, (weight.shape, request)));
    conflict(shapes).map_or(Ok(()), |(name, [(before, _), (shape, request)])| {
        Err(format!(
            "{}: the grouped convolution of `{name}` is {shape:?}, and {before:?} elsewhere; \
             a stage of several widths cannot train it",
            show(request)
        ))
    })
}
