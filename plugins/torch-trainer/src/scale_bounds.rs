//! Keeps learned scales sane.
//!
//! A scale that has become so small that every value is cut off, or so large that every value is rounded
//! to zero, has no gradient that would bring it back. Scales are therefore kept within a range around
//! where they started, from statistics of weights and activations; steps that are small for their size
//! (`optim.rs`) keep most of them far from its ends.

use std::collections::BTreeMap;

use spacewright_core::quant::SMALLEST_SCALE;
use tch::Tensor;

use crate::{
    layout::Layout,
    params::{Params, SCALE, WEIGHT_SCALE},
};

/// How many times smaller or larger than at its start a scale may become.
const RANGE: f64 = 8.0;

/// The smallest and the largest that each scale may become, by the name of its tensor.
pub struct ScaleBounds(BTreeMap<String, [Tensor; 2]>);

impl ScaleBounds {
    /// Bounds around the scales as they are, within what the layout's ranges of values allow.
    pub fn around(params: &Params, layout: &Layout) -> Self {
        let bounds = |(name, scale): (&String, &Tensor)| {
            let largest = largest_scale(name, layout)?;
            let scale = scale.detach();
            let smallest = f64::from(SMALLEST_SCALE);
            let bounds = [&scale / RANGE, &scale * RANGE];
            Some((name.clone(), bounds.map(|bound| bound.clamp(smallest, largest))))
        };
        Self(params.0.iter().filter_map(bounds).collect())
    }

    /// Moves scales that are out of their bounds to the nearest bound.
    pub fn keep(&self, params: &mut Params) {
        tch::no_grad(|| {
            for (name, [smallest, largest]) in &self.0 {
                if let Some(scale) = params.0.get_mut(name) {
                    let _ = scale.clamp_tensor_(Some(smallest), Some(largest));
                }
            }
        });
    }
}

/// The largest that the scale of this name may be; `None` where it is no scale.
fn largest_scale(name: &str, layout: &Layout) -> Option<f64> {
    if name.ends_with(WEIGHT_SCALE) {
        return Some(f32::MAX.into());
    }
    let value = name.strip_suffix(SCALE)?.strip_suffix('.')?;
    let range = layout.activations.get(value).and_then(|range| range.max_scale());
    Some(range.map_or(f32::MAX.into(), f64::from))
}

#[cfg(test)]
mod tests {
    use spacewright_core::quant::ActivationRange;

    use super::*;

    #[test]
    fn scales_stay_around_their_start() {
        let mut layout = Layout::default();
        let capped = ActivationRange { non_negative: true, max: Some(6.0) };
        layout.activations.insert("a".into(), capped);
        let mut params = Params::default();
        let start = [("a.scale", 0.02f32), ("b.weight_scale", 0.05), ("b.weight", 3.0)];
        for (name, value) in start {
            params.insert(name.into(), Tensor::from_slice(&[value]));
        }
        let bounds = ScaleBounds::around(&params, &layout);
        let mut kept = |value: f32| {
            tch::no_grad(|| {
                params.0.values_mut().for_each(|param| drop(param.fill_(f64::from(value))))
            });
            bounds.keep(&mut params);
            start.map(|(name, _)| params.0[name].double_value(&[0]) as f32)
        };
        assert_eq!(kept(-1.0), [0.02 / 8.0, 0.05 / 8.0, -1.0]);
        // Six of 255 steps is all that the first value can need.
        assert_eq!(kept(100.0), [6.0 / 255.0, 0.4, 100.0]);
        assert_eq!(kept(0.021), [0.021, 0.021, 0.021]);
    }
}
