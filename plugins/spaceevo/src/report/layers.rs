//! The arithmetic of a network, block by block.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use spacewright_core::{
    graph::{Graph, Op},
    space::{Space, Subnet},
    study::{StepError, StudyContext},
};

use crate::network_parts::{subnet_parts, whole_network};

/// What a network computes for one image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkShape {
    /// Its blocks, from the input to the output.
    pub layers: Vec<NetworkLayer>,
    /// Multiply-adds by operator, in the order in which the operators first occur.
    pub operators: Vec<OperatorMacs>,
    /// The most activations that are alive at once; in INT8, each is a byte.
    pub peak_activations: u64,
}

/// A block of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkLayer {
    /// Stage and index of the block within it, or the name of the head block.
    pub layer: String,
    /// Its block type; the layer's own name in the head.
    pub block: String,
    /// Channels, height and width of its output.
    pub output: [usize; 3],
    /// Multiply-adds for one image.
    pub macs: u64,
    /// Trained scalars.
    pub params: u64,
}

/// Multiply-adds of one kind of operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorMacs {
    /// What it is called, such as `3×3 convolution`.
    pub operator: String,
    /// Multiply-adds for one image.
    pub macs: u64,
}

impl NetworkShape {
    /// Of a subnet of a space.
    ///
    /// # Errors
    ///
    /// They are not of the study's hyperspace, or a block type gives no graph.
    pub fn of(study: &StudyContext, space: &Space, subnet: &Subnet) -> Result<Self, StepError> {
        let stages = space.elastic_stages(&study.hyperspace);
        let block = |layer: &str| {
            let stage = layer.split('.').next().unwrap_or(layer);
            let known = stages.iter().find(|known| known.name == stage);
            known.map_or_else(|| layer.to_owned(), |known| known.candidate.block.clone())
        };
        let mut layers = Vec::new();
        let mut operators = IndexMap::new();
        for part in subnet_parts(study, &stages, subnet)? {
            let output = part.graph.output_shape()?;
            count(&part.graph, &mut operators)?;
            layers.push(NetworkLayer {
                block: block(&part.name),
                layer: part.name,
                output: [output.channels, output.height, output.width],
                macs: part.graph.macs()?,
                params: part.graph.params()?,
            });
        }
        let operators = operators.into_iter();
        Ok(Self {
            layers,
            operators: operators.map(|(operator, macs)| OperatorMacs { operator, macs }).collect(),
            peak_activations: whole_network(study, &stages, subnet)?.peak_activation_elements()?,
        })
    }
}

/// Adds the multiply-adds of a graph by the kind of operator.
fn count(graph: &Graph, operators: &mut IndexMap<String, u64>) -> Result<(), StepError> {
    let shapes = graph.shapes()?;
    for (node, macs) in graph.nodes.iter().zip(graph.macs_of(&shapes)) {
        let operator = match &node.op {
            Op::Conv2d(conv) => {
                let channels = shapes[node.inputs[0].index()].channels;
                let kind = match conv.groups {
                    1 => "convolution",
                    groups if groups == channels => "depthwise",
                    _ => "grouped convolution",
                };
                let [rows, columns] = conv.kernel.into();
                format!("{rows}×{columns} {kind}")
            }
            Op::Linear { .. } => "linear".to_owned(),
            _ => continue,
        };
        *operators.entry(operator).or_default() += macs;
    }
    Ok(())
}
