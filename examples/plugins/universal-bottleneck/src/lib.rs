//! The universal inverted bottleneck (MobileNetV4, arXiv 2404.10518, section 4): an inverted
//! bottleneck whose two depth-wise convolutions are both optional, one before the expansion, one
//! between expansion and projection. With the four combinations it is an inverted bottleneck, a
//! ConvNeXt block, a feed-forward network, or the block with both.
//!
//! Which of the two is there are elastic axes, besides kernel and expand ratio.

use spacewright_sdk::prelude::*;

const BLOCK: &str = "universal-bottleneck";

struct Blocks;

/// `x → [start] → expand → [middle] → project (→ + x)`. The block's stride is that of the middle
/// convolution, else of the first, else of the projection.
fn graph(request: &BlockRequest) -> Result<Graph, OperatorError> {
    let flag = |axis: &str| match request.axis(axis)? {
        0.0 => Ok(false),
        1.0 => Ok(true),
        value => Err(OperatorError::BadChoice {
            block: BLOCK.into(),
            axis: axis.into(),
            value,
            allowed: "0 or 1".into(),
        }),
    };
    let (start, middle, kernel) = (flag("start")?, flag("middle")?, request.count("kernel")?);
    let hidden = (request.input.channels as f64 * request.axis("expand")?).round() as usize;
    if hidden == 0 {
        return Err(OperatorError::BadChoice {
            block: BLOCK.into(),
            axis: "expand".into(),
            value: request.axis("expand")?,
            allowed: "large enough for one channel".into(),
        });
    }
    let stride_of = |here: bool| if here { request.stride } else { 1 };
    let mut b = GraphBuilder::new(request.input);
    let mut x = b.input();
    if start {
        let depthwise = ConvSpec::depthwise(request.input.channels, kernel);
        x = b.conv_bn("start", x, depthwise.stride(stride_of(!middle)));
    }
    x = b.conv_bn_act("expand", x, ConvSpec::new(hidden, 1), request.activation);
    if middle {
        let depthwise = ConvSpec::depthwise(hidden, kernel).stride(request.stride);
        x = b.conv_bn_act("middle", x, depthwise, request.activation);
    }
    let project = ConvSpec::new(request.out_channels, 1).stride(stride_of(!start && !middle));
    x = b.conv_bn("project", x, project);
    if request.stride == 1 && request.input.channels == request.out_channels {
        x = b.add("sum", x, b.input());
    }
    Ok(b.finish(x))
}

impl OperatorSet for Blocks {
    fn name(&self) -> &str {
        "universal-bottleneck"
    }

    fn block_types(&self) -> Vec<BlockType> {
        vec![BlockType {
            name: BLOCK.into(),
            summary: "Inverted bottleneck with two optional depth-wise convolutions".into(),
            axes: ["kernel", "expand", "start", "middle"].map(String::from).into(),
        }]
    }

    fn graphs(&self, requests: &[BlockRequest]) -> Result<Vec<Graph>, OperatorError> {
        let of = |request: &BlockRequest| match request.block.as_str() {
            BLOCK => graph(request),
            other => Err(OperatorError::other(format!("no block type `{other}`"))),
        };
        requests.iter().map(of).collect()
    }
}

/// What this crate offers.
pub fn plugin() -> Plugin {
    Plugin::new(about!()).operator_set(Blocks).hyperspace(include_str!("../hyperspace.toml"))
}

export!(operator_set hyperspace, plugin);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plugin_conforms() {
        spacewright_sdk::conformance::check(&plugin()).assert_good();
    }

    #[test]
    fn the_four_blocks_are_there() {
        let nodes = |start: f64, middle: f64| {
            let request = BlockRequest {
                block: BLOCK.into(),
                input: Shape::square(16, 8),
                out_channels: 16,
                stride: 1,
                activation: ActivationKind::Relu,
                config: BlockConfig::of(&[
                    ("kernel", 3.0),
                    ("expand", 2.0),
                    ("start", start),
                    ("middle", middle),
                ]),
            };
            let graph = graph(&request).unwrap();
            let convolutions = graph.nodes.iter().filter(|node| node.op.kind() == OpKind::Conv2d);
            convolutions.map(|node| node.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(nodes(0.0, 0.0), ["expand", "project"]);
        assert_eq!(nodes(1.0, 0.0), ["start", "expand", "project"]);
        assert_eq!(nodes(0.0, 1.0), ["expand", "middle", "project"]);
        assert_eq!(nodes(1.0, 1.0), ["start", "expand", "middle", "project"]);
    }
}
