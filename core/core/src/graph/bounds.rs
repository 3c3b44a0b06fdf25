//! Bounds of graphs that come from plugins or files, so that no size that is computed from them
//! overflows or fills the memory.

use super::{Graph, GraphError, Op, Shape};

/// Channels, sides of kernels and the like: larger ones are taken for mistakes.
const LARGEST_SIZE: usize = 1 << 16;

/// Elements of one value of one image: three times as many as the widest published block has.
const MOST_ELEMENTS: u64 = 1 << 24;

/// What a graph may consist of, in sum.
struct Bounds {
    nodes: usize,
    /// Elements of all values of one image.
    elements: u64,
    /// Scalars of all weights.
    params: u64,
    /// Multiply-adds of one image.
    macs: u64,
}

const BLOCK: Bounds = Bounds { nodes: 250, elements: 1 << 26, params: 1 << 27, macs: 1 << 35 };
const NETWORK: Bounds = Bounds { nodes: 10_000, elements: 1 << 30, params: 1 << 30, macs: 1 << 38 };

impl Graph {
    /// Checks that the graph is well-formed and no larger than a block may be.
    pub fn check_bounds(&self) -> Result<(), GraphError> {
        self.check_within(&BLOCK)
    }

    /// Checks that the graph is well-formed and no larger than a whole network may be.
    pub fn check_network_bounds(&self) -> Result<(), GraphError> {
        self.check_within(&NETWORK)
    }

    fn check_within(&self, bounds: &Bounds) -> Result<(), GraphError> {
        let nodes = self.nodes.len();
        if nodes > bounds.nodes {
            let reason = format!("{nodes} nodes; at most {} are allowed", bounds.nodes);
            return Err(out_of_bounds(self.value_name(self.output), reason));
        }
        for node in &self.nodes {
            if let Some(reason) = attribute_out_of_bounds(&node.op) {
                return Err(out_of_bounds(&node.name, reason));
            }
        }
        let shapes = self.shapes()?;
        let mut elements = Sum::new("elements of values", bounds.elements);
        for (value, shape) in shapes.iter().enumerate() {
            let name = if value == 0 { Self::INPUT_NAME } else { &self.nodes[value - 1].name };
            let Shape { channels, height, width } = *shape;
            if channels.max(height).max(width) > LARGEST_SIZE {
                let reason = format!("a value of {shape}; sizes are at most {LARGEST_SIZE}");
                return Err(out_of_bounds(name, reason));
            }
            let count = product(&[channels, height, width]);
            if count > MOST_ELEMENTS {
                let reason =
                    format!("a value of {shape}; at most {MOST_ELEMENTS} elements are allowed");
                return Err(out_of_bounds(name, reason));
            }
            elements.add(name, count)?;
        }
        let mut params = Sum::new("elements of weights", bounds.params);
        for weight in self.weights()? {
            params.add(&self.nodes[weight.node].name, product(&weight.shape))?;
        }
        let mut macs = Sum::new("multiply-adds", bounds.macs);
        for (node, count) in self.nodes.iter().zip(self.macs_of(&shapes)) {
            macs.add(&node.name, count)?;
        }
        Ok(())
    }
}

fn out_of_bounds(node: &str, reason: String) -> GraphError {
    GraphError::Structure { node: node.to_owned(), reason }
}

/// The product of sizes, or the largest number where it is larger than that.
fn product(sizes: &[usize]) -> u64 {
    sizes.iter().fold(1, |product: u64, size| product.saturating_mul(*size as u64))
}

/// What is counted over a graph.
struct Sum {
    what: &'static str,
    sum: u64,
    most: u64,
}

impl Sum {
    fn new(what: &'static str, most: u64) -> Self {
        Self { what, sum: 0, most }
    }

    /// Adds what a node has.
    fn add(&mut self, node: &str, count: u64) -> Result<(), GraphError> {
        let Self { what, most, .. } = *self;
        self.sum = self.sum.saturating_add(count);
        match self.sum <= most {
            true => Ok(()),
            false => {
                let reason = format!("up to here {} {what}; at most {most} are allowed", self.sum);
                Err(out_of_bounds(node, reason))
            }
        }
    }
}

fn attribute_out_of_bounds(op: &Op) -> Option<String> {
    let sizes = match op {
        Op::Conv2d(conv) => {
            let ([rows, columns], p) = (conv.kernel.into(), conv.padding);
            let sides = [p.top, p.left, p.bottom, p.right];
            [&[conv.out_channels, rows, columns, conv.stride, conv.dilation], &sides[..]].concat()
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
        assert!(error(text).contains("up to here 38654705664 elements of weights"));
        let text = "input 65536x8x8\nf = linear(input) out=65536 bias=false\noutput f";
        assert!(error(text).contains("up to here 274877906944 elements of weights"));
        assert!(error("input 65536x65536x1\noutput input").contains("at most 16777216 elements"));
    }

    #[test]
    fn sums_are_bounded_and_not_only_each_node() {
        let conv = |name: &str, input: &str, out: usize, kernel: usize| {
            let pad = kernel / 2;
            format!(
                "{name} = conv2d({input}) out={out} kernel={kernel} stride=1 \
                 pad={pad},{pad},{pad},{pad} groups=1 bias=false\n"
            )
        };
        // Wide in between, as if it were an ordinary block.
        let wide = format!(
            "input 16x32x32\n{}{}output y",
            conv("x", "input", 65536, 1),
            conv("y", "x", 32, 1)
        );
        assert!(
            error(&wide).contains("node `x`: a value of 65536x32x32; at most 16777216 elements")
        );
        let row = |count: usize, channels: usize, kernel: usize, size: usize| {
            let nodes: String = (0..count)
                .map(|i| {
                    let input = if i == 0 { "input".into() } else { format!("c{}", i - 1) };
                    conv(&format!("c{i}"), &input, channels, kernel)
                })
                .collect();
            format!("input {channels}x{size}x{size}\n{nodes}output c{}", count - 1)
        };
        assert!(error(&row(251, 1, 1, 1)).contains("251 nodes; at most 250"));
        assert!(error(&row(5, 256, 1, 256)).contains("elements of values; at most 67108864"));
        assert!(error(&row(40, 2048, 1, 1)).contains("elements of weights; at most 134217728"));
        assert!(error(&row(15, 512, 3, 64)).contains("multiply-adds; at most 34359738368"));
        let network = row(251, 1, 1, 1).parse::<Graph>().unwrap();
        assert_eq!(network.check_network_bounds(), Ok(()));
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
