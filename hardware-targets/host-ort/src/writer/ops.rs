//! The ONNX operator of each operator of a graph, with its attributes.

use spacewright_core::graph::{ActivationKind, Conv2d, KernelSize, Op, Padding, Pool};

use crate::proto::{AttributeProto, attribute_type};

/// Operator and attributes; `None` for what is folded before writing. Swish is the product that
/// remains after its sigmoid.
pub(super) fn onnx(op: &Op) -> Option<(&'static str, Vec<AttributeProto>)> {
    Some(match op {
        Op::Conv2d(conv) => ("Conv", convolution(conv)),
        Op::Linear { .. } => ("Gemm", vec![int("transB", 1)]),
        Op::Activation { kind } => match kind {
            ActivationKind::Relu => ("Relu", vec![]),
            ActivationKind::Relu6 => ("Clip", vec![]),
            ActivationKind::HSwish => ("HardSwish", vec![]),
            ActivationKind::Swish => ("Mul", vec![]),
            ActivationKind::HSigmoid => {
                ("HardSigmoid", vec![float("alpha", 1.0 / 6.0), float("beta", 0.5)])
            }
            ActivationKind::Sigmoid => ("Sigmoid", vec![]),
        },
        Op::Add => ("Add", vec![]),
        Op::Mul => ("Mul", vec![]),
        Op::Concat => ("Concat", vec![axis(1)]),
        Op::AvgPool(pool) => ("AveragePool", window(*pool)),
        Op::MaxPool(pool) => ("MaxPool", window(*pool)),
        Op::GlobalAvgPool => ("GlobalAveragePool", vec![]),
        Op::BatchNorm { .. } | Op::Dropout { .. } => return None,
    })
}

fn convolution(conv: &Conv2d) -> Vec<AttributeProto> {
    let mut attributes = vec![int("group", conv.groups)];
    attributes.extend(geometry(conv.kernel, conv.stride, conv.padding));
    if conv.dilation != 1 {
        attributes.push(ints("dilations", &[conv.dilation; 2]));
    }
    attributes
}

fn window(pool: Pool) -> Vec<AttributeProto> {
    geometry(pool.kernel.into(), pool.stride, Padding::all(pool.padding)).into()
}

fn geometry(kernel: KernelSize, stride: usize, padding: Padding) -> [AttributeProto; 3] {
    let Padding { top, left, bottom, right } = padding;
    [
        ints("kernel_shape", &[kernel.rows, kernel.columns]),
        ints("pads", &[top, left, bottom, right]),
        ints("strides", &[stride, stride]),
    ]
}

fn int(name: &str, i: usize) -> AttributeProto {
    let i = i as i64;
    AttributeProto { name: name.into(), i, r#type: attribute_type::INT, ..Default::default() }
}

fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.into(), f, r#type: attribute_type::FLOAT, ..Default::default() }
}

fn ints(name: &str, values: &[usize]) -> AttributeProto {
    let ints = values.iter().map(|&value| value as i64).collect();
    AttributeProto { name: name.into(), ints, r#type: attribute_type::INTS, ..Default::default() }
}

/// The axis along which a `DequantizeLinear` has its scales, or a `Concat` joins values.
pub(super) fn axis(axis: usize) -> AttributeProto {
    int("axis", axis)
}
