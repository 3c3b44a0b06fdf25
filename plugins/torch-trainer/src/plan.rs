//! Graphs that are ready to be run.

use spacewright_core::{
    graph::{Graph, Op, ValueId, WeightRole},
    quant::{PlacedGraph, Scheme, ValueQuant, place},
    space::{ElasticStage, Subnet, network, subnet_segments},
    train::{TrainContext, TrainError},
};

use crate::normalize::Rectifier;

/// A graph with its quantizers, and what running it needs to know of each node and value.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The graph with its quantizers.
    pub placed: PlacedGraph,
    /// Per node its weights: role and shape.
    pub weights: Vec<Vec<(WeightRole, Vec<usize>)>>,
    /// Per value the index of the last node that reads it; `usize::MAX` for the graph's output.
    pub last_use: Vec<usize>,
    /// Per node that normalizes, the rectifier that alone reads what it gives, and is computed with it.
    pub rectified_by: Vec<Option<usize>>,
}

impl Plan {
    /// Places quantizers after the target's scheme, and looks up weights and readers.
    pub fn new(graph: &Graph, scheme: &Scheme) -> Result<Self, TrainError> {
        let placed = place(graph, scheme)?;
        let mut weights = vec![Vec::new(); placed.graph.nodes.len()];
        for spec in placed.graph.weights()? {
            weights[spec.node].push((spec.role, spec.shape));
        }
        let mut last_use = vec![0; placed.values.len()];
        for (index, node) in placed.graph.nodes.iter().enumerate() {
            for input in &node.inputs {
                last_use[input.index()] = index;
            }
        }
        last_use[placed.graph.output.index()] = usize::MAX;
        let rectified_by = rectified_by(&placed);
        Ok(Self { placed, weights, last_use, rectified_by })
    }

    /// The value that the node of this name computes.
    pub fn value(&self, name: &str) -> Result<ValueId, TrainError> {
        let position = self.placed.graph.nodes.iter().position(|node| node.name == name);
        let missing = || TrainError::MissingValue { name: name.to_owned() };
        position.map(ValueId::of_node).ok_or_else(missing)
    }
}

fn rectified_by(placed: &PlacedGraph) -> Vec<Option<usize>> {
    let nodes = &placed.graph.nodes;
    let mut found = vec![None; nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        let value = ValueId::of_node(index);
        let is_between = matches!(placed.values[value.index()], ValueQuant::Fused);
        if !matches!(node.op, Op::BatchNorm { .. }) || !is_between || placed.graph.output == value {
            continue;
        }
        let mut readers = nodes.iter().enumerate().filter(|(_, node)| node.inputs.contains(&value));
        if let (Some((reader, node)), None) = (readers.next(), readers.next())
            && let Op::Activation { kind } = node.op
        {
            found[index] = Rectifier::of(kind).map(|_| reader);
        }
    }
    found
}

/// A whole network: a subnet of the space that has these elastic stages.
pub fn subnet_graph(
    context: &TrainContext,
    stages: &[ElasticStage],
    subnet: &Subnet,
) -> Result<Graph, TrainError> {
    let segments = subnet_segments(&context.operators, &context.hyperspace, stages, subnet)?;
    Ok(network(segments)?)
}

/// Plans the execution of a subnet of the space that has these elastic stages.
pub fn subnet_plan(
    context: &TrainContext,
    stages: &[ElasticStage],
    subnet: &Subnet,
) -> Result<Plan, TrainError> {
    Plan::new(&subnet_graph(context, stages, subnet)?, &context.scheme)
}

/// A subnet that is ready to be run.
#[derive(Debug, Clone)]
pub struct PlannedSubnet {
    /// Side of its input image, in pixels.
    pub resolution: usize,
    /// How it is run.
    pub plan: Plan,
    /// Of one image.
    pub multiply_adds: u64,
}

impl PlannedSubnet {
    /// Plans a subnet of the space that has these elastic stages.
    pub fn new(
        context: &TrainContext,
        stages: &[ElasticStage],
        subnet: &Subnet,
    ) -> Result<Self, TrainError> {
        let plan = subnet_plan(context, stages, subnet)?;
        let multiply_adds = plan.placed.graph.macs()?;
        Ok(Self { resolution: subnet.resolution, plan, multiply_adds })
    }
}
