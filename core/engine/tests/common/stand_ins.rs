//! Small operator set and quantizer, so that the engine's tests need no plugin.

use std::sync::Arc;

use spacewright_core::{
    graph::{ConvSpec, Graph, GraphBuilder},
    operators::{BlockRequest, BlockType, OperatorError, OperatorSet},
    quant::{ActivationRange, Quantizer, QuantizerError, TensorStats, WeightRange},
};

/// Block types with the names that the tests' hyperspace has.
struct Blocks;

pub fn operator_set() -> Arc<dyn OperatorSet> {
    Arc::new(Blocks)
}

impl OperatorSet for Blocks {
    fn name(&self) -> &str {
        "stand-in"
    }

    fn block_types(&self) -> Vec<BlockType> {
        let block = |name: &str, axes: &[&str]| BlockType {
            name: name.into(),
            summary: "For tests".into(),
            axes: axes.iter().map(|axis| (*axis).to_owned()).collect(),
        };
        vec![block("conv", &["kernel"]), block("mobilenet-v1", &["kernel"]), block("logits", &[])]
    }

    fn graphs(&self, requests: &[BlockRequest]) -> Result<Vec<Graph>, OperatorError> {
        requests.iter().map(graph).collect()
    }
}

fn graph(request: &BlockRequest) -> Result<Graph, OperatorError> {
    let mut b = GraphBuilder::new(request.input);
    let input = b.input();
    if request.block == "logits" {
        let x = b.global_avg_pool("pool", input);
        let x = b.linear("linear", x, request.out_channels);
        return Ok(b.finish(x));
    }
    let spec = ConvSpec::new(request.out_channels, request.count("kernel")?);
    let x = b.conv_bn_act("conv", input, spec.stride(request.stride), request.activation);
    Ok(b.finish(x))
}

/// The whole range that was observed.
struct Observed;

pub fn quantizer() -> Arc<dyn Quantizer> {
    Arc::new(Observed)
}

impl Quantizer for Observed {
    /// The default of a study.
    fn name(&self) -> &str {
        "lsq-plus"
    }

    fn learnable(&self) -> bool {
        false
    }

    fn activations(
        &self,
        items: &[(TensorStats, ActivationRange)],
    ) -> Result<Vec<(f32, f32)>, QuantizerError> {
        let scale = |stats: &TensorStats| (stats.max - stats.min) / 255.0;
        Ok(items.iter().map(|(stats, _)| (scale(stats), stats.min)).collect())
    }

    fn weights(
        &self,
        channels: &[TensorStats],
        range: WeightRange,
    ) -> Result<Vec<f32>, QuantizerError> {
        let largest = |stats: &TensorStats| stats.max.abs().max(stats.min.abs());
        Ok(channels.iter().map(|stats| largest(stats) / range.max() as f32).collect())
    }
}
