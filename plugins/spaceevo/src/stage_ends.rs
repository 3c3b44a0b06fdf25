//! Where the stages of a network end that knows no stages: which of its values a stage of a hyperspace can learn
//! to give.

use spacewright_core::graph::{Graph, GraphError, KernelSize, Op, Shape, ValueId};
use thiserror::Error;

/// Why stages cannot be told apart.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum StageEndsError {
    /// The network does not compute images of this side.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Too few places have the size that stages end with.
    #[error(
        "{needed} of the stages end with {size}x{size} pixels, and the network has {found} places of that size \
         that all it computes passes through"
    )]
    TooFew {
        /// Side of the maps, in pixels.
        size: usize,
        /// Stages that end with it.
        needed: usize,
        /// Places that could be their ends.
        found: usize,
    },
    /// A node that is named is not there.
    #[error("the network has no node `{0}`")]
    NoNode(String),
    /// Nodes are named that do not follow each other.
    #[error("`{0}` is not behind the node that is named before it")]
    Order(String),
    /// As many nodes must be named as stages end.
    #[error(
        "{named} nodes are named, for the end of the stem and of each stage there must be {needed}"
    )]
    Count {
        /// That were named.
        named: usize,
        /// That there must be.
        needed: usize,
    },
    /// A map of another size than the stage's.
    #[error(
        "for images of {side} pixels `{node}` gives {found}, and the stage that ends there gives {size}x{size} pixels"
    )]
    Size {
        /// Side of the images, in pixels.
        side: usize,
        /// What should end the stage.
        node: String,
        /// Side of the stage's maps, in pixels.
        size: usize,
        /// What the node gives.
        found: Shape,
    },
}

/// Names of the nodes at which the stem and the stages of a network end, for stages with these strides, the stem's
/// first: those that are named, or else, of the values that all of the network passes through, the narrow ones: a
/// block gives fewer channels than it computes with, and the next stage of a size more than the one before. Where
/// that leaves too few of a size, its blocks are divided evenly.
///
/// # Errors
///
/// Too few places of a size; names that are not there or not in order; a size that is not the stage's.
pub fn stage_ends(
    graph: &Graph,
    strides: &[usize],
    named: &[String],
) -> Result<Vec<String>, StageEndsError> {
    let ends =
        if named.is_empty() { found(graph, strides)? } else { given(graph, strides, named)? };
    check_sizes(graph, strides, &ends)?;
    Ok(ends)
}

/// That the values have the sizes of the stages that end there.
///
/// # Errors
///
/// One has another size, or the network cannot compute images of its input's size.
pub fn check_sizes(
    graph: &Graph,
    strides: &[usize],
    ends: &[String],
) -> Result<(), StageEndsError> {
    let shapes = graph.shapes()?;
    let side = graph.input.height;
    for (node, size) in ends.iter().zip(sizes(side, strides)) {
        let found = shapes[position(graph, node)? + 1];
        if (found.height, found.width) != (size, size) {
            return Err(StageEndsError::Size { side, node: node.clone(), size, found });
        }
    }
    Ok(())
}

/// Side of the maps behind each stride.
fn sizes(side: usize, strides: &[usize]) -> impl Iterator<Item = usize> {
    strides.iter().scan(side, |size, stride| {
        *size = size.div_ceil(*stride);
        Some(*size)
    })
}

fn position(graph: &Graph, name: &str) -> Result<usize, StageEndsError> {
    let position = graph.nodes.iter().position(|node| node.name == name);
    position.ok_or_else(|| StageEndsError::NoNode(name.to_owned()))
}

fn given(
    graph: &Graph,
    strides: &[usize],
    named: &[String],
) -> Result<Vec<String>, StageEndsError> {
    let (named_ends, needed) = (named.len(), strides.len());
    if named_ends != needed {
        return Err(StageEndsError::Count { named: named_ends, needed });
    }
    let mut before = None;
    for name in named {
        let at = position(graph, name)?;
        if before.is_some_and(|before| at <= before) {
            return Err(StageEndsError::Order(name.clone()));
        }
        before = Some(at);
    }
    Ok(named.to_vec())
}

/// A value that all that is computed passes through.
#[derive(Clone, Copy)]
struct Place {
    node: usize,
    channels: usize,
    size: usize,
}

