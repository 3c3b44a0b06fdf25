//! Tests that all who compute by hand agree: loops on the processor, tensor operations, kernels on GPUs.

use spacewright_core::{
    graph::ActivationKind,
    quant::{ActivationRange, WeightRange},
    train::Compute,
};
use tch::{Device, Kind, Tensor};

use crate::{
    convolve, device, fake_quant,
    normalize::{Normalization, Rectifier, Rounding},
    optim::{Optimizer, Rule},
    params::Params,
    testing::randn,
};

#[allow(unsafe_code, reason = "calls a function that takes a truth value")]
fn compose(yes: bool) {
    unsafe extern "C" {
        fn spacewright_compose(yes: bool);
    }
    // SAFETY: sets a value of this thread.
    unsafe { spacewright_compose(yes) }
}

/// Where something is computed, and how.
#[derive(Debug, Clone, Copy)]
struct Place {
    device: Device,
    composed: bool,
    kind: Kind,
}

const PROCESSOR: Place = Place { device: Device::Cpu, composed: false, kind: Kind::Float };

/// What is computed from leaves, and their gradients for random ones of the result, all on the processor.
fn computed(place: Place, leaves: &[Tensor], work: &dyn Fn(&[Tensor]) -> Tensor) -> Vec<Tensor> {
    compose(place.composed);
    let own = |leaf: &Tensor| leaf.copy().to_device(place.device).set_requires_grad(true);
    let leaves: Vec<Tensor> = leaves.iter().map(own).collect();
    let y = work(&leaves);
    let upstream = randn("upstream", &y.size()).to_device(place.device);
    (y.to_kind(Kind::Float) * upstream).sum(Kind::Float).backward();
    compose(false);
    let gradient = |leaf: &Tensor| {
        let gradient = leaf.grad();
        if gradient.defined() { gradient } else { leaf.zeros_like() }
    };
    let all = std::iter::once(y.detach()).chain(leaves.iter().map(gradient));
    all.map(|tensor| tensor.to_kind(Kind::Float).to_device(Device::Cpu)).collect()
}

/// Values that lie on the edge between two integers, or at a limit, may fall to either side: few of them. Gradients of
/// parameters, the third tensor and later ones, are sums of many elements, among them those.
fn assert_agree(what: &str, one: &[Tensor], other: &[Tensor], tolerance: f64) {
    for (index, (one, other)) in one.iter().zip(other).enumerate() {
        assert_eq!(one.size(), other.size(), "{what} {index}");
        assert!(one.isfinite().all().int64_value(&[]) != 0, "{what} {index}: is not finite");
        let size = other.abs().max().double_value(&[]).max(1e-6);
        let distance = (one - other).abs() / size;
        let share = distance.gt(tolerance).to_kind(Kind::Float).mean(Kind::Float).double_value(&[]);
        let largest = distance.max().double_value(&[]);
        let is_sum = index > 1;
        let agree = if is_sum { largest < 0.02 + 2.0 * tolerance } else { share < 3e-3 };
        assert!(agree, "{what} {index}: {share} of the elements differ, by {largest} at most");
    }
}

const SHAPES: [[i64; 4]; 7] = [
    [4, 20, 7, 5],
    [8, 16, 14, 14],
    [3, 17, 3, 3],
    [64, 96, 1, 1],
    [16, 300, 9, 9],
    [2, 1100, 3, 3],
    [2, 1030, 3, 3],
];

