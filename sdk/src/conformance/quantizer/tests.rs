use std::sync::atomic::{AtomicU32, Ordering};

use spacewright_core::quant::{
    ActivationRange, Quantizer, QuantizerError, TensorStats, WeightRange,
};

use crate::{
    Plugin,
    conformance::testing::{about, expect},
};

type Activation = (TensorStats, ActivationRange);

/// Takes the whole range that was observed, but for what a test spoils.
#[derive(Clone, Copy)]
struct Ranges {
    name: &'static str,
    activations: fn(&[Activation]) -> Vec<(f32, f32)>,
    weights: fn(&[TensorStats], WeightRange) -> Vec<f32>,
}

impl Quantizer for Ranges {
    fn name(&self) -> &str {
        self.name
    }
    fn learnable(&self) -> bool {
        false
    }
    fn activations(&self, items: &[Activation]) -> Result<Vec<(f32, f32)>, QuantizerError> {
        Ok((self.activations)(items))
    }
    fn weights(
        &self,
        channels: &[TensorStats],
        range: WeightRange,
    ) -> Result<Vec<f32>, QuantizerError> {
        Ok((self.weights)(channels, range))
    }
}

fn observed((stats, range): &Activation) -> (f32, f32) {
    let high = stats.max.min(range.max.unwrap_or(f32::INFINITY));
    ((high - stats.min) / 255.0, stats.min)
}

fn largest(stats: &TensorStats, range: WeightRange) -> f32 {
    stats.max.abs().max(stats.min.abs()) / range.max() as f32
}

const GOOD: Ranges = Ranges {
    name: "ranges",
    activations: |items| items.iter().map(observed).collect(),
    weights: |channels, range| channels.iter().map(|stats| largest(stats, range)).collect(),
};

static ASKED: AtomicU32 = AtomicU32::new(0);

#[test]
fn a_good_quantizer_is_good() {
    expect(Plugin::new(about()).quantizer(GOOD), &[], &[]);
}

#[test]
fn faults_of_quantizers_are_named() {
    type Fault = (Ranges, &'static str, &'static str);
    let faults: [Fault; 8] = [
        (Ranges { name: "a b", ..GOOD }, "its name is legal", "`a b` is not made of"),
        (
            Ranges {
                activations: |items| match items {
                    [] => vec![(0.1, 0.0)],
                    _ => items.iter().map(observed).collect(),
                },
                ..GOOD
            },
            "activations: no answer to no question",
            "1 answers to 0 questions",
        ),
        (
            Ranges { activations: |items| vec![(0.1, 0.0); items.len().min(2)], ..GOOD },
            "activations: one answer to each question",
            "a batch of 32: 2 answers to 32 questions",
        ),
        (
            Ranges {
                activations: |items| items.iter().map(|i| (i.0.max / i.0.max, 0.0)).collect(),
                ..GOOD
            },
            "activations: scales are finite and not negative",
            "elements from 0 to 0: scale NaN, offset 0",
        ),
        (
            Ranges {
                activations: |items| {
                    let asked = ASKED.fetch_add(1, Ordering::Relaxed) as f32;
                    items.iter().map(|_| (0.0, asked)).collect()
                },
                ..GOOD
            },
            "activations: the same answer when asked again",
            "elements from 0 to 0: a different answer",
        ),
        (
            Ranges {
                activations: |items| {
                    let _first = items[0];
                    items.iter().map(observed).collect()
                },
                ..GOOD
            },
            "activations: no answer to no question",
            "panicked: index out of bounds",
        ),
        (
            Ranges {
                weights: |channels, range| {
                    let scale = |stats: &TensorStats| match range {
                        WeightRange::PairAware8 => -1.0,
                        _ => largest(stats, range),
                    };
                    channels.iter().map(scale).collect()
                },
                ..GOOD
            },
            "weights, pair_aware8: scales are finite and not negative",
            "scale -1",
        ),
        (
            Ranges {
                weights: |channels, range| match (range, channels) {
                    (WeightRange::Bits7, [_, _, ..]) => vec![0.1; channels.len()],
                    _ => channels.iter().map(|stats| largest(stats, range)).collect(),
                },
                ..GOOD
            },
            "weights, bits7: the same answer alone as in a batch",
            "elements from 0 to 0: a different answer",
        ),
    ];
    for (quantizer, check, reason) in faults {
        expect(Plugin::new(about()).quantizer(quantizer), &[(check, reason)], &[]);
    }
}

#[test]
fn doubtful_scales_are_noted() {
    let above = Ranges {
        activations: |items| items.iter().map(observed).map(|(s, o)| (s.max(0.1), o)).collect(),
        ..GOOD
    };
    let note = ("activations: known bounds are kept", "scale 0.1 reaches above Some(6.0)");
    expect(Plugin::new(about()).quantizer(above), &[], &[note]);
    let shrinking = Ranges {
        activations: |items| items.iter().map(|i| (0.001 / (1.0 + i.0.max.abs()), 0.0)).collect(),
        ..GOOD
    };
    let note = ("a wider range gets no smaller scale", "±0 gets scale 0.001, ±0.001 gets");
    expect(Plugin::new(about()).quantizer(shrinking), &[], &[note]);
}
