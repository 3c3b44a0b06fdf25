//! From columns to milliseconds: a roofline (Williams, Waterman, Patterson: Roofline, an insightful
//! visual performance model for multicore architectures, CACM 2009) with a systolic array, lanes
//! beside it and a cache of weights.

use spacewright_sdk::prelude::*;

use crate::Parameters;

/// How an operator runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    /// Folded into the operator before it.
    Free,
    /// A convolution or linear layer.
    Products,
    /// A pool, which reads a window for each element of its output.
    Window,
    /// Passes over the elements of its first input.
    Passes(u64),
    /// One pass over all that is written.
    Copies,
    /// On the host: the NPU has no such operator.
    Host,
}

impl Work {
    fn of(operator: &str, parameters: &Parameters) -> Result<Self, LatencyError> {
        let sigmoid = parameters.sigmoid_passes;
        // What follows its name is about windows, whose multiply-adds are known.
        let name = operator.split(' ').next().unwrap_or(operator);
        Ok(match name {
            "batch_norm" | "dropout" | "relu" | "relu6" => Self::Free,
            "conv2d" | "linear" => Self::Products,
            "avg_pool" | "max_pool" => Self::Window,
            "add" | "mul" | "global_avg_pool" => Self::Passes(1),
            "sigmoid" => Self::Passes(sigmoid),
            "concat" => Self::Copies,
            // Computed as a sigmoid and a product.
            "swish" => Self::Passes(sigmoid + 1),
            "h_sigmoid" | "h_swish" => Self::Host,
            _ => {
                let reason = format!("the model of the NPU has no operator `{operator}`");
                return Err(LatencyError::new(reason));
            }
        })
    }
}

/// Latencies of an NPU with these parameters.
#[derive(Debug, Clone, Copy)]
pub struct Model(pub Parameters);

impl Model {
    /// Milliseconds of each graph of a batch; an error names an operator that is unknown.
    pub fn milliseconds(&self, graphs: &GraphColumns) -> Result<Vec<f64>, LatencyError> {
        let work = |name: &String| Work::of(name, &self.0);
        let work: Vec<Work> = graphs.operators.iter().map(work).collect::<Result<_, _>>()?;
        Ok((0..graphs.first_node.len()).map(|graph| self.graph(graphs, graph, &work)).collect())
    }

    /// The one place that knows precisions: integers run on the NPU, which has nothing else, so
    /// that a network in floating point runs on the host.
    fn graph(&self, graphs: &GraphColumns, graph: usize, work: &[Work]) -> f64 {
        let nodes = graphs.nodes_of(graph).enumerate();
        let nodes = nodes.map(|(at, node)| Node::of(graphs, graph, at, node, work));
        let ms = if graphs.precision[graph] == Precision::Fp32 as u8 {
            nodes.map(|node| self.on_host(&node)).sum()
        } else {
            let (mut operators, mut weight_bytes) = (0.0, 0);
            for node in nodes {
                operators += self.on_npu(&node);
                weight_bytes += node.weight_bytes();
            }
            operators + self.streaming(weight_bytes) + self.call(graphs.position[graph])
        };
        // An empty graph takes some time, too.
        f64::max(ms, self.0.operator_ms)
    }

    fn call(&self, position: u8) -> f64 {
        let calls = [Position::Whole as u8, Position::First as u8].contains(&position);
        if calls { self.0.call_ms } else { 0.0 }
    }

    /// Weights that the cache has no room for. A part of a network is taken to have it for itself.
    fn streaming(&self, weight_bytes: u64) -> f64 {
        weight_bytes.saturating_sub(self.0.cache_bytes) as f64 / self.0.link_bytes_per_ms
    }

    fn on_npu(&self, node: &Node) -> f64 {
        let p = &self.0;
        let cycles = match node.work {
            Work::Free => return 0.0,
            Work::Host => return self.fallback(node),
            Work::Products => self.product_cycles(node),
            Work::Window => (node.window * node.written).div_ceil(p.lanes),
            Work::Passes(passes) => passes * node.first_read.div_ceil(p.lanes),
            Work::Copies => node.written.div_ceil(p.lanes),
        };
        let memory_cycles = (node.read + node.written) as f64 / p.bytes_per_cycle;
        let cycles = (cycles as f64).max(memory_cycles);
        p.operator_ms + cycles / (p.efficiency * p.cycles_per_ms)
    }

    /// The better of two ways. The array holds a tile of weights, `rows` products by `columns`
    /// output channels, which takes `rows` cycles to load, hidden behind the tile before it; then
    /// one pixel passes in a cycle. The lanes take one product in a cycle for each output channel,
    /// which is better for depth-wise convolutions.
    fn product_cycles(&self, node: &Node) -> u64 {
        let p = &self.0;
        let (pixels, channels) = (node.pixels, node.out_channels);
        let products = node.macs / (pixels * channels);
        let tiles = products.div_ceil(p.rows) * (channels / node.groups).div_ceil(p.columns);
        let array = node.groups * tiles * pixels.max(p.rows);
        let lanes = pixels * products * channels.div_ceil(p.lanes);
        array.min(lanes)
    }

    /// Values go to the host and come back.
    fn fallback(&self, node: &Node) -> f64 {
        let moved = (node.read + node.written) as f64;
        self.0.fallback_ms + moved / self.0.link_bytes_per_ms + self.on_host(node)
    }

    fn on_host(&self, node: &Node) -> f64 {
        let p = &self.0;
        let elements = match node.work {
            Work::Free => return 0.0,
            Work::Products => return node.macs as f64 / p.host_macs_per_ms,
            Work::Window => node.window * node.written,
            Work::Passes(_) | Work::Host => node.first_read,
            Work::Copies => node.written,
        };
        elements as f64 / p.host_elements_per_ms
    }
}

/// What the model needs to know of one node; sizes count elements, which are bytes on the NPU.
struct Node {
    work: Work,
    macs: u64,
    first_read: u64,
    read: u64,
    written: u64,
    /// Elements of a window.
    window: u64,
    /// Positions of the output.
    pixels: u64,
    out_channels: u64,
    groups: u64,
}

impl Node {
    fn of(graphs: &GraphColumns, graph: usize, at: usize, node: usize, work: &[Work]) -> Self {
        let first_read = graphs.elements(graph, graphs.first_input[node]);
        let kernel = u64::from(graphs.kernel[node]);
        let pixels = u64::from(graphs.out_height[node]) * u64::from(graphs.out_width[node]);
        Self {
            work: work[usize::from(graphs.operator[node])],
            macs: graphs.macs[node],
            first_read,
            read: graphs.inputs(node).map(|value| graphs.elements(graph, value)).sum(),
            written: graphs.elements(graph, at as u32 + 1),
            window: kernel * kernel,
            pixels,
            out_channels: u64::from(graphs.out_channels[node]),
            // Linear layers have none.
            groups: u64::from(graphs.groups[node]).max(1),
        }
    }

    /// Each pixel of the output uses every weight once. A channel has a bias of 32 bits, be it that
    /// of the batch normalization.
    fn weight_bytes(&self) -> u64 {
        match self.work {
            Work::Products => self.macs / self.pixels + 4 * self.out_channels,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests;
