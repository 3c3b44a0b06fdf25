//! Every question and answer of the native protocol survives the crossing, bit for bit.

#![cfg(feature = "native-protocol")]

use std::{borrow::Cow, collections::BTreeMap, fmt::Debug};

use proptest::{collection::vec, prelude::*};
use serde::{Serialize, de::DeserializeOwned};
use spacewright_plugin::{
    About, Kind,
    core::{
        foreign::MeasuredInput,
        graph::{ActivationKind, ConvSpec, Graph, GraphBuilder, Shape},
        latency::{GraphColumns, Interval, Latency, LatencyQuery, Position, Precision},
        operators::{BlockConfig, BlockRequest, BlockType},
        quality::{Cell, Composition, FixedLatency, HeadRow, ScoreColumns, StemRow},
        quant::{
            ActivationRange, FloatNetwork, IntegerNetwork, IntegerWeights, QParams, Rounding,
            TensorData, TensorStats, WeightRange,
        },
        score::{ConstraintScore, ScoreProblem, SpaceScore},
        space::{Candidate, HeadBlock, Hyperspace, Space, Stage, StemStage},
        target::{Measurement, ModelInfo, ModelOutputs, TargetDescription},
    },
    native::protocol::{Answer, Request, decode, encode},
};

/// Comparing texts finds NaN equal to itself; comparing bytes finds lost bits.
fn check_round_trip<T: Serialize + DeserializeOwned + Debug>(message: &T) {
    let bytes = encode(message).unwrap();
    let back: T = decode(&bytes).unwrap();
    assert_eq!(format!("{back:?}"), format!("{message:?}"));
    assert_eq!(encode(&back).unwrap(), bytes);
}

/// Any bits: NaN with any payload, infinities, numbers that are not normal.
fn double() -> impl Strategy<Value = f64> + Clone {
    any::<u64>().prop_map(f64::from_bits)
}

fn single() -> impl Strategy<Value = f32> + Clone {
    any::<u32>().prop_map(f32::from_bits)
}

fn name() -> impl Strategy<Value = String> {
    "\\PC{0,12}"
}

fn one_of<T: Clone + Debug + 'static>(items: &[T]) -> impl Strategy<Value = T> + use<T> {
    proptest::sample::select(items.to_vec())
}

fn requests() -> impl Strategy<Value = Vec<BlockRequest>> {
    let config = vec((name(), double()), 0..4);
    let request = (name(), 1usize..999, one_of(&ActivationKind::ALL), config).prop_map(
        |(block, size, activation, config)| BlockRequest {
            block,
            input: Shape::new(size, size + 1, size + 2),
            out_channels: size * 3,
            stride: 2,
            activation,
            config: BlockConfig(config.into_iter().collect()),
        },
    );
    vec(request, 0..4)
}

fn graph() -> impl Strategy<Value = Graph> {
    vec((1usize..9, 0usize..3, 1usize..3), 0..5).prop_map(|layers| {
        let mut b = GraphBuilder::new(Shape::square(2, 33));
        let mut x = b.input();
        for (i, (out, half, stride)) in layers.into_iter().enumerate() {
            let spec = ConvSpec::new(out, 2 * half + 1).stride(stride);
            x = b.conv_bn_act(&format!("c{i}"), x, spec, ActivationKind::HSwish);
        }
        b.finish(x)
    })
}

fn statistics() -> impl Strategy<Value = TensorStats> {
    (single(), single(), single()).prop_map(|(min, max, mean_abs)| TensorStats {
        min,
        max,
        mean_abs,
    })
}

fn ranges() -> impl Strategy<Value = ActivationRange> {
    (any::<bool>(), proptest::option::of(single()))
        .prop_map(|(non_negative, max)| ActivationRange { non_negative, max })
}

