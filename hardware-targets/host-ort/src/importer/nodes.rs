//! What each operator of ONNX is in the op graph. Attributes and defaults are those of the operators'
//! specification (onnx.ai/onnx/operators), version 7 and later.

use spacewright_core::graph::{ActivationKind, Conv2d, Op, Padding, Pool, Shape, ValueId};

use super::{
    Importer,
    network::Real,
    values::{Value, per_channel},
    window::{Attributes, Window},
};
use crate::proto::NodeProto;

/// Weights that an average needs as a convolution: a file that says little may not ask for much memory.
const MOST_EQUAL_WEIGHTS: usize = 1 << 22;
/// What is said of a node that computes otherwise in inference.
const TRAINS: &str = "it is in training mode: export the network for inference";
/// From here on an upper limit is none.
const NO_LIMIT: f32 = 1e30;

impl<'g> Importer<'g> {
    /// The first output of a node.
    pub(super) fn value_of(&mut self, node: &'g NodeProto) -> Result<Value, String> {
        match node.op_type.as_str() {
            "Conv" => self.convolution(node),
            "Gemm" | "MatMul" => self.linear(node),
            "BatchNormalization" => self.normalization(node),
            "Relu" => self.activation(node, ActivationKind::Relu),
            "Clip" => self.clip(node),
            "Sigmoid" => self.activation(node, ActivationKind::Sigmoid),
            "HardSwish" => self.activation(node, ActivationKind::HSwish),
            "HardSigmoid" => self.hard_sigmoid(node),
            "Add" | "Sub" | "Mul" | "Div" => self.arithmetic(node),
            "AveragePool" | "MaxPool" => self.pool(node),
            "GlobalAveragePool" => {
                let real = self.values.map(node, 0)?;
                self.push(node, Op::GlobalAvgPool, real, 4)
            }
            "ReduceMean" => self.mean(node),
            "Flatten" => self.flatten(node),
            "Reshape" => self.reshape(node),
            "Squeeze" => self.squeeze(node, true),
            "Unsqueeze" => self.squeeze(node, false),
            "Pad" => self.pad(node),
            "Softmax" => self.softmax(node),
            "Shape" => self.shape_of(node),
            "Concat" => self.concat(node),
            "Dropout" | "Identity" => self.unchanged(node),
            "QuantizeLinear" | "DequantizeLinear" | "QLinearConv" | "ConvInteger" => {
                Err("the network is quantized already: import it as it was before".into())
            }
            "Transpose" => Err("images are channels first (NCHW) only, and stay so".into()),
            _ => Err("it is not known".into()),
        }
    }

    /// Appends a node that has the ONNX node's name and one input.
    fn push(&mut self, node: &NodeProto, op: Op, real: Real, rank: usize) -> Result<Value, String> {
        let value = self.network.push(label(node), op, &[real.value])?;
        Ok(Value::Real(Real { value, rank, shared: false }))
    }

    /// What a node passes on, as a dropout does in inference.
    fn unchanged(&self, node: &NodeProto) -> Result<Value, String> {
        // Since version 12 a dropout may say that it is no inference.
        if self.values.integers(node, 2)?.is_some_and(|trains| trains != [0]) {
            return Err(TRAINS.into());
        }
        self.values.input(node, 0)?.ok_or_else(|| "it has no input".to_owned())
    }

    fn activation(&mut self, node: &NodeProto, kind: ActivationKind) -> Result<Value, String> {
        let real = self.values.real(node, 0)?;
        self.push(node, Op::Activation { kind }, real, real.rank)
    }

    fn clip(&mut self, node: &NodeProto) -> Result<Value, String> {
        let attributes = Attributes(node);
        let limit = |at: usize, name: &str, none: f32| match self.values.numbers(node, at)? {
            Some((_, numbers)) => Ok::<f32, String>(numbers.first().copied().unwrap_or(none)),
            None => Ok(attributes.real(name, none)),
        };
        let (low, high) = (limit(1, "min", f32::MIN)?, limit(2, "max", f32::MAX)?);
        match (low, high) {
            (0.0, 6.0) => self.activation(node, ActivationKind::Relu6),
            (0.0, high) if high >= NO_LIMIT => self.activation(node, ActivationKind::Relu),
            _ => Err(format!("limits of {low} and {high}; 0 and 6 are known")),
        }
    }

