//! Which operators a target's runtime computes as one kernel.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Kind;
use crate::{
    graph::{GraphError, OpKind},
    latency::ColumnsError,
    quant::Scheme,
};

/// Which operators a runtime computes as one kernel, as data. An operator that no rule names is a
/// kernel of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FusionRules {
    /// Operators without any cost.
    pub skipped: Vec<OpKind>,
    /// Pairs: a kernel that begins with the first operator absorbs the second, where that is the
    /// only reader of the value before it. Chains follow by repetition: a convolution that has
    /// absorbed its batch normalization can absorb a ReLU.
    pub absorbed: Vec<(OpKind, OpKind)>,
    /// Patterns `x · f(x)`; the first that fits counts.
    pub gates: Vec<Gate>,
    /// Whether entering and leaving the runtime count as kernels: [`Kind::Entry`] of a network's
    /// first part, [`Kind::Exit`] of its last.
    #[serde(default)]
    pub ends: bool,
}

/// Pattern `x · f(x)` that the runtime computes as one kernel, where `f` is a chain of operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// For each operator of `f`, in their order, the kinds that it may have.
    pub path: Vec<Vec<OpKind>>,
    /// Kind of that kernel. It has the input of `f`, and as output channels the fewest in `f`.
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
    #[error("batch of graphs: {0}")]
    Columns(#[from] ColumnsError),
}
