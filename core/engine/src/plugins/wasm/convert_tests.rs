//! What crosses to a component and back is the same.

use proptest::{collection::vec, option, prelude::*};
use spacewright_core::{
    graph::{ActivationKind, OpKind, Shape},
    kernel::FusionRules,
    latency::{Accuracy, HeldOut},
    operators::{BlockConfig, BlockRequest, BlockType},
    quality::{Cell, Composition, FixedLatency, HeadRow, ScoreColumns, StemRow},
    quant::{ActivationRange, Scheme, TensorStats, WeightRange},
    score::{ConstraintScore, ScoreProblem, SpaceScore},
    space::{Hyperspace, Space},
    target::{LatencyKind, TargetDescription},
};

use super::convert;

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![-1e9..1e9, Just(f64::INFINITY), Just(f64::MIN_POSITIVE), Just(-0.0)]
}

fn text() -> impl Strategy<Value = String> {
    ".{0,20}"
}

fn requests() -> impl Strategy<Value = BlockRequest> {
    let axes = vec(("[a-z]{1,8}", number()), 0..4);
    (text(), 1usize..4096, 1usize..512, 1usize..5, 0..ActivationKind::ALL.len(), axes).prop_map(
        |(block, channels, size, stride, activation, axes)| BlockRequest {
            block,
            input: Shape::new(channels, size, size + 1),
            out_channels: channels * 2,
            stride,
            activation: ActivationKind::ALL[activation],
            config: BlockConfig(axes.into_iter().collect()),
        },
    )
}

fn columns() -> impl Strategy<Value = ScoreColumns> {
    vec((any::<u32>(), any::<u64>(), number()), 0..20).prop_map(|rows| {
        let mut columns = ScoreColumns::default();
        for (width, macs, loss) in rows {
            columns.input_width.push(width);
            columns.output_width.push(width / 2);
            columns.resolution.push(width / 3);
            columns.macs.push(macs);
            columns.params.push(macs / 2);
            columns.loss.push(loss);
            columns.latency_ms.push(-loss);
        }
        columns
    })
}

fn fixed() -> impl Strategy<Value = FixedLatency> {
    let rows = || vec((1usize..4096, 1usize..512, number()), 0..5);
    prop_oneof![
        rows().prop_map(|rows| FixedLatency::PerResolution(
            rows.into_iter().map(|(_, resolution, ms)| (resolution, ms)).collect()
        )),
        (rows(), rows()).prop_map(|(stem, head)| FixedLatency::Predicted {
            stem: stem
                .into_iter()
                .map(|(width, resolution, latency_ms)| StemRow { width, resolution, latency_ms })
                .collect(),
            head: head
                .into_iter()
                .map(|(width, resolution, latency_ms)| HeadRow { width, resolution, latency_ms })
                .collect(),
        }),
    ]
}

fn hyperspace() -> Hyperspace {
    let text = "name = \"toy\"\ninput_channels = 1\nclasses = 10\nresolutions = [32]\n\
        table_resolutions = [32]\nfixed_latency_ms = { 32 = 0.1 }\n\
        stage = [{ name = \"a\", stride = 1, widths = [8], window = 1, depths = [1, 2] }]\n\
        head = []\n\
        candidate = [{ block = \"b\", activation = \"relu\", choices = { z = [1], a = [0.1] } }]\n\
        [[stem]]\nname = \"s\"\nstride = 1\nwidths = [16]\ndepths = [1, 1]\nblock = \"conv\"\n\
        activation = \"relu\"\n";
    crate::hyperspace::parse(text, "test").unwrap()
}