    fn hard_sigmoid(&mut self, node: &NodeProto) -> Result<Value, String> {
        let attributes = Attributes(node);
        let (alpha, beta) = (attributes.real("alpha", 0.2), attributes.real("beta", 0.5));
        if (alpha - 1.0 / 6.0).abs() > 1e-4 || beta != 0.5 {
            return Err(format!("`alpha` {alpha} and `beta` {beta}; 1/6 and 0.5 are known"));
        }
        self.activation(node, ActivationKind::HSigmoid)
    }

    fn convolution(&mut self, node: &NodeProto) -> Result<Value, String> {
        let (real, before) = match self.values.input(node, 0)? {
            Some(Value::Padded(real, padding)) => (real, padding),
            _ => (self.values.map(node, 0)?, Padding::default()),
        };
        let input = self.network.shape(real);
        let (sizes, weights) = self.values.numbers(node, 1)?.ok_or("it has no weights")?;
        let [out_channels, per_group, rows, columns] = sizes[..] else {
            return Err(format!("weights of the shape {sizes:?}; four dimensions are known"));
        };
        let padded = Shape {
            height: input.height.saturating_add(before.top).saturating_add(before.bottom),
            width: input.width.saturating_add(before.left).saturating_add(before.right),
            ..input
        };
        let window = Window::of(node, Some([rows, columns]), padded)?;
        let Window { kernel, stride, dilation, padding } = window;
        let groups = usize::try_from(Attributes(node).integer("group", 1)).unwrap_or(0);
        if groups.checked_mul(per_group) != Some(input.channels) {
            return Err(format!(
                "weights for {groups} groups of {per_group} channels, and an input of {input}"
            ));
        }
        let bias = self.values.numbers(node, 2)?;
        if let Some((shape, _)) = &bias
            && *shape != [out_channels]
        {
            return Err(format!("a bias of the shape {shape:?} for {out_channels} channels"));
        }
        let padding = Padding {
            top: padding.top.saturating_add(before.top),
            left: padding.left.saturating_add(before.left),
            bottom: padding.bottom.saturating_add(before.bottom),
            right: padding.right.saturating_add(before.right),
        };
        let has_bias = bias.is_some();
        let conv =
            Conv2d { out_channels, kernel, stride, dilation, padding, groups, bias: has_bias };
        let value = self.network.push(label(node), Op::Conv2d(conv), &[real.value])?;
        self.network.set(value, "weight", sizes, weights)?;
        if let Some((shape, bias)) = bias {
            self.network.set(value, "bias", shape, bias)?;
        }
        Ok(Value::Real(Real { value, rank: 4, shared: false }))
    }

    /// `Gemm`, or `MatMul` without a bias.
    fn linear(&mut self, node: &NodeProto) -> Result<Value, String> {
        let real = self.values.real(node, 0)?;
        if real.rank != 2 {
            return Err(format!("its input has {} dimensions, not 2", real.rank));
        }
        let attributes = Attributes(node);
        let (alpha, beta) = (attributes.real("alpha", 1.0), attributes.real("beta", 1.0));
        if (alpha, beta) != (1.0, 1.0) || attributes.integer("transA", 0) != 0 {
            return Err("factors, or a first input that is transposed".into());
        }
        let (sizes, weights) = self.values.numbers(node, 1)?.ok_or("it has no weights")?;
        let [rows, columns] = sizes[..] else {
            return Err(format!("weights of the shape {sizes:?}; two dimensions are known"));
        };
        let outputs_first = attributes.integer("transB", 0) != 0;
        let (out_features, features) =
            if outputs_first { (rows, columns) } else { (columns, rows) };
        let given = self.network.shape(real).elements();
        if given != features {
            return Err(format!("weights for {features} features, and an input of {given}"));
        }
        let weights = match outputs_first {
            true => weights,
            false => transposed(&weights, rows, columns),
        };
        let bias = match node.op_type.as_str() {
            "Gemm" => self.values.numbers(node, 2)?,
            _ => None,
        };
        let bias = bias.map(|(shape, numbers)| match numbers[..] {
            [number] => Ok(vec![number; out_features]),
            _ if numbers.len() == out_features && shape.last() == Some(&out_features) => {
                Ok(numbers)
            }
            _ => Err(format!("a bias of the shape {shape:?} for {out_features} features")),
        });
        let bias = bias.transpose()?;
        let op = Op::Linear { out_features, bias: bias.is_some() };
        let value = self.network.push(label(node), op, &[real.value])?;
        self.network.set(value, "weight", vec![out_features, features], weights)?;
        if let Some(bias) = bias {
            self.network.set(value, "bias", vec![out_features], bias)?;
        }
        Ok(Value::Real(Real { value, rank: 2, shared: false }))
    }

