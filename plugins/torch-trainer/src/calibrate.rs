//! Where quantization parameters start.

use rand_pcg::Pcg64Mcg;
use spacewright_core::{
    quant::{Quantizer, SMALLEST_SCALE, TensorStats, WeightRange},
    random,
    train::{TrainContext, TrainError},
};
use tch::{Kind, Tensor};

use crate::{
    interpret::Observations,
    layout::Layout,
    params::{self, OFFSET, Params, SCALE, WEIGHT_SCALE},
};

/// Subnets of a supernet to observe before giving up on values that none of them has. Few are needed as a rule:
/// only values of blocks that the largest subnet lacks (another configuration's) wait for a draw.
const OBSERVED_SUBNETS: usize = 200;
/// What is taken for values that no observed subnet had: about what batch normalization gives. The
/// scale is learned where the value ever is computed.
const NEVER_SEEN: TensorStats = TensorStats { min: -4.0, max: 4.0, mean_abs: 1.0 };

/// Adds scales and offsets for everything in `layout`: weights from their own statistics,
/// activations from what `observe` sees; it is asked again until each value has been seen.
pub fn start(
    params: &mut Params,
    layout: &Layout,
    context: &TrainContext,
    mut observe: impl FnMut(&Params, &mut Pcg64Mcg) -> Result<Observations, TrainError>,
) -> Result<(), TrainError> {
    let mut observations = Observations::new();
    let mut rng = random::generator(context.seed, &["observe"]);
    for _ in 0..OBSERVED_SUBNETS {
        if layout.activations.keys().all(|name| observations.contains_key(name)) {
            break;
        }
        for (name, stats) in tch::no_grad(|| observe(params, &mut rng))? {
            observations.entry(name).or_insert(stats);
        }
    }
    let items: Vec<_> = layout
        .activations
        .iter()
        .map(|(name, range)| (observations.get(name).copied().unwrap_or(NEVER_SEEN), *range))
        .collect();
    let answers = context.quantizer.activations(&items)?;
    for (name, (scale, offset)) in layout.activations.keys().zip(answers) {
        params.insert(format!("{name}.{SCALE}"), Tensor::from_slice(&[scale]));
        params.insert(format!("{name}.{OFFSET}"), Tensor::from_slice(&[offset]));
    }
    for (node, range) in &layout.weight_scales {
        let weight = params.get(&format!("{node}.weight"))?;
        let scales = weight_scales(weight, *range, context.quantizer.as_ref())?;
        params.insert(format!("{node}.{WEIGHT_SCALE}"), Tensor::from_slice(&scales));
    }
    Ok(())
}

/// A quantizer's scales for a weight tensor, one per output channel.
pub fn weight_scales(
    weight: &Tensor,
    range: WeightRange,
    quantizer: &dyn Quantizer,
) -> Result<Vec<f32>, TrainError> {
    let rows = weight.detach().flatten(1, -1);
    let column = |t: Tensor| params::floats("statistics of weights", &t);
    let smallest = column(rows.amin([1i64].as_slice(), false))?;
    let largest = column(rows.amax([1i64].as_slice(), false))?;
    let mean_abs = column(rows.abs().mean_dim([1i64].as_slice(), false, Kind::Float))?;
    let stats: Vec<TensorStats> = smallest
        .into_iter()
        .zip(largest)
        .zip(mean_abs)
        .map(|((min, max), mean_abs)| TensorStats { min, max, mean_abs })
        .collect();
    let scales = quantizer.weights(&stats, range)?;
    Ok(scales.into_iter().map(|scale| scale.max(SMALLEST_SCALE)).collect())
}
