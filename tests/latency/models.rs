//! The models that come with targets.

use spacewright_core::{
    graph::{ActivationKind, Graph, Shape},
    kernel::Kind,
    latency::{Accuracy, Position},
    operators::{BlockConfig, BlockRequest, Operators},
};
use spacewright_latency_model::{Model, Predictor};
use spacewright_operators_cnn::operator_sets;

const INTEL_VNNI: &str = include_str!("../../hardware-targets/intel-vnni/model.json");
const PIXEL_ARM: &str = include_str!("../../hardware-targets/pixel-arm/model.json");

fn predictor(text: &str) -> Predictor {
    Predictor::new(Model::from_json(text).unwrap()).unwrap()
}

fn block(name: &str, input: Shape, out_channels: usize, config: &[(&str, f64)]) -> Graph {
    let request = BlockRequest {
        block: name.into(),
        input,
        out_channels,
        stride: if input.height > 112 { 2 } else { 1 },
        activation: ActivationKind::HSwish,
        config: BlockConfig::of(config),
    };
    Operators::new(operator_sets()).unwrap().graph(&request).unwrap()
}

#[test]
fn files_are_small_and_as_the_crate_writes_them() {
    for text in [INTEL_VNNI, PIXEL_ARM] {
        assert!(text.len() < 1_000_000);
        assert!(Model::from_json(text).unwrap().to_json().unwrap() == text);
    }
}

#[test]
fn models_state_their_errors() {
    for (text, [random, width]) in
        [(INTEL_VNNI, [(0.92, 0.023), (0.91, 0.026)]), (PIXEL_ARM, [(0.995, 0.005), (0.97, 0.02)])]
    {
        let stated = Model::from_json(text).unwrap().held_out;
        let accuracies: Vec<Accuracy> = stated.iter().map(|held_out| held_out.accuracy).collect();
        assert!(stated[1].how.contains("width"), "{}", stated[1].how);
        for (accuracy, (within_10, median_error)) in accuracies.iter().zip([random, width]) {
            assert!(accuracy.within_10 >= within_10, "{accuracy:?}");
            assert!(accuracy.median_error <= median_error, "{accuracy:?}");
        }
    }
}

#[test]
fn stem_and_head_on_vnni_take_what_was_measured() {
    let predictor = predictor(INTEL_VNNI);
    for (graph, ms, unseen) in [
        (block("feature-mix", Shape::square(1280, 7), 1920, &[]), 0.291, 0),
        (block("conv", Shape::square(320, 7), 1280, &[("kernel", 1.0)]), 0.360, 0),
        // No fully connected layer was measured alone: a convolution stands in.
        (block("logits", Shape::square(1920, 1), 1000, &[]), 0.169, 1),
    ] {
        let (predicted, kernels) = predictor.graph(&graph, Position::Inside).unwrap();
        assert!((predicted.ms / ms - 1.0).abs() < 0.15, "{ms}: {predicted:?} {kernels:?}");
        assert_eq!(predicted.unseen, unseen);
        assert!(predicted.low_ms < predicted.ms && predicted.ms < predicted.high_ms);
    }
    assert_eq!(predictor.stand_in(Kind::Fc), Some(Kind::Conv));
}

#[test]
fn more_work_takes_longer() {
    for text in [INTEL_VNNI, PIXEL_ARM] {
        let predictor = predictor(text);
        let ms = |size: usize, width: usize, expand: f64| {
            let config = [("kernel", 5.0), ("expand", expand)];
            let graph = block("mobilenet-v3-res", Shape::square(width, size), width, &config);
            predictor.graph(&graph, Position::Inside).unwrap().0.ms
        };
        assert!(ms(28, 64, 6.0) > 2.0 * ms(14, 64, 6.0));
        assert!(ms(14, 96, 6.0) > 1.2 * ms(14, 64, 6.0));
        assert!(ms(14, 96, 6.0) > 1.2 * ms(14, 96, 4.0));
    }
}