fn found(graph: &Graph, strides: &[usize]) -> Result<Vec<String>, StageEndsError> {
    let mut places = places(graph)?;
    if let [.., before, last] = places[..]
        && before.size == last.size
        && widens(graph, last.node)
    {
        places.pop();
    }
    let mut wanted: Vec<(usize, usize)> = Vec::new();
    for size in sizes(graph.input.height, strides) {
        match wanted.last_mut() {
            Some((last, needed)) if *last == size => *needed += 1,
            _ => wanted.push((size, 1)),
        }
    }
    let narrow = narrow(&places);
    let mut ends = Vec::new();
    for (size, needed) in wanted {
        let of_size = |run: &&[Place]| -> Vec<Place> {
            run.iter().copied().filter(|place| place.size == size).collect()
        };
        let runs: Vec<Vec<Place>> =
            narrow.iter().map(of_size).filter(|run| !run.is_empty()).collect();
        let last_of = |run: &Vec<Place>| run[run.len() - 1];
        let mut from: Vec<Place> = runs.iter().map(last_of).collect();
        if from.len() < needed {
            from = runs.concat();
        }
        if from.len() < needed {
            return Err(StageEndsError::TooFew { size, needed, found: from.len() });
        }
        let evenly = |end: usize| from[((end + 1) * from.len()).div_ceil(needed) - 1];
        ends.extend((0..needed).map(evenly));
    }
    Ok(ends.into_iter().map(|place| graph.nodes[place.node].name.clone()).collect())
}

/// Before the map becomes a vector; of a convolution with what belongs to it only the last node.
fn places(graph: &Graph) -> Result<Vec<Place>, GraphError> {
    let shapes = graph.shapes()?;
    let consumers = graph.consumers();
    let last_use: Vec<usize> =
        consumers.iter().map(|readers| readers.last().copied().unwrap_or(0)).collect();
    let mut used_until = last_use[ValueId::INPUT.index()];
    let mut places = Vec::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        let value = ValueId::of_node(index).index();
        if used_until <= index {
            if matches!(node.op, Op::GlobalAvgPool | Op::Linear { .. }) {
                break;
            }
            let readers = &consumers[value];
            let goes_on = |reader: &usize| {
                let op = &graph.nodes[*reader].op;
                matches!(op, Op::BatchNorm { .. } | Op::Activation { .. } | Op::Dropout { .. })
            };
            if !(readers.len() == 1 && readers.iter().all(goes_on)) {
                let Shape { channels, height, .. } = shapes[value];
                places.push(Place { node: index, channels, size: height });
            }
        }
        used_until = used_until.max(last_use[value]);
    }
    Ok(places)
}

/// Whether a value comes of a 1×1 convolution that only widens: the last one before a classifier is its own.
fn widens(graph: &Graph, node: usize) -> bool {
    let mut at = node;
    loop {
        let Some(next) = graph.nodes[at].inputs.first().and_then(|input| input.node()) else {
            return false;
        };
        match &graph.nodes[at].op {
            Op::BatchNorm { .. } | Op::Activation { .. } | Op::Dropout { .. } => at = next,
            Op::Conv2d(conv) => {
                let input = graph.shapes().map(|shapes| shapes[next + 1].channels);
                return conv.kernel == KernelSize::ONE
                    && input.is_ok_and(|input| input < conv.out_channels);
            }
            _ => return false,
        }
    }
}

/// Neighbours of equal width, but for those that fewer channels follow: they are within a block.
fn narrow(places: &[Place]) -> Vec<&[Place]> {
    let runs: Vec<&[Place]> = places.chunk_by(|a, b| a.channels == b.channels).collect();
    let is_narrow =
        |at: &usize| runs.get(at + 1).is_none_or(|next| next[0].channels > runs[*at][0].channels);
    (0..runs.len()).filter(is_narrow).map(|at| runs[at]).collect()
}

/// The network with a last layer for so many classes, and the name of that layer's node; `None` where it does not
/// end with one.
pub fn with_classes(mut graph: Graph, classes: usize) -> Option<(Graph, String)> {
    let last = graph.nodes.get_mut(graph.output.node()?)?;
    match &mut last.op {
        Op::Linear { out_features, .. } => *out_features = classes,
        Op::Conv2d(conv) if conv.kernel == KernelSize::ONE && conv.groups == 1 => {
            conv.out_channels = classes
        }
        _ => return None,
    }
    let name = last.name.clone();
    Some((graph, name))
}

#[cfg(test)]
mod tests {
    use spacewright_core::graph::{ActivationKind, ConvSpec, GraphBuilder};

    use super::*;

    fn conv(
        b: &mut GraphBuilder,
        name: &str,
        x: ValueId,
        out: usize,
        kernel: usize,
        stride: usize,
    ) -> ValueId {
        b.conv_bn_act(name, x, ConvSpec::new(out, kernel).stride(stride), ActivationKind::Relu)
    }