fn hyperspace() -> impl Strategy<Value = Hyperspace> {
    let candidate =
        (name(), vec((name(), vec(double(), 0..3)), 0..3)).prop_map(|(block, choices)| Candidate {
            block,
            activation: ActivationKind::Swish,
            choices: choices.into_iter().collect(),
        });
    let fixed = proptest::collection::btree_map(any::<usize>(), double(), 0..3);
    (vec(candidate, 1..3), fixed, name()).prop_map(|(candidates, fixed_latency_ms, name)| {
        Hyperspace {
            name: name.clone(),
            summary: name.clone(),
            input_channels: 3,
            classes: 10,
            fixed_input: false,
            resolutions: vec![32, 48],
            table_resolutions: vec![32],
            fixed_latency_ms,
            stem: vec![StemStage {
                name: "stem".into(),
                stride: 2,
                widths: vec![8, 16],
                depths: [1, 2],
                candidate: candidates[0].clone(),
            }],
            candidates,
            stages: vec![Stage {
                name: "stage".into(),
                stride: 1,
                widths: vec![16, 24],
                window: 2,
                depths: [1, 3],
            }],
            head: vec![HeadBlock {
                name: "head".into(),
                block: name,
                activation: ActivationKind::Relu,
                width: 10,
                config: [("kernel".into(), 3.0)].into_iter().collect(),
            }],
        }
    })
}

fn columns() -> impl Strategy<Value = ScoreColumns> {
    vec((any::<u32>(), any::<u64>(), double()), 0..4).prop_map(|rows| ScoreColumns {
        input_width: rows.iter().map(|row| row.0).collect(),
        output_width: rows.iter().map(|row| row.0 / 2).collect(),
        resolution: rows.iter().map(|row| row.0 % 512).collect(),
        macs: rows.iter().map(|row| row.1).collect(),
        params: rows.iter().map(|row| row.1 / 2).collect(),
        loss: rows.iter().map(|row| row.2).collect(),
        latency_ms: rows.iter().map(|row| -row.2).collect(),
    })
}

fn fixed_latency() -> impl Strategy<Value = FixedLatency> {
    let row = (1usize..2000, 1usize..512, double());
    prop_oneof![
        proptest::collection::btree_map(any::<usize>(), double(), 0..3)
            .prop_map(FixedLatency::PerResolution),
        vec(row, 0..3).prop_map(|rows| FixedLatency::Predicted {
            stem: rows
                .iter()
                .map(|&(width, resolution, latency_ms)| StemRow { width, resolution, latency_ms })
                .collect(),
            head: rows
                .iter()
                .map(|&(width, resolution, latency_ms)| HeadRow { width, resolution, latency_ms })
                .collect(),
        }),
    ]
}

fn problem() -> impl Strategy<Value = Box<ScoreProblem>> {
    let cell = (0usize..9, 0usize..9, 0usize..9).prop_map(|(stage, block, window)| Cell {
        stage,
        block,
        window,
    });
    let cells = proptest::collection::btree_map(cell, columns(), 0..4);
    let composition = one_of(&[Composition::Consistent, Composition::Independent]);
    (hyperspace(), cells, fixed_latency(), vec(double(), 0..3), composition).prop_map(
        |(hyperspace, cells, fixed, constraints_ms, composition)| {
            Box::new(ScoreProblem { hyperspace, cells, fixed, constraints_ms, composition })
        },
    )
}

fn spaces() -> impl Strategy<Value = Vec<Space>> {
    let choices = vec((any::<usize>(), 0usize..9), 0..4);
    let space = (name(), choices).prop_map(|(hyperspace, choices)| {
        let (blocks, windows) = choices.into_iter().unzip();
        Space { hyperspace, blocks, windows }
    });
    vec(space, 0..4)
}

fn float_network() -> impl Strategy<Value = FloatNetwork> {
    let tensor = vec(single(), 0..5).prop_map(|data| TensorData { shape: vec![data.len()], data });
    (graph(), proptest::collection::btree_map(name(), tensor, 0..3))
        .prop_map(|(graph, weights)| FloatNetwork { graph, weights })
}

