//! Which elastic tensors a set of graphs needs, and how large.
//!
//! A weight is allocated at the largest shape that any configuration asks for; a configuration
//! uses the first channels of each axis and the centre of the kernel.

use std::collections::BTreeMap;

use spacewright_core::{
    graph::{Graph, Shape, ValueId, WeightRole},
    operators::{BlockConfig, Operators},
    quant::{ActivationRange, PlacedGraph, Scheme, WeightRange, place},
    space::{
        BlockChoice, Candidate, ElasticStage, Hyperspace, SubStage, head_segments, stage_graph,
    },
    train::TrainError,
};

/// Shapes of all tensors, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layout {
    /// `<node>.<role>`: largest shape.
    pub weights: BTreeMap<String, (WeightRole, Vec<usize>)>,
    /// Nodes that have weight scales, with the integers that their weights may be.
    pub weight_scales: BTreeMap<String, WeightRange>,
    /// Quantized values.
    pub activations: BTreeMap<String, ActivationRange>,
}

pub fn other(error: impl std::fmt::Display) -> TrainError {
    TrainError::Other(error.to_string())
}

impl Layout {
    /// Enlarges the layout so that a graph fits.
    pub fn include(&mut self, graph: &Graph, scheme: &Scheme) -> Result<(), TrainError> {
        let placed = place(graph, scheme).map_err(other)?;
        for spec in placed.graph.weights().map_err(other)? {
            let node = &placed.graph.nodes[spec.node].name;
            if let (WeightRole::Weight, Some(range)) = (spec.role, placed.weights[spec.node]) {
                self.weight_scales.insert(node.clone(), range);
            }
            let entry = self.weights.entry(spec.name.clone());
            let (_, largest) = entry.or_insert_with(|| (spec.role, spec.shape.clone()));
            if spec.grouped && *largest != spec.shape {
                return Err(TrainError::Other(format!(
                    "node `{node}`: a grouped convolution cannot be elastic in width \
                     ({largest:?} and {:?}); only dense and depth-wise ones can",
                    spec.shape
                )));
            }
            for (size, needed) in largest.iter_mut().zip(&spec.shape) {
                *size = (*size).max(*needed);
            }
        }
        for (_, name, range) in placed.quantized() {
            self.activations.entry(name.to_owned()).or_insert(range);
        }
        Ok(())
    }

    /// Includes every block that an elastic stage can have behind any of `input_widths`; the
    /// input is `size` pixels wide.
    pub fn include_stage(
        &mut self,
        operators: &Operators,
        scheme: &Scheme,
        stage: &ElasticStage,
        input_widths: &[usize],
        size: usize,
    ) -> Result<(), TrainError> {
        let later = ElasticStage { stride: 1, ..stage.clone() };
        let mut block = |position: usize, stage: &ElasticStage, inputs: &[usize], size: usize| {
            for config in configs(&stage.candidate) {
                for (&input, &width) in inputs
                    .iter()
                    .flat_map(|input| stage.widths.iter().map(move |width| (input, width)))
                {
                    let choice = BlockChoice { width, config: config.clone() };
                    let graph = stage_graph(
                        operators,
                        stage,
                        &SubStage { blocks: vec![choice] },
                        Shape::square(input, size),
                    )
                    .map_err(other)?;
                    let from = format!("{}.0.", stage.name);
                    let to = format!("{}.{position}.", stage.name);
                    self.include(&renamed(graph, &from, &to), scheme)?;
                }
            }
            Ok::<_, TrainError>(())
        };
        block(0, stage, input_widths, size)?;
        for position in 1..stage.depths[1] {
            block(position, &later, &stage.widths, size.div_ceil(stage.stride))?;
        }
        Ok(())
    }

    /// The layout of a whole supernet: elastic stages and the hyperspace's head.
    pub fn of_supernet(
        operators: &Operators,
        scheme: &Scheme,
        hyperspace: &Hyperspace,
        stages: &[ElasticStage],
        resolution: usize,
    ) -> Result<Self, TrainError> {
        let mut layout = Self::default();
        let mut widths = vec![hyperspace.input_channels];
        let mut size = resolution;
        for stage in stages {
            layout.include_stage(operators, scheme, stage, &widths, size)?;
            widths.clone_from(&stage.widths);
            size = size.div_ceil(stage.stride);
        }
        for &width in &widths {
            for segment in
                head_segments(operators, hyperspace, Shape::square(width, size)).map_err(other)?
            {
                layout.include(&segment.graph, scheme)?;
            }
        }
        Ok(layout)
    }
}

fn renamed(mut graph: Graph, from: &str, to: &str) -> Graph {
    for node in &mut graph.nodes {
        if let Some(rest) = node.name.strip_prefix(from) {
            node.name = format!("{to}{rest}");
        }
    }
    graph
}

/// Every configuration of a candidate.
pub fn configs(candidate: &Candidate) -> Vec<BlockConfig> {
    candidate.choices.iter().fold(vec![BlockConfig::default()], |configs, (axis, values)| {
        let extended = |config: &BlockConfig, value: f64| {
            let mut config = config.clone();
            config.0.insert(axis.clone(), value);
            config
        };
        configs.iter().flat_map(|c| values.iter().map(move |&value| extended(c, value))).collect()
    })
}

/// A graph with its quantizers and the weights of each node.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The placed graph.
    pub placed: PlacedGraph,
    /// Per node its weights: role and shape.
    pub weights: Vec<Vec<(WeightRole, Vec<usize>)>>,
    /// Per value the last node that reads it.
    pub last_use: Vec<usize>,
}

impl Plan {
    /// Plans the execution of a graph.
    pub fn new(graph: &Graph, scheme: &Scheme) -> Result<Self, TrainError> {
        let placed = place(graph, scheme).map_err(other)?;
        let mut weights = vec![Vec::new(); placed.graph.nodes.len()];
        for spec in placed.graph.weights().map_err(other)? {
            weights[spec.node].push((spec.role, spec.shape));
        }
        let mut last_use = vec![0; placed.values.len()];
        for (index, node) in placed.graph.nodes.iter().enumerate() {
            for input in &node.inputs {
                last_use[input.index()] = index;
            }
        }
        last_use[placed.graph.output.index()] = usize::MAX;
        Ok(Self { placed, weights, last_use })
    }

    /// The value of this name, which placement keeps.
    pub fn value(&self, name: &str) -> Result<ValueId, TrainError> {
        let position = self.placed.graph.nodes.iter().position(|node| node.name == name);
        let missing = || TrainError::Other(format!("the graph has no value `{name}`"));
        position.map(ValueId::of_node).ok_or_else(missing)
    }
}
