//! The built-in quantizers: learned step sizes (LSQ+) and post-training min-max.

use std::sync::Arc;

use spacewright_core::quant::{ActivationRange, Quantizer, TensorStats, WeightRange};

/// Learned step sizes (LSQ+, arXiv 2004.09576): weights start at 2·mean|w| / √max per output
/// channel (LSQ, arXiv 1902.08153), activations at their observed range.
pub struct LsqPlus;

/// Post-training quantization to the observed range.
pub struct MinMax;

impl Quantizer for LsqPlus {
    fn name(&self) -> &str {
        "lsq-plus"
    }

    fn learnable(&self) -> bool {
        true
    }

    fn activations(&self, items: &[(TensorStats, ActivationRange)]) -> Vec<(f32, f32)> {
        items.iter().map(|(stats, range)| observed_range(stats, *range)).collect()
    }

    fn weights(&self, channels: &[TensorStats], range: WeightRange) -> Vec<f32> {
        let root = (range.max() as f32).sqrt();
        channels.iter().map(|stats| 2.0 * stats.mean_abs / root).collect()
    }
}

impl Quantizer for MinMax {
    fn name(&self) -> &str {
        "min-max"
    }

    fn learnable(&self) -> bool {
        false
    }

    fn activations(&self, items: &[(TensorStats, ActivationRange)]) -> Vec<(f32, f32)> {
        items.iter().map(|(stats, range)| observed_range(stats, *range)).collect()
    }

    fn weights(&self, channels: &[TensorStats], range: WeightRange) -> Vec<f32> {
        let largest = |stats: &TensorStats| stats.max.abs().max(stats.min.abs());
        channels.iter().map(|stats| largest(stats) / range.max() as f32).collect()
    }
}

fn observed_range(stats: &TensorStats, range: ActivationRange) -> (f32, f32) {
    let low = if range.non_negative { 0.0 } else { stats.min.min(0.0) };
    let high = stats.max.max(0.0).min(range.max.unwrap_or(f32::INFINITY));
    (((high - low) / 255.0).max(1e-6), low)
}

/// All quantizers of this crate.
pub fn quantizers() -> Vec<Arc<dyn Quantizer>> {
    vec![Arc::new(LsqPlus), Arc::new(MinMax)]
}

spacewright_sdk::register!("quantizers", Quantizers, quantizers);

#[cfg(test)]
mod tests {
    use super::*;

    const STATS: TensorStats = TensorStats { min: -1.0, max: 4.1, mean_abs: 0.5 };

    #[test]
    fn ranges_hold_zero_and_respect_the_operator() {
        let relu6 = ActivationRange { non_negative: true, max: Some(6.0) };
        let wide = TensorStats { max: 9.0, ..STATS };
        let answers = MinMax.activations(&[(STATS, ActivationRange::default()), (wide, relu6)]);
        assert_eq!(answers, [(5.1 / 255.0, -1.0), (6.0 / 255.0, 0.0)]);
    }

    #[test]
    fn weights_start_at_the_published_values() {
        assert_eq!(LsqPlus.weights(&[STATS], WeightRange::Bits8), [1.0 / 127f32.sqrt()]);
        assert_eq!(MinMax.weights(&[STATS], WeightRange::Bits7), [4.1 / 63.0]);
    }
}
