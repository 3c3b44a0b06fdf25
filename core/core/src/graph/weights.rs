//! Which weights a graph has.

use serde::{Deserialize, Serialize};

use super::{Graph, GraphError, Op};

/// What a weight is to its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightRole {
    /// Kernel of a convolution (`out, in / groups, rows, columns`) or linear layer (`out, in`).
    Weight,
    /// Bias per output channel.
    Bias,
    /// Learned scale of a batch normalization.
    Gamma,
    /// Learned shift of a batch normalization.
    Beta,
}

impl WeightRole {
    /// The last part of a weight's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Weight => "weight",
            Self::Bias => "bias",
            Self::Gamma => "gamma",
            Self::Beta => "beta",
        }
    }
}

/// One weight of a graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightSpec {
    /// Index of the node that owns it.
    pub node: usize,
    /// What it is to the node.
    pub role: WeightRole,
    /// `<node>.<role>`.
    pub name: String,
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// Whether it belongs to a convolution of more than one group that is not depth-wise.
    pub grouped: bool,
}

impl WeightSpec {
    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

impl Graph {
    /// All weights in the order of their nodes.
    pub fn weights(&self) -> Result<Vec<WeightSpec>, GraphError> {
        let shapes = self.shapes()?;
        let mut weights = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let input = shapes[node.inputs[0].index()];
            let mut push = |role: WeightRole, shape: Vec<usize>, grouped| {
                let name = format!("{}.{}", node.name, role.name());
                weights.push(WeightSpec { node: index, role, name, shape, grouped });
            };
            match &node.op {
                Op::Conv2d(conv) => {
                    let per_group = input.channels / conv.groups;
                    let [rows, columns] = conv.kernel.into();
                    let shape = vec![conv.out_channels, per_group, rows, columns];
                    push(WeightRole::Weight, shape, conv.groups > 1 && per_group > 1);
                    if conv.bias {
                        push(WeightRole::Bias, vec![conv.out_channels], false);
                    }
                }
                Op::Linear { out_features, bias } => {
                    push(WeightRole::Weight, vec![*out_features, input.elements()], false);
                    if *bias {
                        push(WeightRole::Bias, vec![*out_features], false);
                    }
                }
                Op::BatchNorm { .. } => {
                    push(WeightRole::Gamma, vec![input.channels], false);
                    push(WeightRole::Beta, vec![input.channels], false);
                }
                _ => {}
            }
        }
        Ok(weights)
    }
}