fn integer_network() -> impl Strategy<Value = IntegerNetwork> {
    let weights = (vec(any::<i8>(), 0..5), vec(single(), 0..3), vec(any::<i32>(), 0..3)).prop_map(
        |(data, scales, bias)| IntegerWeights { shape: vec![data.len()], data, scales, bias },
    );
    let value =
        (single(), any::<u8>()).prop_map(|(scale, zero_point)| QParams { scale, zero_point });
    let values = vec(proptest::option::of(value), 0..4);
    (graph(), values, proptest::collection::btree_map(name(), weights, 0..3)).prop_map(
        |(graph, values, weights)| IntegerNetwork {
            graph,
            values,
            weights,
            rounding: Rounding::Xnnpack,
        },
    )
}

fn info() -> impl Strategy<Value = ModelInfo> {
    (name(), proptest::collection::btree_map(name(), name(), 0..3))
        .prop_map(|(name, metadata)| ModelInfo { name, metadata })
}

fn request() -> impl Strategy<Value = Request<'static>> {
    use Request as R;
    let plain = [
        R::About,
        R::Kinds,
        R::OperatorSet,
        R::Hyperspaces,
        R::Quantizer,
        R::Source,
        R::Scorer,
        R::Target,
        R::Runtime,
        R::FloatOperators(u64::MAX),
        R::Release(7),
        R::Measures,
        R::RuntimeFingerprint,
    ];
    let ranges_of_weights = [WeightRange::Bits7, WeightRange::Bits8, WeightRange::PairAware8];
    let outputs = one_of(&[ModelOutputs::Result, ModelOutputs::Integers]);
    let graphs = vec(graph(), 0..3).prop_map(|graphs| {
        let query =
            |graph| LatencyQuery { graph, precision: Precision::Int8, position: Position::Inside };
        let queries: Vec<LatencyQuery> = graphs.into_iter().map(query).collect();
        R::Latencies(Box::new(GraphColumns::of(&queries).unwrap()))
    });
    let image = || vec(single(), 0..9).prop_map(Cow::Owned);
    prop_oneof![
        one_of(&plain),
        requests().prop_map(|requests| R::Graphs(Cow::Owned(requests))),
        vec((statistics(), ranges()), 0..4).prop_map(|items| R::Activations(Cow::Owned(items))),
        (vec(statistics(), 0..4), one_of(&ranges_of_weights))
            .prop_map(|(channels, range)| R::Weights(Cow::Owned(channels), range)),
        graphs,
        (problem(), name()).prop_map(|(problem, options)| R::Prepare(problem, options)),
        (any::<u64>(), spaces(), any::<u64>()).prop_map(|(handle, spaces, seed)| R::Score(
            handle,
            Cow::Owned(spaces),
            seed
        )),
        (float_network(), info())
            .prop_map(|(network, info)| R::WriteFloat(Cow::Owned(network), Cow::Owned(info))),
        (integer_network(), info(), outputs).prop_map(|(network, info, outputs)| {
            R::WriteInteger(Cow::Owned(network), Cow::Owned(info), outputs)
        }),
        vec(any::<u8>(), 0..300).prop_map(|model| R::Load(Cow::Owned(model))),
        vec(any::<u8>(), 0..300).prop_map(|model| R::Measure(Cow::Owned(model))),
        (any::<u64>(), image()).prop_map(|(handle, image)| R::Run(handle, image)),
        (any::<u64>(), image()).prop_map(|(handle, image)| R::RunIntegers(handle, image)),
    ]
}

fn scores() -> impl Strategy<Value = Vec<SpaceScore>> {
    let part = (double(), double()).prop_map(|(a, b)| ConstraintScore {
        limit_ms: a,
        feasible: b,
        loss: -a,
        penalty: -b,
        score: a + b,
    });
    let score = (double(), vec(part, 0..3))
        .prop_map(|(score, constraints)| SpaceScore { score, constraints });
    vec(score, 0..4)
}

