//! A quantizer that clips: the range that loses least of a Laplace distribution, after ACIQ (Banner,
//! Nahshan, Soudry: Post training 4-bit quantization of convolutional networks for
//! rapid-deployment, NeurIPS 2019, section 3). Rare large values are cut off for the sake of finer
//! steps.

use spacewright_sdk::prelude::*;

struct LaplaceClip;

/// Where to clip a Laplace distribution of scale 1 (its mean absolute value) around 0 for this many
/// levels on both sides together: the sum of what clipping and rounding lose, 2 exp(-a) +
/// a² / (3 levels²) in squares, is smallest where a exp(a) = 3 levels², which Newton's method finds.
fn clip(levels: f64) -> f64 {
    let target = (3.0 * levels * levels).ln();
    let mut a: f64 = 1.0;
    for _ in 0..20 {
        a -= (a + a.ln() - target) / (1.0 + 1.0 / a);
    }
    a
}

/// The range of activations, as step and offset.
fn activation(stats: &TensorStats, range: ActivationRange) -> (f32, f32) {
    let one_sided = range.non_negative || stats.min >= 0.0;
    // One side alone has half of the levels of a distribution on both.
    let levels = if one_sided { 512.0 } else { 256.0 };
    let most = clip(levels) as f32 * stats.mean_abs;
    let low = if one_sided { 0.0 } else { stats.min.max(-most) };
    let high = stats.max.min(most).min(range.max.unwrap_or(f32::INFINITY)).max(0.0);
    ((high - low) / 255.0, low)
}

/// The step of the weights of one output channel.
fn weight(stats: &TensorStats, range: WeightRange) -> f32 {
    let levels = f64::from(2 * range.max() + 1);
    let largest = stats.max.abs().max(stats.min.abs());
    largest.min(clip(levels) as f32 * stats.mean_abs) / range.max() as f32
}

impl Quantizer for LaplaceClip {
    fn name(&self) -> &str {
        "laplace-clip"
    }

    /// Training may move what it starts from.
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
    Plugin::new(about!()).quantizer(LaplaceClip)
}

export!(quantizer, plugin);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plugin_conforms() {
        spacewright_sdk::conformance::check(&plugin()).assert_good();
    }

    /// Those of the paper for 2, 3 and 4 bits, which it gives with two decimals.
    #[test]
    fn clipping_values_are_the_published_ones() {
        for (levels, published) in [(4.0, 2.83), (8.0, 3.89), (16.0, 5.03)] {
            assert!((clip(levels) - published).abs() < 0.01, "{levels}: {}", clip(levels));
        }
    }
}
