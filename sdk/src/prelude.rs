//! What most plugins use.

pub use std::sync::Arc;

pub use serde_json::Value;
pub use spacewright_core::{
    graph::{
        ActivationKind, ConvSpec, Graph, GraphBuilder, GraphError, Op, OpKind, Shape, ValueId,
    },
    kernel::FusionRules,
    latency::{
        Accuracy, GraphColumns, HeldOut, Interval, Latency, LatencyError, LatencyQuery,
        LatencySource, Position, Precision,
    },
    operators::{BlockConfig, BlockRequest, BlockType, OperatorError, OperatorSet},
    quality::{Cell, Composition, FixedLatency, ScoreColumns},
    quant::{
        ActivationRange, FloatNetwork, IntegerNetwork, Quantizer, QuantizerError, Scheme,
        TensorStats, WeightRange,
    },
    score::{ConstraintScore, PreparedScorer, ScoreError, ScoreProblem, Scorer, SpaceScore},
    space::{Hyperspace, Space},
    target::{
        LatencyKind, LoadedModel, Measurement, ModelInfo, ModelOutputs, Runtime, Target,
        TargetDescription, TargetError,
    },
};

pub use crate::{Plugin, about, export};