proptest! {
    #[test]
    fn requests_and_block_types_survive(request in requests(), name in text(), axes in vec(text(), 0..4)) {
        let crossed = convert::operator_set::request_to_wit(&request);
        prop_assert_eq!(convert::operator_set::request_from_wit(crossed), Ok(request));
        let block = BlockType { summary: name.clone(), name, axes };
        let crossed = convert::operator_set::block_type_to_wit(&block);
        prop_assert_eq!(convert::operator_set::block_type_from_wit(crossed), block);
    }

    #[test]
    fn statistics_ranges_and_scales_survive(
        items in vec((any::<f32>(), any::<bool>(), option::of(0f32..100.0)), 0..20)
    ) {
        let stats: Vec<TensorStats> = items.iter()
            .map(|(x, ..)| TensorStats { min: -x.abs(), max: x.abs(), mean_abs: x / 2.0 })
            .filter(|stats| !stats.max.is_nan())
            .collect();
        let crossed = convert::quantizer::statistics_to_wit(stats.iter());
        prop_assert_eq!(convert::quantizer::statistics_from_wit(crossed), Ok(stats));
        let ranges: Vec<ActivationRange> = items.iter()
            .map(|(_, non_negative, max)| ActivationRange { non_negative: *non_negative, max: *max })
            .collect();
        let crossed = convert::quantizer::ranges_to_wit(ranges.iter());
        prop_assert_eq!(convert::quantizer::ranges_from_wit(crossed), Ok(ranges));
    }

    #[test]
    fn problems_survive(
        cells in prop::collection::btree_map((0usize..9, 0usize..9, 0usize..9), columns(), 0..4),
        fixed in fixed(),
        constraints_ms in vec(number(), 0..4),
        consistent in any::<bool>(),
    ) {
        let cell = |(stage, block, window)| Cell { stage, block, window };
        let problem = ScoreProblem {
            hyperspace: hyperspace(),
            cells: cells.into_iter().map(|(at, rows)| (cell(at), rows)).collect(),
            fixed,
            constraints_ms,
            composition: if consistent { Composition::Consistent } else { Composition::Independent },
        };
        let crossed = convert::scorer::problem_to_wit(&problem).unwrap();
        prop_assert_eq!(convert::scorer::problem_from_wit(crossed), Ok(problem));
    }

    #[test]
    fn spaces_and_scores_survive(
        spaces in vec(vec((0usize..99, 0usize..99), 3), 0..9),
        limits in vec(number(), 0..3),
        score in number(),
    ) {
        let spaces: Vec<Space> = spaces.into_iter().map(|choices| Space {
            hyperspace: "toy".into(),
            blocks: choices.iter().map(|choice| choice.0).collect(),
            windows: choices.iter().map(|choice| choice.1).collect(),
        }).collect();
        let crossed = convert::scorer::spaces_to_wit(&spaces);
        prop_assert_eq!(convert::scorer::spaces_from_wit(crossed, "toy").unwrap(), spaces.clone());
        let scores: Vec<SpaceScore> = spaces.iter().enumerate().map(|(at, _)| SpaceScore {
            score: score + at as f64,
            constraints: limits.iter().map(|limit| ConstraintScore {
                limit_ms: *limit, feasible: 0.5, loss: score, penalty: 1.0, score: -score,
            }).collect(),
        }).collect();
        let crossed = convert::scorer::scores_to_wit(&scores);
        prop_assert_eq!(convert::scorer::scores_from_wit(crossed, &limits), Ok(scores));
    }

    #[test]
    fn targets_survive(name in text(), bits7 in any::<bool>()) {
        let weights = if bits7 { WeightRange::Bits7 } else { WeightRange::PairAware8 };
        let scheme = Scheme::common(name.clone(), weights);
        let accuracy = Accuracy::of([(1.0, 1.0), (1.02, 1.0), (1.08, 1.0), (1.5, 1.0)]);
        let target = TargetDescription {
            name: name.clone(),
            summary: name.clone(),
            fusion: FusionRules { ends: bits7, ..FusionRules::of_scheme(&scheme) },
            scheme,
            model_format: name.clone(),
            executes: true,
            latency: LatencyKind::Fitted,
            held_out: vec![HeldOut { how: name, accuracy }],
            unsupported: vec![OpKind::HSwish, OpKind::GlobalAvgPool],
        };
        prop_assert_eq!(convert::target::from_wit(convert::target::to_wit(&target)), Ok(target));
    }
}

#[test]
fn what_crosses_wrongly_is_named() {
    let npu = TargetDescription::modelled("npu", "", "onnx");
    let mut target = convert::target::to_wit(&npu);
    target.fusion = None;
    assert_eq!(convert::target::from_wit(target), Ok(npu));
    let mut target = convert::target::to_wit(&TargetDescription::modelled("npu", "", "onnx"));
    target.scheme.dense_weights = "bits3".into();
    let error = convert::target::from_wit(target).unwrap_err().to_string();
    assert!(error.starts_with("scheme.dense-weights: unknown variant `bits3`"), "{error}");
}
