//! What a block type answers to requests that a study could make.

use spacewright_core::{
    graph::{ActivationKind, Graph, Shape},
    operators::{BlockConfig, BlockRequest, BlockType, OperatorError, OperatorSet},
};

use super::super::item::guarded;

/// Channels of input and output, size of the input, stride. The first is the usual one.
const SHAPES: [(usize, usize, usize, usize); 6] = [
    (16, 32, 32, 1),
    (8, 8, 7, 1),
    (24, 64, 14, 2),
    (64, 16, 15, 2),
    (16, 16, 7, 2),
    (32, 32, 8, 1),
];

/// Kernels and the like.
const SIZES: [f64; 4] = [3.0, 5.0, 7.0, 1.0];
/// Everything else: ratios, counts, shares.
const RATIOS: [f64; 5] = [1.0, 2.0, 4.0, 0.5, 3.0];
/// Configurations that are tried at the usual shape, and those of them that are at all others.
const MOST_TRIED: usize = 200;
const MOST_VARIED: usize = 12;

/// The replies of one block type to requests that were made one by one.
pub(super) struct Probe {
    pub block: BlockType,
    /// The requests that got a graph; the first has the usual shape.
    pub requests: Vec<BlockRequest>,
    /// Their graphs.
    pub graphs: Vec<Graph>,
    pub refusals: Vec<Refusal>,
    /// The first reply that was neither a graph nor an error.
    pub broken: Option<Broken>,
}

/// A request that got an error.
pub(super) struct Refusal {
    pub request: BlockRequest,
    pub reason: String,
    /// Whether the error names an axis or the activation: such values need not be taken.
    pub names_choice: bool,
}

/// A request with a panic, or with another number of graphs than one.
pub(super) struct Broken {
    pub request: BlockRequest,
    pub reason: String,
}

impl Refusal {
    /// Whether the request has the usual shape.
    pub fn is_usual(&self) -> bool {
        let usual = request("", BlockConfig::default());
        let BlockRequest { input, out_channels, stride, .. } = self.request;
        (input, out_channels, stride) == (usual.input, usual.out_channels, usual.stride)
    }
}

/// A request of the usual shape.
pub(super) fn request(block: &str, config: BlockConfig) -> BlockRequest {
    shaped(SHAPES[0], block, ActivationKind::Relu, config)
}

fn shaped(
    (channels, out_channels, size, stride): (usize, usize, usize, usize),
    block: &str,
    activation: ActivationKind,
    config: BlockConfig,
) -> BlockRequest {
    let input = Shape::square(channels, size);
    BlockRequest { block: block.into(), input, out_channels, stride, activation, config }
}

impl Probe {
    /// Finds configurations that work, with the first activation that has some; then asks for
    /// them in all shapes, and for one of them with all activations.
    pub fn of(set: &dyn OperatorSet, block: &BlockType) -> Self {
        let mut probe = Self {
            block: block.clone(),
            requests: Vec::new(),
            graphs: Vec::new(),
            refusals: Vec::new(),
            broken: None,
        };
        let configs = configurations(&block.axes);
        for activation in ActivationKind::ALL {
            let mut works = |config: &BlockConfig| {
                probe.ask(set, shaped(SHAPES[0], &block.name, activation, config.clone()))
            };
            let working = configs.iter().filter(|config| works(config)).cloned().collect();
            if !probe.graphs.is_empty() {
                probe.vary(set, activation, &thinned(working, MOST_VARIED));
            }
            if !probe.graphs.is_empty() || probe.broken.is_some() {
                break;
            }
        }
        probe
    }

    fn vary(&mut self, set: &dyn OperatorSet, usual: ActivationKind, configs: &[BlockConfig]) {
        let name = self.block.name.clone();
        for config in configs {
            for shape in &SHAPES[1..] {
                self.ask(set, shaped(*shape, &name, usual, config.clone()));
            }
        }
        for activation in ActivationKind::ALL.into_iter().filter(|kind| *kind != usual) {
            for shape in SHAPES {
                self.ask(set, shaped(shape, &name, activation, configs[0].clone()));
            }
        }
    }

    /// Keeps the reply; whether it is a graph.
    fn ask(&mut self, set: &dyn OperatorSet, request: BlockRequest) -> bool {
        let reason = match guarded(|| set.graphs(std::slice::from_ref(&request))) {
            Ok(Ok(graphs)) if graphs.len() == 1 => {
                self.requests.push(request);
                self.graphs.extend(graphs);
                return true;
            }
            // Carriers turn panics into errors.
            Ok(Err(error)) if panicked(&error) => error.to_string(),
            Ok(Err(error)) => {
                let reason = error.to_string();
                let names_choice = self.names_choice(&request, &reason);
                self.refusals.push(Refusal { request, reason, names_choice });
                return false;
            }
            Ok(Ok(graphs)) => format!("{} graphs for one request", graphs.len()),
            Err(panic) => panic,
        };
        self.broken.get_or_insert(Broken { request, reason });
        false
    }

    fn names_choice(&self, request: &BlockRequest, reason: &str) -> bool {
        let axes = self.block.axes.iter().map(String::as_str);
        let mut names = axes.chain(["activation", request.activation.name()]);
        names.any(|name| reason.contains(name))
    }

    /// The requests that got a graph, with it.
    pub fn answers(&self) -> impl Iterator<Item = (&BlockRequest, &Graph)> {
        self.requests.iter().zip(&self.graphs)
    }
}

fn panicked(error: &OperatorError) -> bool {
    match error {
        OperatorError::Other(reason) => reason.call().is_some_and(|call| call.fault.is_panic()),
        _ => false,
    }
}

/// Plausible values of all axes, in every combination or, where those are many, in some of them.
fn configurations(axes: &[String]) -> Vec<BlockConfig> {
    axes.iter().fold(vec![BlockConfig::default()], |configs, axis| {
        let with = |config: &BlockConfig, value: f64| {
            let mut config = config.clone();
            config.0.insert(axis.clone(), value);
            config
        };
        let extended =
            configs.iter().flat_map(|config| values(axis).iter().map(|value| with(config, *value)));
        thinned(extended.collect(), MOST_TRIED)
    })
}

fn values(axis: &str) -> &'static [f64] {
    let is_size =
        axis == "k" || ["kernel", "window", "size"].iter().any(|part| axis.contains(part));
    if is_size { &SIZES } else { &RATIOS }
}

/// At most so many of them, evenly spread.
fn thinned<T>(all: Vec<T>, most: usize) -> Vec<T> {
    let step = all.len().div_ceil(most).max(1);
    all.into_iter().step_by(step).collect()
}
