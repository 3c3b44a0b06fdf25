//! From subnets to graphs.

use super::{ElasticStage, Hyperspace, SubStage, Subnet};
use crate::{
    graph::{Graph, GraphError, Shape},
    operators::{BlockConfig, BlockRequest, OperatorError, Operators},
};

/// A named piece of a network: a stage, or a block of the head.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Name of the stage or head block.
    pub name: String,
    /// Its graph; node names start with the segment's name.
    pub graph: Graph,
}

/// The graphs of a sub-stage's blocks, in order. Nodes are named `<stage>.<block index>.<node>`.
pub fn stage_blocks(
    operators: &Operators,
    stage: &ElasticStage,
    sub_stage: &SubStage,
    input: Shape,
) -> Result<Vec<Graph>, OperatorError> {
    let mut shape = input;
    let block = |(index, choice): (usize, &super::BlockChoice)| {
        let request = BlockRequest {
            block: stage.candidate.block.clone(),
            input: shape,
            out_channels: choice.width,
            stride: if index == 0 { stage.stride } else { 1 },
            activation: stage.candidate.activation,
            config: choice.config.clone(),
        };
        let graph = operators.graph(&request)?.prefixed(&format!("{}.{index}.", stage.name));
        let wrong = |source| OperatorError::Graph { block: request.block.clone(), source };
        shape = graph.output_shape().map_err(wrong)?;
        Ok(graph)
    };
    sub_stage.blocks.iter().enumerate().map(block).collect()
}

/// The graph of a sub-stage: its blocks in a row.
pub fn stage_graph(
    operators: &Operators,
    stage: &ElasticStage,
    sub_stage: &SubStage,
    input: Shape,
) -> Result<Graph, OperatorError> {
    let blocks = stage_blocks(operators, stage, sub_stage, input)?;
    let wrong = |source| OperatorError::Graph { block: stage.candidate.block.clone(), source };
    blocks.into_iter().try_fold(Graph::identity(input), Graph::then).map_err(wrong)
}

/// The head for an input of this shape, block by block.
pub fn head_segments(
    operators: &Operators,
    hyperspace: &Hyperspace,
    mut input: Shape,
) -> Result<Vec<Segment>, OperatorError> {
    let mut segments = Vec::new();
    for head in &hyperspace.head {
        let request = BlockRequest {
            block: head.block.clone(),
            input,
            out_channels: head.width,
            stride: 1,
            activation: head.activation,
            config: BlockConfig(head.config.clone()),
        };
        let graph = operators.graph(&request)?.prefixed(&format!("{}.", head.name));
        let wrong = |source| OperatorError::Graph { block: head.block.clone(), source };
        input = graph.output_shape().map_err(wrong)?;
        segments.push(Segment { name: head.name.clone(), graph });
    }
    Ok(segments)
}

/// All pieces of a subnet in order: elastic stages, then the head. `stages` are the elastic
/// stages of the space that the subnet belongs to.
pub fn subnet_segments(
    operators: &Operators,
    hyperspace: &Hyperspace,
    stages: &[ElasticStage],
    subnet: &Subnet,
) -> Result<Vec<Segment>, OperatorError> {
    let mut shape = Shape::square(hyperspace.input_channels, subnet.resolution);
    let mut segments = Vec::new();
    for (stage, sub_stage) in stages.iter().zip(&subnet.stages) {
        let graph = stage_graph(operators, stage, sub_stage, shape)?;
        let wrong = |source| OperatorError::Graph { block: stage.candidate.block.clone(), source };
        shape = graph.output_shape().map_err(wrong)?;
        segments.push(Segment { name: stage.name.clone(), graph });
    }
    segments.extend(head_segments(operators, hyperspace, shape)?);
    Ok(segments)
}

/// Joins segments into one graph.
pub fn network(segments: Vec<Segment>) -> Result<Graph, GraphError> {
    let mut graphs = segments.into_iter().map(|segment| segment.graph);
    let first = graphs.next().ok_or_else(|| GraphError::Structure {
        node: "output".into(),
        reason: "a network needs at least one segment".into(),
    })?;
    graphs.try_fold(first, Graph::then)
}
