//! Random networks, and a plain evaluation of graphs in floating point to compare with: for
//! tests of runtimes, which may unwrap.

mod blocks;

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use spacewright_core::{
    graph::{Conv2d, Graph, KernelSize, Op, Padding, Pool, Shape, ValueId, WeightRole},
    quant::{FloatWeights, IntegerNetwork, Scheme, TensorData, fold_integer, place},
};

use crate::synthetic::with_scales;

pub use blocks::{block, blocks, branches, check_sum_of_parts, joined, parts, windows};

/// Weights and statistics with negative and zero scales of batch normalization.
pub fn random_weights(graph: &Graph, rng: &mut Pcg64) -> FloatWeights {
    let mut weights = FloatWeights::new();
    for spec in graph.weights().unwrap() {
        let n = spec.elements();
        let reach = (4.0 / (n / spec.shape[0]) as f32).sqrt();
        let mut insert = |name: String, data: Vec<f32>| {
            weights.insert(name, TensorData { shape: spec.shape.clone(), data });
        };
        let mut draw = |low: f32, high: f32| -> Vec<f32> {
            (0..n).map(|_| rng.random_range(low..high)).collect()
        };
        match spec.role {
            WeightRole::Weight => insert(spec.name.clone(), draw(-reach, reach)),
            WeightRole::Bias | WeightRole::Beta => insert(spec.name.clone(), draw(-0.5, 0.5)),
            WeightRole::Gamma => {
                let mut gamma = draw(-1.5, 1.5);
                gamma[0] = 0.0;
                gamma[1] = -1e-12;
                let node = &graph.nodes[spec.node].name;
                insert(spec.name.clone(), gamma);
                insert(format!("{node}.mean"), draw(-0.3, 0.3));
                insert(format!("{node}.var"), draw(0.3, 2.0));
            }
        }
    }
    weights
}

/// Pixels in 0…1.
pub fn random_image(shape: Shape, rng: &mut Pcg64) -> Vec<f32> {
    (0..shape.elements()).map(|_| rng.random_range(0.0..1.0)).collect()
}

/// A generator with this seed.
pub fn rng(seed: u64) -> Pcg64 {
    Pcg64::seed_from_u64(seed)
}

/// Quantizes a network with the ranges that one image gives.
pub fn quantized(
    graph: &Graph,
    weights: &FloatWeights,
    image: &[f32],
    scheme: &Scheme,
) -> IntegerNetwork {
    let placed = place(graph, scheme).unwrap();
    let values = evaluate(&placed.graph, weights, image);
    let observed = |value: ValueId, _| {
        let data = &values[value.index()];
        let min = data.iter().copied().fold(0.0, f32::min);
        let max = data.iter().copied().fold(0.0, f32::max);
        ((max - min).max(1e-3) / 255.0, min)
    };
    let network = with_scales(graph, placed, weights.clone(), observed);
    fold_integer(&network, scheme).unwrap()
}