fn answer() -> impl Strategy<Value = Answer> {
    use Answer as A;
    let about = (name(), name(), name())
        .prop_map(|(name, version, summary)| A::About(About { name, version, summary }));
    let block = (name(), name(), vec(name(), 0..3)).prop_map(|(name, summary, axes)| BlockType {
        name,
        summary,
        axes,
    });
    let latency = (double(), double(), any::<u32>()).prop_map(|(ms, spread_ms, runs)| Latency {
        ms,
        spread_ms,
        runs,
        interval: (runs % 2 == 0).then_some(Interval { low_ms: ms, high_ms: spread_ms }),
    });
    let target = (name(), name(), any::<bool>()).prop_map(|(name, summary, runtime)| {
        A::Target(Box::new(TargetDescription::modelled(name, summary, "onnx")), runtime)
    });
    let measured = (double(), any::<u32>(), vec(name(), 0..3)).prop_map(|(ms, runs, warnings)| {
        let machine = BTreeMap::from([("cpu".into(), "fast".into())]);
        let (p10_ms, median_ms) = (2.0 * ms, 3.0 * ms);
        A::Measured(Measurement {
            min_ms: ms,
            p10_ms,
            median_ms,
            runs,
            drift: ms,
            warnings,
            machine,
            inputs: vec![MeasuredInput {
                name: "image".into(),
                element: "float32".into(),
                shape: vec![1, 3, 32, 32],
            }],
        })
    });
    let integers = proptest::collection::btree_map(name(), vec(any::<u8>(), 0..40), 0..3);
    prop_oneof![
        one_of(&[A::Done, A::Kinds(Kind::ALL.to_vec()), A::Handle(u64::MAX)]),
        about,
        (name(), vec(block, 0..3)).prop_map(|(name, blocks)| A::OperatorSet(name, blocks)),
        vec(graph(), 0..3)
            .prop_map(|graphs| A::Graphs(graphs.iter().map(ToString::to_string).collect())),
        vec(name(), 0..3).prop_map(A::Hyperspaces),
        (name(), any::<bool>()).prop_map(|(name, learnable)| A::Quantizer(name, learnable)),
        vec((single(), single()), 0..4).prop_map(A::Affine),
        vec(single(), 0..4).prop_map(A::Scales),
        (name(), name()).prop_map(|(name, fingerprint)| {
            A::Source(name, fingerprint, vec![Precision::Int8])
        }),
        vec(latency, 0..4).prop_map(A::Latencies),
        name().prop_map(A::Scorer),
        scores().prop_map(A::Scores),
        target,
        vec(any::<u8>(), 0..300).prop_map(A::Model),
        vec(single(), 0..9).prop_map(A::Output),
        integers.prop_map(A::Integers),
        vec(name(), 0..3).prop_map(A::Operators),
        measured,
        any::<bool>().prop_map(A::Measures),
        name().prop_map(A::RuntimeFingerprint),
        (proptest::option::of(name()), name()).prop_map(|(place, said)| A::Panicked(place, said)),
    ]
}

proptest! {
    #[test]
    fn every_question_survives(request in request()) {
        check_round_trip(&request);
    }

    #[test]
    fn every_answer_survives(answer in answer()) {
        check_round_trip(&answer);
    }

    #[test]
    fn any_bytes_are_refused_or_read_without_a_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = decode::<Request>(&bytes);
        let _ = decode::<Answer>(&bytes);
    }
}

#[test]
fn the_payload_of_nan_survives() {
    let odd = f64::from_bits(0x7ff8_dead_beef_0001);
    let latency = Latency::measured(odd, f64::NEG_INFINITY, 3);
    let bytes = encode(&Answer::Latencies(vec![latency])).unwrap();
    let Answer::Latencies(back) = decode(&bytes).unwrap() else { panic!("another answer") };
    assert_eq!(back[0].ms.to_bits(), odd.to_bits());
    assert_eq!(back[0].spread_ms, f64::NEG_INFINITY);
}

#[test]
fn a_model_takes_one_byte_for_each_of_its_bytes() {
    let model = vec![200; 10_000];
    assert!(encode(&Answer::Model(model.clone())).unwrap().len() < 10_020);
    assert!(
        encode(&Answer::Integers(BTreeMap::from([("x".into(), model)]))).unwrap().len() < 10_020
    );
}
