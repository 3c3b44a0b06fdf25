//! Trees on kernels, learnt from rows of several kernels.

use super::{Settings, bins::Bins, tree::Grower};
use crate::{kernel_sums::KernelSums, model::Tree, physical::Physical};

/// Boosts trees whose sum g makes the time of a kernel `physical · exp(g)`.
///
/// With r = ln(predicted / measured) of a row, the loss is Cauchy's, by weights 1 / (1 + (r/c)²)
/// that follow from the errors of the tree before (iteratively re-weighted least squares). A
/// kernel's share s of a row's predicted time is the slope of r in the kernel's g. By Jensen's
/// inequality the sum over kernels of s · (step of g)² is at least the square of the row's step,
/// so Newton's step with this curvature goes down without a smaller learning rate.
pub(super) fn boost(
    rows: &KernelSums,
    physical: &Physical,
    bins: &Bins,
    settings: &Settings,
) -> Vec<Tree> {
    let base: Vec<f64> =
        rows.kernels().iter().map(|kernel| physical.ms(kernel, &kernel.amounts())).collect();
    let mut sums = vec![0.0; base.len()];
    let mut ms = base.clone();
    let mut slopes = vec![[0.0; 2]; base.len()];
    let mut grower = Grower::default();
    let mut trees = Vec::with_capacity(settings.trees);
    for _ in 0..settings.trees {
        slopes.fill([0.0; 2]);
        for row in rows.iter() {
            let predicted = row.sum(&ms);
            let error = (predicted / row.ms).ln();
            let relative = error / settings.outlier_scale;
            let curvature = row.weight / (1.0 + relative * relative) / predicted;
            let slope = curvature * error;
            for (kernel, count) in row.counts {
                let of = &mut slopes[*kernel as usize];
                let count = f64::from(*count);
                *of = [of[0] + count * slope, of[1] + count * curvature];
            }
        }
        for (of, ms) in slopes.iter_mut().zip(&ms) {
            *of = of.map(|value| value * ms);
        }
        let tree =
            grower.grow(bins, &slopes, settings.depth, settings.shrinkage, settings.learning_rate);
        for ((path, sum), (base, ms)) in
            grower.paths.iter().zip(&mut sums).zip(base.iter().zip(&mut ms))
        {
            *sum += f64::from(tree.leaves[usize::from(*path)]);
            *ms = base * sum.exp();
        }
        trees.push(tree);
    }
    trees
}
