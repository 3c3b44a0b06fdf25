//! Weights in TFLite's order.

use std::collections::BTreeMap;

use spacewright_core::{
    graph::Shape,
    quant::{FloatWeights, IntegerWeights},
};

use super::{
    WriteError,
    file::{Element, Scales, TfliteFile},
};

/// The weights of a network.
#[derive(Clone, Copy)]
pub(super) enum Weights<'a> {
    Float(&'a FloatWeights),
    Integer(&'a BTreeMap<String, IntegerWeights>),
}

/// In which order a kernel is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Layout {
    /// `out × rows × columns × in`.
    Dense,
    /// `1 × rows × columns × out`.
    Depthwise,
    /// `out × in`, for an input of this shape whose channels come last.
    Linear(Shape),
}

impl Layout {
    /// The shape in the file, its axis of output channels, and for each element its place in the
    /// network's order (`out × in × rows × columns`).
    fn order(self, shape: &[usize]) -> (Vec<usize>, usize, Vec<usize>) {
        let at = |sizes: [usize; 4], place: &dyn Fn([usize; 4]) -> usize| {
            let [a, b, c, d] = sizes;
            let count = a * b * c * d;
            let index = |i: usize| [i / (b * c * d), i / (c * d) % b, i / d % c, i % d];
            (0..count).map(|i| place(index(i))).collect::<Vec<usize>>()
        };
        match self {
            Self::Dense => {
                let [out, inputs, rows, columns] = [shape[0], shape[1], shape[2], shape[3]];
                let place = |[o, y, x, i]: [usize; 4]| ((o * inputs + i) * rows + y) * columns + x;
                let sizes = [out, rows, columns, inputs];
                (sizes.to_vec(), 0, at(sizes, &place))
            }
            Self::Depthwise => {
                let [out, rows, columns] = [shape[0], shape[2], shape[3]];
                let place = |[_, y, x, o]: [usize; 4]| (o * rows + y) * columns + x;
                let sizes = [1, rows, columns, out];
                (sizes.to_vec(), 3, at(sizes, &place))
            }
            Self::Linear(Shape { channels, height, width }) => {
                let features = channels * height * width;
                let place = |[o, y, x, c]: [usize; 4]| o * features + (c * height + y) * width + x;
                let order = at([shape[0], height, width, channels], &place);
                (vec![shape[0], features], 0, order)
            }
        }
    }
}

impl Weights<'_> {
    /// Kernel and bias of a node as constants; the input has `scale` in an integer network.
    pub(super) fn write(
        self,
        file: &mut TfliteFile,
        node: &str,
        layout: Layout,
        scale: Option<f32>,
    ) -> Result<[i32; 2], WriteError> {
        let missing = || WriteError::Node {
            node: node.to_owned(),
            reason: "the network has no weights for it".into(),
        };
        let (kernel_name, bias_name) = (format!("{node}.weight"), format!("{node}.bias"));
        match self {
            Self::Float(weights) => {
                let kernel = weights.get(&kernel_name).ok_or_else(missing)?;
                let (shape, _, order) = layout.order(&kernel.shape);
                let data = floats(order.iter().map(|&place| kernel.data[place]));
                let kernel_tensor =
                    file.constant(&kernel_name, &shape, Element::Float32, data, None);
                let channels = kernel.shape[0];
                let data = match weights.get(&bias_name) {
                    Some(bias) => floats(bias.data.iter().copied()),
                    None => floats((0..channels).map(|_| 0.0)),
                };
                let bias = file.constant(&bias_name, &[channels], Element::Float32, data, None);
                Ok([kernel_tensor, bias])
            }
            Self::Integer(weights) => {
                let weights = weights.get(node).ok_or_else(missing)?;
                Ok(integers(file, node, weights, layout, scale.unwrap_or(1.0)))
            }
        }
    }
}

/// Integer kernel and bias of a node as constants; its input has `scale`.
pub(super) fn integers(
    file: &mut TfliteFile,
    node: &str,
    weights: &IntegerWeights,
    layout: Layout,
    scale: f32,
) -> [i32; 2] {
    let (shape, axis, order) = layout.order(&weights.shape);
    let data = order.iter().map(|&place| weights.data[place] as u8).collect();
    let scales = Scales { scales: weights.scales.clone(), zero_point: 0, axis };
    let name = format!("{node}.weight");
    let kernel = file.constant(&name, &shape, Element::Int8, data, Some(scales));
    let products = weights.scales.iter().map(|weight| weight * scale).collect();
    let scales = Scales { scales: products, zero_point: 0, axis: 0 };
    let data = weights.bias.iter().flat_map(|x| x.to_le_bytes()).collect();
    let name = format!("{node}.bias");
    let bias = file.constant(&name, &[weights.bias.len()], Element::Int32, data, Some(scales));
    [kernel, bias]
}

/// Bytes of real numbers, as the format has them.
pub(super) fn floats(data: impl Iterator<Item = f32>) -> Vec<u8> {
    data.flat_map(f32::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_come_last() {
        let order = |layout: Layout, shape: &[usize]| layout.order(shape);
        // Two outputs, two inputs, a 1×2 kernel: [in0: 0 1][in1: 2 3] and 4 to 7.
        let (shape, axis, places) = order(Layout::Dense, &[2, 2, 1, 2]);
        assert_eq!((shape, axis), (vec![2, 1, 2, 2], 0));
        assert_eq!(places, [0, 2, 1, 3, 4, 6, 5, 7]);
        let (shape, axis, places) = order(Layout::Depthwise, &[3, 1, 1, 2]);
        assert_eq!((shape, axis), (vec![1, 1, 2, 3], 3));
        assert_eq!(places, [0, 2, 4, 1, 3, 5]);
        let (shape, axis, places) = order(Layout::Linear(Shape::new(2, 1, 2)), &[1, 4]);
        assert_eq!((shape, axis), (vec![1, 4], 0));
        assert_eq!(places, [0, 2, 1, 3]);
    }
}