/// Every value of a graph for one image.
pub fn evaluate(graph: &Graph, weights: &FloatWeights, image: &[f32]) -> Vec<Vec<f32>> {
    let shapes = graph.shapes().unwrap();
    let mut values = vec![image.to_vec()];
    for (index, node) in graph.nodes.iter().enumerate() {
        let x = &values[node.inputs[0].index()];
        let (input, output) = (shapes[node.inputs[0].index()], shapes[index + 1]);
        let area = input.height * input.width;
        let weight = |role: &str| &weights[&format!("{}.{role}", node.name)].data;
        let bias = |has: bool| has.then(|| weight("bias").as_slice());
        let second = || &values[node.inputs[1].index()];
        values.push(match &node.op {
            Op::Conv2d(conv) => {
                convolution(conv, x, input, output, weight("weight"), bias(conv.bias))
            }
            Op::Linear { out_features, bias: has } => (0..*out_features)
                .map(|o| {
                    let row = &weight("weight")[o * x.len()..(o + 1) * x.len()];
                    let sum: f64 = row.iter().zip(x).map(|(w, x)| f64::from(w * x)).sum();
                    sum as f32 + bias(*has).map_or(0.0, |bias| bias[o])
                })
                .collect(),
            Op::BatchNorm { eps } => x
                .iter()
                .enumerate()
                .map(|(i, x)| {
                    let part = |role: &str| f64::from(weight(role)[i / area]);
                    let unit = (f64::from(*x) - part("mean")) / (part("var") + eps).sqrt();
                    (unit * part("gamma") + part("beta")) as f32
                })
                .collect(),
            Op::Activation { kind } => x.iter().map(|&x| kind.apply(x)).collect(),
            Op::Add => x.iter().zip(second()).map(|(a, b)| a + b).collect(),
            Op::Mul => {
                let per_factor = x.len() / second().len();
                x.iter().enumerate().map(|(i, x)| x * second()[i / per_factor]).collect()
            }
            Op::Concat => {
                node.inputs.iter().flat_map(|input| values[input.index()].clone()).collect()
            }
            Op::GlobalAvgPool => {
                x.chunks(area).map(|plane| plane.iter().sum::<f32>() / area as f32).collect()
            }
            Op::AvgPool(pool) => under_pool(*pool, x, input, output)
                .map(|window| window.iter().sum::<f32>() / window.len() as f32)
                .collect(),
            Op::MaxPool(pool) => under_pool(*pool, x, input, output)
                .map(|window| window.into_iter().fold(f32::NEG_INFINITY, f32::max))
                .collect(),
            Op::Dropout { .. } => x.clone(),
        });
    }
    values
}

struct Window {
    kernel: KernelSize,
    stride: usize,
    dilation: usize,
    padding: Padding,
}

/// Pixels of one channel under a window, as (position in the window, value).
fn under(
    x: &[f32],
    input: Shape,
    channel: usize,
    window: &Window,
    (row, column): (usize, usize),
) -> Vec<(usize, f32)> {
    let Window { kernel, stride, dilation, padding } = *window;
    let mut found = Vec::new();
    for tap in 0..kernel.taps() {
        let (down, right) = (tap / kernel.columns * dilation, tap % kernel.columns * dilation);
        let y = (row * stride + down).checked_sub(padding.top);
        let x_ = (column * stride + right).checked_sub(padding.left);
        if let (Some(y), Some(x_)) = (y, x_)
            && y < input.height
            && x_ < input.width
        {
            found.push((tap, x[(channel * input.height + y) * input.width + x_]));
        }
    }
    found
}

fn positions(output: Shape) -> impl Iterator<Item = (usize, (usize, usize))> {
    let (height, width) = (output.height, output.width);
    (0..output.elements()).map(move |i| (i / (height * width), (i / width % height, i % width)))
}

fn convolution(
    conv: &Conv2d,
    x: &[f32],
    input: Shape,
    output: Shape,
    weights: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let per_group = input.channels / conv.groups;
    let taps = conv.kernel.taps();
    let Conv2d { kernel, stride, dilation, padding, .. } = *conv;
    let window = Window { kernel, stride, dilation, padding };
    positions(output)
        .map(|(channel, pixel)| {
            let group = channel / (conv.out_channels / conv.groups);
            let mut sum = f64::from(bias.map_or(0.0, |bias| bias[channel]));
            for i in 0..per_group {
                for (tap, value) in under(x, input, group * per_group + i, &window, pixel) {
                    sum += f64::from(value * weights[(channel * per_group + i) * taps + tap]);
                }
            }
            sum as f32
        })
        .collect()
}

fn under_pool<'a>(
    pool: Pool,
    x: &'a [f32],
    input: Shape,
    output: Shape,
) -> impl Iterator<Item = Vec<f32>> + 'a {
    let Pool { kernel, stride, padding } = pool;
    let window =
        Window { kernel: kernel.into(), stride, dilation: 1, padding: Padding::all(padding) };
    positions(output).map(move |(channel, pixel)| {
        under(x, input, channel, &window, pixel).into_iter().map(|(_, value)| value).collect()
    })
}
