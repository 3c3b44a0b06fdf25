//! Multiply-adds by the shapes that a file says.

use spacewright_core::model::{ModelSummary, OperatorSummary};

/// Multiply-adds of an operator with weights for one image; 0 of others.
pub(super) fn multiply_adds(summary: &ModelSummary, found: &OperatorSummary) -> u64 {
    let shape = |place: Option<&usize>| -> Vec<u64> {
        let tensor = place.and_then(|place| summary.tensors.get(*place));
        let sizes = tensor.iter().flat_map(|tensor| &tensor.shape);
        sizes.map(|size| (*size).max(1) as u64).collect()
    };
    let elements = |shape: &[u64]| shape.iter().fold(1u64, |all, size| all.saturating_mul(*size));
    let [input, weights] = [0, 1].map(|at| shape(found.inputs.get(at)));
    let output = elements(&shape(found.outputs.first()));
    let last = |shape: &[u64]| shape.last().copied().unwrap_or(1);
    match found.kind.as_str() {
        // Each output takes the weights of its channel once.
        "CONV_2D" | "FULLY_CONNECTED" => {
            let channels = weights.first().copied().unwrap_or(1);
            output.saturating_mul(elements(&weights)) / channels
        }
        "DEPTHWISE_CONV_2D" | "CONV_3D" => {
            output.saturating_mul(elements(&weights)) / last(&weights)
        }
        // Each input gives the weights of its channel once.
        "TRANSPOSE_CONV" => {
            let input = shape(found.inputs.get(2));
            elements(&input).saturating_mul(elements(&weights)) / last(&input)
        }
        "BATCH_MATMUL" => elements(&input).saturating_mul(last(&weights)),
        _ => 0,
    }
}