/// Compares everything in a place with the processor's loops.
fn compare(place: Place) {
    let tolerance = if place.kind == Kind::Float { 2e-4 } else { 2e-2 };
    let ranges = [
        (None, ActivationRange::default()),
        (Some(ActivationKind::Relu), ActivationRange { non_negative: true, max: None }),
        (Some(ActivationKind::Relu6), ActivationRange { non_negative: true, max: Some(6.0) }),
    ];
    for shape in SHAPES {
        let channels = [shape[1]];
        let x = (randn("x", &shape) * 2.0 + 0.5).to_kind(place.kind).to_kind(Kind::Float);
        let (gamma, beta) = (randn("gamma", &channels) * 0.2 + 1.0, randn("beta", &channels));
        let (scale, offset) = (Tensor::from_slice(&[0.021f32]), Tensor::from_slice(&[-1.1f32]));
        let leaves = [x, gamma, beta, scale, offset];
        for (kind, range) in ranges {
            for rounds in [false, true] {
                let normalize = |kind_of: Kind, leaves: &[Tensor]| {
                    let [x, gamma, beta, scale, offset] = leaves else { unreachable!() };
                    let rectifier = kind.and_then(Rectifier::of).unwrap_or(Rectifier::NONE);
                    let rounding = rounds.then(|| Rounding::learned(scale, offset, range));
                    let normalization =
                        Normalization { gamma, beta, eps: 1e-5, rectifier, rounding };
                    normalization.by_batch(&x.to_kind(kind_of)).unwrap()
                };
                let expected = computed(PROCESSOR, &leaves, &|l| normalize(Kind::Float, l));
                let found = computed(place, &leaves, &|l| normalize(place.kind, l));
                let what =
                    format!("normalization of {shape:?}, {kind:?}, rounded: {rounds}, {place:?}");
                assert_agree(&what, &found, &expected, tolerance);
            }
            let round = |kind_of: Kind, leaves: &[Tensor]| {
                let [x, _, _, scale, offset] = leaves else { unreachable!() };
                fake_quant::activation(&x.to_kind(kind_of), scale, offset, range).unwrap()
            };
            let expected = computed(PROCESSOR, &leaves, &|l| round(Kind::Float, l));
            let found = computed(place, &leaves, &|l| round(place.kind, l));
            assert_agree(
                &format!("rounding of {shape:?}, {place:?}"),
                &found,
                &expected,
                tolerance,
            );
        }
    }
    for shape in [&[24i64, 10, 3, 3] as &[i64], &[40, 1, 5, 5], &[30, 64, 1, 1], &[10, 33]] {
        for range in [WeightRange::Bits7, WeightRange::PairAware8] {
            let scales = randn("scales", &shape[..1]).abs() * 0.02 + 1e-3;
            let leaves = [randn("w", shape), scales];
            let work = |leaves: &[Tensor]| {
                // The first channels only, as of an elastic weight.
                let part = |tensor: &Tensor| tensor.narrow(0, 0, shape[0] - 3);
                fake_quant::weight(&part(&leaves[0]), &part(&leaves[1]), range).unwrap()
            };
            let expected = computed(PROCESSOR, &leaves, &work);
            let found = computed(place, &leaves, &work);
            let what = format!("rounding of weights {shape:?}, {range:?}, {place:?}");
            assert_agree(&what, &found, &expected, 1e-5);
        }
    }
    let leaves = [
        randn("x", &[5, 1, 15, 15]).to_kind(place.kind).to_kind(Kind::Float),
        Tensor::from_slice(&[0.021f32]),
        Tensor::from_slice(&[-1.1f32]),
    ];
    // A part of a batch, whose first element lies anywhere.
    let part = |kind: Kind, leaves: &[Tensor]| {
        let x = leaves[0].to_kind(kind).narrow(0, 1, 3);
        fake_quant::activation(&x, &leaves[1], &leaves[2], ActivationRange::default()).unwrap()
    };
    let expected = computed(PROCESSOR, &leaves, &|l| part(Kind::Float, l));
    let found = computed(place, &leaves, &|l| part(place.kind, l));
    assert_agree(&format!("rounding of a part, {place:?}"), &found, &expected, tolerance);
    what_is_no_number_stays_so(place);
    compare_descents(place);
}

fn what_is_no_number_stays_so(place: Place) {
    compose(place.composed);
    let on = |values: &[f32]| Tensor::from_slice(values).to_device(place.device);
    let (x, scale, offset) = (on(&[0.5, f32::NAN]).view([1, 2]), on(&[0.1]), on(&[-1.0]));
    let range = ActivationRange::default();
    let rounded = |x: &Tensor, scale: &Tensor| {
        let y = fake_quant::activation(&x.to_kind(place.kind), scale, &offset, range).unwrap();
        y.to_kind(Kind::Float).isnan().sum(Kind::Int64).int64_value(&[])
    };
    assert_eq!(rounded(&x, &scale), 1, "{place:?}");
    assert_eq!(rounded(&x, &on(&[f32::NAN])), 2, "{place:?}");
    let weights = |w: &Tensor, scales: &Tensor| {
        let y = fake_quant::weight(w, scales, WeightRange::PairAware8).unwrap();
        y.isnan().sum(Kind::Int64).int64_value(&[])
    };
    let w = on(&[0.5, f32::NAN, 1.0, 2.0]).view([2, 2]);
    assert_eq!(weights(&w, &on(&[0.1, 0.1])), 1, "{place:?}");
    assert_eq!(weights(&w, &on(&[0.1, f32::NAN])), 3, "{place:?}");
    compose(false);
}

