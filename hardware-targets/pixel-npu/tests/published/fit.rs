//! Choosing parameters on published figures.

use pixel_npu::{EDGE_TPU, Parameters};

use crate::published::{Published, int8_ms};

/// The chosen parameters, where the search for them begins. The link starts, and stays where no
/// figure depends on it, at the rate of one lane of PCIe 2: 5 Gbit/s with 8 bits in 10.
const START: Parameters =
    Parameters { efficiency: 0.5, call_ms: 0.5, link_bytes_per_ms: 500_000.0, ..EDGE_TPU };

/// The chosen parameters.
pub fn chosen(parameters: &mut Parameters) -> [&mut f64; 3] {
    [&mut parameters.efficiency, &mut parameters.call_ms, &mut parameters.link_bytes_per_ms]
}

/// Sum of squares of the logarithms of modelled / published.
fn loss(parameters: &Parameters, figures: &[&Published]) -> f64 {
    let ratio = |figure: &&Published| int8_ms(*parameters, &figure.network) / figure.int8_ms;
    figures.iter().map(|figure| ratio(figure).ln().powi(2)).sum()
}

/// The parameters with the least loss, found by a search along coordinates with shrinking steps.
pub fn fitted(figures: &[&Published]) -> Parameters {
    let (mut best, mut best_loss) = (START, loss(&START, figures));
    let mut step = 0.2;
    while step > 1e-4 {
        let before = best_loss;
        for at in 0..3 {
            for factor in [1.0 + step, 1.0 / (1.0 + step)] {
                let mut next = best;
                *chosen(&mut next)[at] *= factor;
                let next_loss = loss(&next, figures);
                if next_loss < best_loss && next.efficiency <= 1.0 {
                    (best, best_loss) = (next, next_loss);
                }
            }
        }
        if best_loss == before {
            step /= 2.0;
        }
    }
    best
}
