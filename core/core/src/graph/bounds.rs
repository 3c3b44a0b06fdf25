//! Bounds of graphs that come from plugins or files, so that no size that is computed from them
//! overflows or fills the memory.

use super::{Graph, GraphError, Op, Shape};

/// More nodes than any block has.
const MOST_NODES: usize = 1000;
/// Channels, sides of kernels and the like: larger ones are taken for mistakes.
const LARGEST_SIZE: usize = 1 << 16;
/// More elements in one value or weight are taken for mistakes.
const MOST_ELEMENTS: usize = 1 << 28;

impl Graph {
    /// Checks that the graph is well-formed and no larger than a block may be.
    pub fn check_bounds(&self) -> Result<(), GraphError> {
        let out_of_bounds = |node: &str, reason: String| {
            Err(GraphError::Structure { node: node.to_owned(), reason })
        };
        let nodes = self.nodes.len();
        if nodes > MOST_NODES {
            let reason = format!("{nodes} nodes; at most {MOST_NODES} are allowed");
            return out_of_bounds(self.value_name(self.output), reason);
        }
        for node in &self.nodes {
            if let Some(reason) = attribute_out_of_bounds(&node.op) {
                return out_of_bounds(&node.name, reason);
            }
        }
        let shapes = self.shapes()?;
        for (value, shape) in shapes.iter().enumerate() {
            let name = if value == 0 { "input" } else { &self.nodes[value - 1].name };
            let Shape { channels, height, width } = *shape;
            if channels.max(height).max(width) > LARGEST_SIZE {
                return out_of_bounds(
                    name,
                    format!("a value of {shape}; sizes are at most {LARGEST_SIZE}"),
                );
            }
            if too_many(&[channels, height, width]) {
                return out_of_bounds(name, format!("a value of {shape}; {LIMIT}"));
            }
        }
        for weight in self.weights()? {
            if too_many(&weight.shape) {
                let reason = format!("a weight of {:?}; {LIMIT}", weight.shape);
                return out_of_bounds(&self.nodes[weight.node].name, reason);
            }
        }
        Ok(())
    }
}

const LIMIT: &str = "at most 2^28 elements are allowed";

fn too_many(sizes: &[usize]) -> bool {
    let product = sizes.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
    product.is_none_or(|elements| elements > MOST_ELEMENTS)
}

fn attribute_out_of_bounds(op: &Op) -> Option<String> {
    let sizes = match op {
        Op::Conv2d(conv) => {
            let p = conv.padding;
            vec![conv.out_channels, conv.kernel, conv.stride, p.top, p.left, p.bottom, p.right]
        }
        Op::AvgPool(pool) | Op::MaxPool(pool) => vec![pool.kernel, pool.stride, pool.padding],
        Op::Linear { out_features, .. } => vec![*out_features],
        Op::BatchNorm { eps } if !(eps.is_finite() && *eps >= 0.0) => {
            return Some(format!("eps = {eps} is no number from 0"));
        }
        Op::Dropout { rate } if !(0.0..1.0).contains(rate) => {
            return Some(format!("rate = {rate} is not from 0 to below 1"));
        }
        _ => Vec::new(),
    };
    let size = sizes.into_iter().find(|size| *size > LARGEST_SIZE)?;
    Some(format!("an attribute of {size}; sizes are at most {LARGEST_SIZE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let graph = text.parse::<Graph>();
        let checked = graph.and_then(|graph| graph.check_bounds());
        checked.unwrap_err().to_string()
    }

    #[test]
    fn what_would_overflow_is_named() {
        let conv = |attributes: &str| {
            format!("input 8x8x8\nc = conv2d(input) {attributes} groups=1 bias=false\noutput c")
        };
        let huge = "18446744073709551615";
        assert!(
            error(&conv(&format!("out=8 kernel=3 stride=1 pad={huge},{huge},0,0")))
                .contains("is too large")
        );
        let kernel =
            "out=8 kernel=4294967299 stride=1 pad=2147483649,2147483649,2147483649,2147483649";
        assert!(error(&conv(kernel)).starts_with("node `c`: an attribute of 4294967299; sizes"));
        let text = "input 8x8x8\np = max_pool(input) kernel=1 stride=1 pad=18446744073709551615\n\
            output p";
        assert!(error(text).contains("exceeds half of the window"));
        let text = "input 65536x1x1\nc = conv2d(input) out=65536 kernel=3 stride=1 pad=1,1,1,1 \
            groups=1 bias=false\noutput c";
        assert!(error(text).contains("a weight of [65536, 65536, 3, 3]"));
        let text = "input 65536x8x8\nf = linear(input) out=65536 bias=false\noutput f";
        assert!(error(text).contains("a weight of [65536, 4194304]"));
        assert!(error("input 65536x65536x1\noutput input").contains("at most 2^28 elements"));
    }

    #[test]
    fn numbers_outside_of_their_range_are_named() {
        let drop = |rate: &str| format!("input 8x8x8\nd = dropout(input) rate={rate}\noutput d");
        for rate in ["NaN", "1", "-0.1", "inf"] {
            assert!(error(&drop(rate)).contains("is not from 0 to below 1"));
        }
        let text = "input 8x8x8\nb = batch_norm(input) eps=NaN\noutput b";
        assert!(error(text).contains("eps = NaN is no number from 0"));
        assert_eq!(drop("0.2").parse::<Graph>().unwrap().check_bounds(), Ok(()));
    }
}
