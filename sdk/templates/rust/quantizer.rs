//! Where quantization parameters start: a study names it as `quantizer`.

use spacewright_sdk::prelude::*;

struct Quantize;

/// Fill in: the real values from `offset` on are represented, in 255 steps of `scale`.
fn activation(stats: &TensorStats, range: ActivationRange) -> (f32, f32) {
    let offset = if range.non_negative { 0.0 } else { stats.min.min(0.0) };
    let largest = stats.max.max(0.0).min(range.max.unwrap_or(f32::INFINITY));
    ((largest - offset) / 255.0, offset)
}

/// Fill in: the step between the integers that the weights of one output channel become.
fn weight(stats: &TensorStats, range: WeightRange) -> f32 {
    stats.max.abs().max(stats.min.abs()) / range.max() as f32
}

impl Quantizer for Quantize {
    fn name(&self) -> &str {
        "{{name}}"
    }

    /// Whether the answers are only where training starts.
    fn learnable(&self) -> bool {
        true
    }

    fn activations(
        &self,
        items: &[(TensorStats, ActivationRange)],
    ) -> Result<Vec<(f32, f32)>, QuantizerError> {
        Ok(items.iter().map(|(stats, range)| activation(stats, *range)).collect())
    }

    fn weights(
        &self,
        channels: &[TensorStats],
        range: WeightRange,
    ) -> Result<Vec<f32>, QuantizerError> {
        Ok(channels.iter().map(|stats| weight(stats, range)).collect())
    }
}

/// What this crate offers.
pub fn plugin() -> Plugin {
    Plugin::new(about!()).quantizer(Quantize)
}

export!(quantizer, plugin);

#[cfg(test)]
mod tests {
    #[test]
    fn the_plugin_conforms() {
        spacewright_sdk::conformance::check(&super::plugin()).assert_good();
    }
}
