//! Where a supernet's weights start.
//!
//! A distilled stage gives the teacher's features only behind its adapters, two 1×1 convolutions
//! that the supernet does not have. Both are linear, so the adapter behind one stage and the
//! adapter before the next are multiplied into the convolutions that read the next stage's input:
//! W'(o, c) = Σ_j W(o, j) · M(j, c) with M = in · out. The supernet then starts as the chain of the
//! distilled stages. The adapters' biases shift a convolution's output by a constant, which the
//! batch normalization after it removes. Operators that are not dense convolutions read the
//! unmapped input.

use std::collections::BTreeSet;

use spacewright_core::{
    graph::{Graph, Op, Shape, ValueId},
    space::head_segments,
    train::{Start, SupernetJob, TrainContext, TrainError},
};
use tch::Tensor;

use crate::{layout::first_blocks, params::Params};

/// Name of the adapter before a distilled stage.
pub const ADAPTER_IN: &str = "adapter.in";
/// Name of the adapter behind a distilled stage.
pub const ADAPTER_OUT: &str = "adapter.out";

/// A segment of the supernet with what it starts from.
struct Segment<'a> {
    name: &'a str,
    /// Dense convolutions that read the segment's input.
    readers: BTreeSet<String>,
    weights: Option<Params>,
}

/// Copies the weights that a job's stages and head blocks start from into `params`.
pub fn start(
    params: &mut Params,
    context: &TrainContext,
    job: &SupernetJob,
) -> Result<(), TrainError> {
    let mut before: Option<Map> = None;
    for segment in segments(context, job)? {
        let Some(mut weights) = segment.weights else {
            before = None;
            continue;
        };
        if let Some(map) = before.and_then(|map| map.then(kernel(&weights, ADAPTER_IN))) {
            for reader in &segment.readers {
                let name = format!("{reader}.weight");
                if let Some(mapped) = weights.0.get(&name).and_then(|weight| mapped(weight, &map)) {
                    weights.insert(name, mapped);
                }
            }
        }
        params.start_from(&weights, &[segment.name.to_owned()]);
        before = Some(kernel(&weights, ADAPTER_OUT).map_or(Map::Identity, Map::Matrix));
    }
    Ok(())
}

/// From a segment's output to the teacher's features.
enum Map {
    /// The segment is the teacher's own.
    Identity,
    Matrix(Tensor),
}

impl Map {
    /// Followed by the adapter before the next segment, which the teacher's own segments lack.
    /// `None` for the identity.
    fn then(self, adapter: Option<Tensor>) -> Option<Tensor> {
        match (self, adapter) {
            (Self::Identity, adapter) => adapter,
            (Self::Matrix(out), None) => Some(out),
            (Self::Matrix(out), Some(adapter)) => Some(adapter.matmul(&out)),
        }
    }
}

/// The weights of an adapter as a matrix, output channels first.
fn kernel(weights: &Params, adapter: &str) -> Option<Tensor> {
    Some(weights.0.get(&format!("{adapter}.weight"))?.detach().flatten(1, -1))
}

/// A convolution's weights behind a map of its input channels; `None` where the map's outputs are
/// not the convolution's inputs.
fn mapped(weight: &Tensor, map: &Tensor) -> Option<Tensor> {
    let shape = weight.size();
    let inputs = *shape.get(1)?;
    let fits = shape.len() == 4 && map.size()[0] >= inputs;
    fits.then(|| {
        let map = map.narrow(0, 0, inputs);
        Tensor::einsum("ojkl,jc->ockl", &[weight.detach(), map], None::<&[i64]>)
    })
}

fn segments<'a>(
    context: &'a TrainContext,
    job: &'a SupernetJob,
) -> Result<Vec<Segment<'a>>, TrainError> {
    let named = |start: &Start, name: &str| start.segments.iter().any(|segment| segment == name);
    let weights = |name: &str| {
        let start = job.start.iter().find(|start| named(start, name));
        start.map(|start| Params::load(&start.weights)).transpose()
    };
    let mut segments = Vec::new();
    let mut size = context.hyperspace.resolutions.iter().max().copied().unwrap_or(1);
    let mut widths = vec![context.hyperspace.input_channels];
    for stage in &job.stages {
        let blocks = first_blocks(&context.operators, stage, &widths, size)?;
        let readers = blocks.iter().flat_map(input_readers).collect();
        segments.push(Segment { name: &stage.name, readers, weights: weights(&stage.name)? });
        widths.clone_from(&stage.widths);
        size = size.div_ceil(stage.stride);
    }
    let shape = Shape::square(widths.last().copied().unwrap_or(1), size);
    let head = head_segments(&context.operators, &context.hyperspace, shape)?;
    for (block, segment) in context.hyperspace.head.iter().zip(head) {
        let readers = input_readers(&segment.graph);
        segments.push(Segment { name: &block.name, readers, weights: weights(&block.name)? });
    }
    Ok(segments)
}

fn input_readers(graph: &Graph) -> BTreeSet<String> {
    let reads = |node: &&spacewright_core::graph::Node| {
        let dense = matches!(&node.op, Op::Conv2d(conv) if conv.groups == 1);
        dense && node.inputs.contains(&ValueId::INPUT)
    };
    graph.nodes.iter().filter(reads).map(|node| node.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn a_mapped_convolution_is_the_adapters_and_the_convolution() {
        tch::manual_seed(2);
        let random = |shape: &[i64]| Tensor::randn(shape, (Kind::Double, Device::Cpu));
        let (out, adapter) = (random(&[6, 3, 1, 1]), random(&[4, 6, 1, 1]));
        let (weight, x) = (random(&[5, 4, 3, 3]), random(&[2, 3, 8, 8]));
        let conv = |x: &Tensor, w: &Tensor, pad| {
            x.conv2d(w, None::<&Tensor>, [1, 1], [pad, pad], [1, 1], 1)
        };
        let chain = conv(&conv(&conv(&x, &out, 0), &adapter, 0), &weight, 1);
        let map = Map::Matrix(out.flatten(1, -1)).then(Some(adapter.flatten(1, -1))).unwrap();
        let folded = conv(&x, &mapped(&weight, &map).unwrap(), 1);
        assert!((chain - folded).abs().max().double_value(&[]) < 1e-9);
    }

    #[test]
    fn dense_readers_of_the_input_are_found() {
        use spacewright_core::graph::{ConvSpec, GraphBuilder};
        let mut b = GraphBuilder::new(Shape::square(4, 8));
        let x = b.input();
        let y = b.conv("dw", x, ConvSpec::depthwise(4, 3));
        let y = b.conv("project", y, ConvSpec::new(8, 1));
        let z = b.conv("shortcut", x, ConvSpec::new(8, 1));
        let y = b.add("sum", y, z);
        assert_eq!(input_readers(&b.finish(y)), BTreeSet::from(["shortcut".to_owned()]));
    }
}
