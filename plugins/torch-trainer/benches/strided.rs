//! The gradient of a strided convolution's input on one thread: by the library, and as training computes it.
//! `cargo bench -p spacewright-torch-trainer` prints the smallest time of each, in turns, and their ratio.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::{env, time::Instant};

use spacewright_core::graph::{ConvSpec, Op, Padding};
use spacewright_torch_trainer::{NAME, convolve};
use tch::{Device, Kind, Tensor};

const ROUNDS: usize = 30;
const IMAGES: i64 = 64;
const STRIDE: i64 = 2;
/// Input and output channels, side of the images, side of the kernel.
const SHAPES: [[i64; 4]; 13] = [
    [1, 16, 32, 3],
    [3, 32, 32, 3],
    [16, 24, 32, 3],
    [40, 48, 16, 3],
    [96, 40, 16, 3],
    [192, 96, 8, 3],
    [20, 40, 16, 1],
    [40, 48, 16, 1],
    [80, 96, 8, 1],
    [96, 64, 32, 3],
    [48, 64, 64, 3],
    [24, 40, 112, 3],
    [96, 64, 56, 3],
];

fn main() {
    // `cargo test --all-targets` runs this, too, without the flag of `cargo bench`.
    if !env::args().any(|argument| argument == "--bench") {
        return;
    }
    tch::set_num_threads(1);
    println!("{NAME}, one thread, {IMAGES} images, smallest of {ROUNDS} rounds");
    for [inputs, outputs, side, kernel] in SHAPES {
        let place = (Kind::Float, Device::Cpu);
        let x = Tensor::randn([IMAGES, side, side, inputs], place).permute([0, 3, 1, 2]);
        let x = x.set_requires_grad(true);
        let w = Tensor::randn([outputs, inputs, kernel, kernel], place);
        let padding = kernel / 2;
        let spec = ConvSpec::new(outputs as usize, kernel as usize).stride(STRIDE as usize);
        let Op::Conv2d(conv) = spec.padding(Padding::all(padding as usize)).into() else {
            unreachable!()
        };
        let by_library = || x.conv2d(&w, None::<&Tensor>, [STRIDE; 2], [padding; 2], [1, 1], 1);
        let here = || convolve(&x, &conv, &w, None).unwrap();
        let [mut library, mut own] = [f64::INFINITY; 2];
        for _ in 0..ROUNDS {
            library = library.min(milliseconds_backward(&x, &by_library()));
            own = own.min(milliseconds_backward(&x, &here()));
        }
        println!(
            "{inputs:3} to {outputs:3} channels, {side}x{side} pixels, {kernel}x{kernel}: \
             library {library:.2} ms, here {own:.2} ms, ratio {:.2}",
            library / own
        );
    }
}

/// Time of the gradient of `x` alone, as the weights need none here. Multiplying `y` by ones gives its gradient the
/// order in memory that it has in training.
fn milliseconds_backward(x: &Tensor, y: &Tensor) -> f64 {
    let sum = (y * y.ones_like()).sum(Kind::Float);
    let start = Instant::now();
    Tensor::run_backward(&[sum], &[x], false, false);
    start.elapsed().as_secs_f64() * 1e3
}