fn compare_descents(place: Place) {
    let descended = |place: Place| {
        compose(place.composed);
        let mut params = Params::default();
        for (name, size) in
            [("a.weight", 5000), ("a.weight_scale", 70), ("b.gamma", 3), ("c.beta", 9)]
        {
            params.insert(name.into(), randn(name, &[size]));
        }
        let mut params = params.on(place.device);
        let mut optimizer = Optimizer::new(Rule::Sgd, 1e-2, true);
        for step in 0..4 {
            let used = |name: &str| name != "c.beta" || step == 1;
            for (name, param) in params.0.iter().filter(|(name, _)| used(name)) {
                let upstream =
                    randn(&format!("{name} {step}"), &param.size()).to_device(place.device);
                (param * upstream).sum(Kind::Float).backward();
            }
            optimizer.step(&mut params, 0.1, step).unwrap();
        }
        compose(false);
        params.on(Device::Cpu).0.into_values().map(|param| param.detach()).collect::<Vec<_>>()
    };
    assert_agree(&format!("descent, {place:?}"), &descended(place), &descended(PROCESSOR), 1e-5);
}

#[test]
fn tensor_operations_give_what_the_loops_give() {
    compare(Place { composed: true, ..PROCESSOR });
}

/// Elements of half the length are widened, and what comes of them is shortened.
#[test]
fn loops_over_short_elements_give_what_those_over_floats_give() {
    for composed in [false, true] {
        compare(Place { composed, kind: Kind::BFloat16, ..PROCESSOR });
    }
}

/// Convolutions that are not the library's own on GPUs.
fn compare_convolutions(place: Place) {
    let tolerance = if place.kind == Kind::Float { 1e-5 } else { 2e-2 };
    for (channels, side) in [(20, 15), (33, 8), (64, 28)] {
        for (kernel, stride) in [(3, 1), (3, 2), (5, 1), (5, 2), (7, 1), (7, 2)] {
            let leaves = [
                randn("x", &[5, channels, side, side + 3]),
                randn("w", &[channels, 1, kernel, kernel]),
            ];
            let library = |leaves: &[Tensor]| {
                let (stride, sides) = ([stride, stride], [kernel / 2, kernel / 2]);
                leaves[0].conv2d(&leaves[1], None::<&Tensor>, stride, sides, [1, 1], channels)
            };
            let own = |leaves: &[Tensor]| {
                let x = leaves[0].to_kind(place.kind);
                convolve::depthwise(&x, &leaves[1], stride, kernel / 2).unwrap()
            };
            let (found, expected) =
                (computed(place, &leaves, &own), computed(PROCESSOR, &leaves, &library));
            assert_agree(
                &format!("{channels} {side} {kernel} {stride}"),
                &found,
                &expected,
                tolerance,
            );
        }
    }
}

/// Alone in its process, as the GPU has to be opened before anything else is computed:
/// `cargo test -p spacewright-torch-trainer -- --ignored gpu`.
#[test]
#[ignore = "needs an NVIDIA GPU, and a process of its own"]
fn kernels_on_a_gpu_give_what_the_loops_give() {
    let device = spacewright_core::train::Device::Cuda(0);
    let compute = Compute { device, ..Compute::on_processor(1) };
    let (device, card) = device::open(&compute, 0).unwrap();
    assert!(!card.unwrap().ends_with("composed"), "there are no kernels to compare");
    for composed in [true, false] {
        for kind in [Kind::Float, Kind::BFloat16] {
            let place = Place { device, composed, kind };
            compare(place);
            compare_convolutions(place);
        }
    }
}