    fn normalization(&mut self, node: &NodeProto) -> Result<Value, String> {
        let real = self.values.real(node, 0)?;
        let shape = self.network.shape(real);
        if real.rank != 4 && (shape.height, shape.width) != (1, 1) {
            return Err("its input was flattened".into());
        }
        let attributes = Attributes(node);
        // Before version 14, further outputs say so.
        let trains = node.output.iter().skip(1).any(|output| !output.is_empty());
        if attributes.integer("training_mode", 0) != 0 || trains {
            return Err(TRAINS.into());
        }
        let mut parts = Vec::new();
        for (at, role) in (1..).zip(["gamma", "beta", "mean", "var"]) {
            let (sizes, numbers) = self.values.numbers(node, at)?.ok_or("it has no statistics")?;
            if sizes != [shape.channels] {
                return Err(format!(
                    "`{role}` has the shape {sizes:?} for {} channels",
                    shape.channels
                ));
            }
            parts.push((role, sizes, numbers));
        }
        let eps = f64::from(attributes.real("epsilon", 1e-5));
        let value = self.network.push(label(node), Op::BatchNorm { eps }, &[real.value])?;
        for (role, sizes, numbers) in parts {
            self.network.set(value, role, sizes, numbers)?;
        }
        Ok(Value::Real(Real { value, rank: real.rank, shared: false }))
    }

    /// Sums and products of two values, and arithmetic with constants.
    fn arithmetic(&mut self, node: &NodeProto) -> Result<Value, String> {
        let constants = [0, 1].map(|at| self.values.input(node, at));
        match constants {
            [Err(reason), _] | [_, Err(reason)] => Err(reason),
            [Ok(_), Ok(Some(Value::Constant(_)))] => self.with_constant(node, 0, 1),
            [Ok(Some(Value::Constant(_))), Ok(_)] => self.with_constant(node, 1, 0),
            _ => self.of_two(node),
        }
    }

    fn with_constant(
        &mut self,
        node: &NodeProto,
        at: usize,
        constant: usize,
    ) -> Result<Value, String> {
        let real = self.values.real(node, at)?;
        let shape = self.network.shape(real);
        let numbers = self.values.numbers(node, constant)?.ok_or("it has one input")?;
        let numbers = per_channel(real, shape, numbers)?;
        let all = |number: f32| vec![number; shape.channels];
        let negative = || numbers.iter().map(|n| -n).collect::<Vec<_>>();
        let constants = match (node.op_type.as_str(), at) {
            ("Add", _) => (all(1.0), numbers),
            ("Mul", _) => (numbers, all(0.0)),
            ("Sub", 0) => (all(1.0), negative()),
            ("Sub", _) => (all(-1.0), numbers),
            ("Div", 0) => (numbers.iter().map(|n| 1.0 / n).collect(), all(0.0)),
            _ => return Err("it divides a constant".into()),
        };
        let value = self.network.affine(label(node), real, constants, !real.shared)?;
        Ok(Value::Real(Real { value, shared: false, ..real }))
    }

    fn of_two(&mut self, node: &NodeProto) -> Result<Value, String> {
        let op = match node.op_type.as_str() {
            "Add" => Op::Add,
            "Mul" => Op::Mul,
            _ => return Err("of two values that are no constants".into()),
        };
        let (one, other) = (self.values.real(node, 0)?, self.values.real(node, 1)?);
        if one.rank != other.rank {
            return Err(format!("its inputs have {} and {} dimensions", one.rank, other.rank));
        }
        let elements = |real: Real| self.network.shape(real).elements();
        // The factor for each channel comes second.
        let (one, other) =
            if elements(one) < elements(other) { (other, one) } else { (one, other) };
        let value = self.network.push(label(node), op, &[one.value, other.value])?;
        Ok(Value::Real(Real { value, rank: one.rank, shared: false }))
    }

    /// The channels of several values, or their elements where they are in a row: those of one channel follow
    /// each other in both.
    fn concat(&mut self, node: &NodeProto) -> Result<Value, String> {
        let reals = (0..node.input.len()).map(|at| self.values.real(node, at));
        let reals = reals.collect::<Result<Vec<Real>, _>>()?;
        let first = *reals.first().ok_or("it has no input")?;
        if let Some(other) = reals.iter().find(|real| real.rank != first.rank) {
            return Err(format!("its inputs have {} and {} dimensions", first.rank, other.rank));
        }
        let axis = Attributes(node).integer("axis", 0);
        if ![1, 1 - first.rank as i64].contains(&axis) {
            return Err(format!("values are joined along axis {axis}; along channels is known"));
        }
        let [_, _, ..] = reals[..] else { return Ok(Value::Real(first)) };
        let inputs: Vec<ValueId> = reals.iter().map(|real| real.value).collect();
        let value = self.network.push(label(node), Op::Concat, &inputs)?;
        Ok(Value::Real(Real { value, shared: false, ..first }))
    }