    /// An inverted bottleneck that gives `out` channels.
    fn inverted(
        b: &mut GraphBuilder,
        name: &str,
        x: ValueId,
        [from, out]: [usize; 2],
        stride: usize,
    ) -> ValueId {
        let hidden = from * 6;
        let y = conv(b, &format!("{name}.expand"), x, hidden, 1, 1);
        let spec = ConvSpec::depthwise(hidden, 3).stride(stride);
        let y = b.conv_bn_act(&format!("{name}.dw"), y, spec, ActivationKind::Relu);
        let y = b.conv_bn(&format!("{name}.project"), y, ConvSpec::new(out, 1));
        if from == out && stride == 1 { b.add(&format!("{name}.add"), y, x) } else { y }
    }

    fn classifier(mut b: GraphBuilder, x: ValueId, head: Option<usize>) -> Graph {
        let x = head.map_or(x, |width| conv(&mut b, "head", x, width, 1, 1));
        let pooled = b.global_avg_pool("pool", x);
        let logits = b.linear("logits", pooled, 1000);
        b.finish(logits)
    }

    /// Stages of two blocks with strides 2, 2, 1.
    fn mobile() -> Graph {
        let mut b = GraphBuilder::new(Shape::square(3, 64));
        let x = b.input();
        let mut x = conv(&mut b, "stem", x, 8, 3, 2);
        for (stage, [from, out], stride) in
            [("a", [8, 12], 2), ("b", [12, 20], 2), ("c", [20, 28], 1)]
        {
            x = inverted(&mut b, &format!("{stage}0"), x, [from, out], stride);
            x = inverted(&mut b, &format!("{stage}1"), x, [out, out], 1);
        }
        classifier(b, x, Some(320))
    }

    fn residual() -> Graph {
        let mut b = GraphBuilder::new(Shape::square(3, 64));
        let x = b.input();
        let mut x = conv(&mut b, "stem", x, 8, 3, 2);
        for block in 0..4 {
            let (name, stride) = (format!("r{block}"), if block == 0 { 2 } else { 1 });
            let y = conv(&mut b, &format!("{name}.a"), x, 16, 3, stride);
            let y = b.conv_bn(&format!("{name}.b"), y, ConvSpec::new(16, 3));
            let short = match block {
                0 => b.conv_bn(&format!("{name}.short"), x, ConvSpec::new(16, 1).stride(2)),
                _ => x,
            };
            let sum = b.add(&format!("{name}.add"), y, short);
            x = b.act(&format!("{name}.relu"), sum, ActivationKind::Relu);
        }
        classifier(b, x, None)
    }

    #[test]
    fn stages_end_with_what_their_blocks_give() {
        let ends = stage_ends(&mobile(), &[2, 2, 2, 1], &[]).unwrap();
        assert_eq!(ends, ["stem.act", "a1.add", "b1.add", "c1.add"]);
        // The classifier's own convolution is no stage's end, wherever the last stage begins.
        assert_eq!(stage_ends(&mobile(), &[2, 2, 2], &[]).unwrap()[2], "c1.add");
    }

    #[test]
    fn blocks_of_one_width_are_divided_evenly() {
        let ends = stage_ends(&residual(), &[2, 2, 1], &[]).unwrap();
        assert_eq!(ends, ["stem.act", "r1.relu", "r3.relu"]);
        let few = stage_ends(&residual(), &[2, 2, 1, 1, 1, 1], &[]).unwrap_err();
        assert_eq!(few, StageEndsError::TooFew { size: 16, needed: 5, found: 4 });
        let none = stage_ends(&residual(), &[2, 2, 2], &[]).unwrap_err();
        assert_eq!(none, StageEndsError::TooFew { size: 8, needed: 1, found: 0 });
    }

    #[test]
    fn named_nodes_are_checked() {
        let ends = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            stage_ends(&mobile(), &[2, 2], &names)
        };
        assert_eq!(ends(&["stem.act", "a0.project.bn"]).unwrap()[1], "a0.project.bn");
        assert_eq!(ends(&["stem.act"]), Err(StageEndsError::Count { named: 1, needed: 2 }));
        assert_eq!(ends(&["stem.act", "x"]), Err(StageEndsError::NoNode("x".into())));
        assert_eq!(ends(&["a1.add", "stem.act"]), Err(StageEndsError::Order("stem.act".into())));
        let error = ends(&["stem.act", "b1.add"]).unwrap_err().to_string();
        assert!(error.starts_with("for images of 64 pixels `b1.add` gives 20x8x8"), "{error}");
    }

    #[test]
    fn the_last_layer_gets_other_classes() {
        let (graph, name) = with_classes(residual(), 7).unwrap();
        assert_eq!((graph.output_shape().unwrap().channels, name.as_str()), (7, "logits"));
        let mut b = GraphBuilder::new(Shape::square(3, 8));
        let pooled = b.global_avg_pool("pool", b.input());
        assert_eq!(with_classes(b.finish(pooled), 7), None);
    }
}
