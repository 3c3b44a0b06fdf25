//! What the tests of this crate share.

use std::sync::{Arc, Mutex, PoisonError};

use rand::Rng;
use rand_distr::StandardNormal;
use spacewright_core::{
    data::{Flip, Interpolation, Resize, StudyImages, Transform},
    operators::Operators,
    random,
    target::Target,
    train::{CurvePoint, Monitor, Phase, Precision, TrainContext},
};
use spacewright_data::{Catalog, CatalogImages, Part};
use spacewright_host_ort::HostOrt;
use spacewright_quantizers::LsqPlus;

use tch::Tensor;

use crate::context::Context;

const HYPERSPACE: &str = include_str!("../tests/space.toml");

/// Normally distributed numbers, the same for the same name; torch's generator is shared by all tests.
pub fn randn(name: &str, shape: &[i64]) -> Tensor {
    let normal = random::generator(7, &[name]).sample_iter(StandardNormal);
    let values: Vec<f32> = normal.take(shape.iter().product::<i64>() as usize).collect();
    Tensor::from_slice(&values).view(shape)
}

/// Computes with so many threads. Their number is that of the whole process: one test at a time sets it, and those
/// that run later have another one unless it is put back.
pub fn with_threads<T>(threads: i32, compute: impl FnOnce() -> T) -> T {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let before = tch::get_num_threads();
    tch::set_num_threads(threads);
    let computed = compute();
    tch::set_num_threads(before);
    computed
}

fn images(count: usize) -> (Vec<u8>, Vec<u32>) {
    let mut rng = random::generator(5, &["images"]);
    let bright = |index: usize, position: usize| (position / 16) % 10 == index % 10;
    let pixel = |index: usize, position: usize, noise: u8| {
        if bright(index, position) { 200 + noise / 8 } else { noise / 4 }
    };
    let pixels = (0..count * 256).map(|at| pixel(at / 256, at % 256, rng.random())).collect();
    (pixels, (0..count).map(|index| (index % 10) as u32).collect())
}

/// A hyperspace with every kind of block on small images in ten classes.
pub fn context() -> Context {
    let part = |part: Part, (pixels, labels)| (part, pixels, labels);
    let parts = vec![part(Part::Train, images(80)), part(Part::Test, images(20))];
    let classes = (0..10).map(|class: usize| class.to_string()).collect();
    let catalog = Catalog::in_memory("stripes", classes, [1, 16, 16], parts);
    let interpolation = Interpolation::Bilinear;
    let resize = Transform::Resize(Resize { crop_share: 1.0, interpolation });
    let positions = |from: usize, to: usize| (from..to).collect::<Vec<_>>().into();
    let images = StudyImages {
        all: Arc::new(CatalogImages::new(Arc::new(catalog), None, 1)),
        train: positions(0, 60),
        held_out: positions(60, 80),
        test: positions(80, 100),
        judging: [resize.clone()].into(),
        training: [Transform::Flip(Flip::default()), resize].into(),
    };
    let job = TrainContext {
        operators: Operators::new(spacewright_operators_cnn::operator_sets()).unwrap(),
        images,
        hyperspace: toml::from_str(HYPERSPACE).unwrap(),
        scheme: HostOrt::new().description().scheme,
        quantizer: Arc::new(LsqPlus),
        seed: 1,
    };
    Context { job, device: tch::Device::Cpu, precision: Precision::Fp32, group: None }
}

/// A phase of so many steps at eight images each.
pub fn phase(steps: usize) -> Phase {
    Phase {
        steps,
        batch: 8,
        learning_rate: 0.005,
        weight_decay: 0.0,
        warmup: 0.0,
        checkpoint_steps: 100,
    }
}

/// Keeps the points of training curves; never asks to stop.
#[derive(Default)]
pub struct Curves(pub Mutex<Vec<CurvePoint>>);

impl Monitor for Curves {
    fn progress(&self, _: usize, _: usize, _: &str) {}

    fn curve(&self, point: &CurvePoint) {
        self.0.lock().unwrap().push(point.clone());
    }

    fn cancelled(&self) -> bool {
        false
    }
}

/// Nobody looks, nobody asks to stop.
pub struct Unwatched;

impl Monitor for Unwatched {
    fn progress(&self, _: usize, _: usize, _: &str) {}

    fn cancelled(&self) -> bool {
        false
    }
}
