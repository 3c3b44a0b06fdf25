//! The built-in quantizers: learned step sizes (LSQ+) and post-training min-max.

use std::sync::Arc;

use spacewright_core::quant::{
    ActivationRange, Quantizer, QuantizerError, TensorStats, WeightRange,
};

/// Learned step sizes (LSQ+, arXiv 2004.09576): per output channel weights start at three standard
/// deviations over the largest integer (section 4 there; the deviation is taken from the mean
/// absolute weight, as of a normal distribution), activations at their observed range.
///
/// LSQ's own start (arXiv 1902.08153), 2·mean|w| / √max, leaves most of seven bits unused: the
/// largest weights of a normal distribution get the integer 17 of 63.
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

    fn activations(
        &self,
        items: &[(TensorStats, ActivationRange)],
    ) -> Result<Vec<(f32, f32)>, QuantizerError> {
        Ok(observed_ranges(items))
    }

    fn weights(
        &self,
        channels: &[TensorStats],
        range: WeightRange,
    ) -> Result<Vec<f32>, QuantizerError> {
        let deviation = |stats: &TensorStats| stats.mean_abs * (std::f32::consts::PI / 2.0).sqrt();
        let reach = |stats: &TensorStats| largest(stats).min(3.0 * deviation(stats));
        Ok(channels.iter().map(|stats| reach(stats) / range.max() as f32).collect())
    }
}

impl Quantizer for MinMax {
    fn name(&self) -> &str {
        "min-max"
    }

    fn learnable(&self) -> bool {
        false
    }

    fn activations(
        &self,
        items: &[(TensorStats, ActivationRange)],
    ) -> Result<Vec<(f32, f32)>, QuantizerError> {
        Ok(observed_ranges(items))
    }

    fn weights(
        &self,
        channels: &[TensorStats],
        range: WeightRange,
    ) -> Result<Vec<f32>, QuantizerError> {
        Ok(channels.iter().map(|stats| largest(stats) / range.max() as f32).collect())
    }
}

fn largest(stats: &TensorStats) -> f32 {
    stats.max.abs().max(stats.min.abs())
}

fn observed_ranges(items: &[(TensorStats, ActivationRange)]) -> Vec<(f32, f32)> {
    let observed = |(stats, range): &(TensorStats, ActivationRange)| {
        let low = if range.non_negative { 0.0 } else { stats.min.min(0.0) };
        let high = stats.max.max(0.0).min(range.max.unwrap_or(f32::INFINITY));
        (((high - low) / 255.0).max(1e-6), low)
    };
    items.iter().map(observed).collect()
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
        let answers =
            MinMax.activations(&[(STATS, ActivationRange::default()), (wide, relu6)]).unwrap();
        assert_eq!(answers, [(5.1 / 255.0, -1.0), (6.0 / 255.0, 0.0)]);
    }

    #[test]
    fn weights_start_at_the_published_values() {
        let scale = LsqPlus.weights(&[STATS], WeightRange::Bits8).unwrap()[0];
        assert!((scale - 3.0 * 0.5 * 1.253_314 / 127.0).abs() < 1e-6);
        assert_eq!(MinMax.weights(&[STATS], WeightRange::Bits7).unwrap(), [4.1 / 63.0]);
    }
}
