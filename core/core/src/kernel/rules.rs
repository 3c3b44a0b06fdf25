//! What a target's runtime computes together.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Kind;
use crate::{
    graph::{GraphError, OpKind},
    quant::Scheme,
};

/// Which operators a runtime computes together, as data. What no rule takes is a kernel of its
/// own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FusionRules {
    /// Operators without any cost.
    pub skipped: Vec<OpKind>,
    /// Pairs: a kernel that begins with the first operator absorbs the second, where that is the
    /// only reader of the value before it. Chains follow by repetition: a convolution that has
    /// absorbed its batch normalization can absorb a ReLU.
    pub absorbed: Vec<(OpKind, OpKind)>,
    /// Values that are multiplied with something computed from them; the first that fits counts.
    pub gates: Vec<Gate>,
    /// Whether entering and leaving the runtime count as kernels: [`Kind::Entry`] of a network's
    /// first part, [`Kind::Exit`] of its last.
    #[serde(default)]
    pub ends: bool,
}

/// A chain of operators from a value to a factor of it, and their product, as one kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// For each operator of the chain the kinds that it may have.
    pub path: Vec<Vec<OpKind>>,
    /// What the whole is. Its input is the value; its output channels are the fewest on the path.
    pub kernel: Kind,
}

impl Gate {
    /// Squeeze and excitation (arXiv 1709.01507): a pool, two layers with an activation between
    /// them, and a gate.
    pub fn squeeze_excite() -> Self {
        let layer = vec![OpKind::Conv2d, OpKind::Linear];
        let activation = vec![OpKind::Relu, OpKind::Relu6, OpKind::HSwish, OpKind::Swish];
        let gate = vec![OpKind::HSigmoid, OpKind::Sigmoid];
        let path = vec![vec![OpKind::GlobalAvgPool], layer.clone(), activation, layer, gate];
        Self { path, kernel: Kind::Se }
    }

    /// Swish or hard-swish, written as a product.
    pub fn swish() -> Self {
        Self { path: vec![vec![OpKind::Sigmoid, OpKind::HSigmoid]], kernel: Kind::Act }
    }
}

impl FusionRules {
    /// Rules of a runtime that absorbs these pairs, and in any case batch normalization into
    /// convolutions. Squeeze and excitation is one kernel, dropout none.
    pub fn absorbing(pairs: &[(OpKind, OpKind)]) -> Self {
        let mut absorbed = vec![(OpKind::Conv2d, OpKind::BatchNorm)];
        absorbed.extend(pairs);
        Self {
            skipped: vec![OpKind::Dropout],
            absorbed,
            gates: vec![Gate::squeeze_excite(), Gate::swish()],
            ends: false,
        }
    }

    /// Rules of the runtime that a quantization scheme describes.
    pub fn of_scheme(scheme: &Scheme) -> Self {
        Self::absorbing(&scheme.fused)
    }

    /// Rules of common runtimes: ReLU and ReLU6 end the convolution, linear layer or sum before
    /// them; other activations are kernels.
    pub fn common() -> Self {
        let clamped = |first| [(first, OpKind::Relu), (first, OpKind::Relu6)];
        Self::absorbing(&[OpKind::Conv2d, OpKind::Linear, OpKind::Add].map(clamped).concat())
    }
}

/// Why a graph has no kernels.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FusionError {
    /// The graph is wrong.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A batch of graphs in columns contradicts itself.
    #[error("graph {graph} of the batch: {reason}")]
    Columns {
        /// Position in the batch.
        graph: usize,
        /// What is wrong.
        reason: String,
    },
}
