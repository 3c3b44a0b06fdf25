//! Every number of the model.

/// What the modelled hardware can do. README.md has the source of each number of [`EDGE_TPU`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameters {
    /// Rows of the array: products that one column adds up in a cycle.
    pub rows: u64,
    /// Columns of the array: output channels that are computed side by side.
    pub columns: u64,
    /// Clock: cycles in a millisecond.
    pub cycles_per_ms: f64,
    /// Share of the cycles of a running operator in which it gets on; in (0, 1].
    pub efficiency: f64,
    /// Elements that are computed side by side where the array is of no use: in depth-wise
    /// convolutions, pools and element-wise operators.
    pub lanes: u64,
    /// Bytes of activations that on-chip memory reads and writes in a cycle.
    pub bytes_per_cycle: f64,
    /// On-chip memory for weights, in bytes; the rest of them come over the link in every call.
    pub cache_bytes: u64,
    /// The link to the host's memory, in bytes per millisecond.
    pub link_bytes_per_ms: f64,
    /// A call: handing over input and output, waking up. Belongs to a network's first part.
    pub call_ms: f64,
    /// What every operator costs that is not fused into another one.
    pub operator_ms: f64,
    /// Penalty of a sigmoid: passes of the lanes over its elements.
    pub sigmoid_passes: u64,
    /// Penalty of an operator that the host has to compute: interrupting the NPU and going back.
    pub fallback_ms: f64,
    /// The host's processor: multiply-adds per millisecond.
    pub host_macs_per_ms: f64,
    /// The host's processor: elements per millisecond, where nothing is multiplied and added.
    pub host_elements_per_ms: f64,
}

/// Google's Edge TPU on the Coral Dev Board, as far as it is known.
pub const EDGE_TPU: Parameters = Parameters {
    rows: 64,
    columns: 64,
    cycles_per_ms: 480_000.0,
    efficiency: 0.5,
    lanes: 64,
    bytes_per_cycle: 128.0,
    cache_bytes: 8_000_000,
    link_bytes_per_ms: 377_000.0,
    call_ms: 0.403,
    operator_ms: 0.002,
    sigmoid_passes: 4,
    fallback_ms: 0.1,
    host_macs_per_ms: 3.5e6,
    host_elements_per_ms: 2.5e5,
};