    fn pool(&mut self, node: &NodeProto) -> Result<Value, String> {
        let real = self.values.map(node, 0)?;
        let input = self.network.shape(real);
        let is_average = node.op_type == "AveragePool";
        if node.output.iter().skip(1).any(|name| !name.is_empty()) {
            return Err("places of the largest elements are asked for".into());
        }
        let window = Window::of(node, None, input)?;
        if is_average && window.is_whole(input) {
            return self.push(node, Op::GlobalAvgPool, real, 4);
        }
        let counts_padding = Attributes(node).integer("count_include_pad", 0) != 0;
        let pads = window.padding != Padding::default();
        if is_average && (counts_padding && pads || !pads && !window.kernel.is_square()) {
            return self.average_as_convolution(node, real, window);
        }
        let Window { kernel, stride, dilation, padding } = window;
        if !padding.is_symmetric() {
            return Err("padding that differs between sides".into());
        }
        if !kernel.is_square() {
            return Err(format!("a window of {kernel}; square ones are known for pools"));
        }
        if dilation != 1 {
            return Err(format!("a dilation of {dilation}; 1 is known for pools"));
        }
        let pool = Pool { kernel: kernel.rows, stride, padding: padding.top };
        self.push(node, if is_average { Op::AvgPool(pool) } else { Op::MaxPool(pool) }, real, 4)
    }

    /// An average that pools of the op graph do not know, as zeros around the map count or the window is not square:
    /// a depth-wise convolution with equal weights.
    fn average_as_convolution(
        &mut self,
        node: &NodeProto,
        real: Real,
        window: Window,
    ) -> Result<Value, String> {
        let Window { kernel, stride, dilation, padding } = window;
        let channels = self.network.shape(real).channels;
        let count = channels.saturating_mul(kernel.taps());
        if count > MOST_EQUAL_WEIGHTS {
            let [rows, columns] = kernel.into();
            return Err(format!("an average over {rows}x{columns} pixels of {channels} channels"));
        }
        let conv = Conv2d {
            out_channels: channels,
            kernel,
            stride,
            dilation,
            padding,
            groups: channels,
            bias: false,
        };
        let value = self.network.push(label(node), Op::Conv2d(conv), &[real.value])?;
        let weights = vec![1.0 / kernel.taps() as f32; count];
        let sizes = vec![channels, 1, kernel.rows, kernel.columns];
        self.network.set(value, "weight", sizes, weights)?;
        Ok(Value::Real(Real { value, rank: 4, shared: false }))
    }

    /// The mean over height and width.
    fn mean(&mut self, node: &NodeProto) -> Result<Value, String> {
        let real = self.values.map(node, 0)?;
        let attributes = Attributes(node);
        let axes = match self.values.integers(node, 1)? {
            Some(axes) => axes,
            None => attributes.integers("axes").unwrap_or_default().to_vec(),
        };
        let mut places: Vec<i64> =
            axes.iter().map(|axis| if *axis < 0 { axis + 4 } else { *axis }).collect();
        places.sort_unstable();
        if places != [2, 3] {
            return Err(format!("the mean over axes {axes:?}; over height and width is known"));
        }
        let rank = if attributes.integer("keepdims", 1) == 0 { 2 } else { 4 };
        self.push(node, Op::GlobalAvgPool, real, rank)
    }

    /// The end of a network, which is left out.
    fn softmax(&mut self, node: &NodeProto) -> Result<Value, String> {
        let real = self.values.real(node, 0)?;
        let is_last = node.output.first() == self.output.as_ref();
        let over_all = real.rank == 2 && [-1, 1].contains(&Attributes(node).integer("axis", -1));
        if !is_last || !over_all {
            return Err("it is known as the end of a network only".into());
        }
        self.softmax = true;
        Ok(Value::Real(real))
    }
}

/// The name of a node, or of what it makes.
pub(super) fn label(node: &NodeProto) -> &str {
    match node.name.as_str() {
        "" => node.output.first().map_or("", String::as_str),
        name => name,
    }
}

fn transposed(matrix: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let column = |at: usize| (0..rows).map(move |row| matrix[row * columns + at]);
    (0..columns).flat_map(column).collect()
}
