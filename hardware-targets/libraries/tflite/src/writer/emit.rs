//! One operator of a graph as operators of a file.

use spacewright_core::{
    graph::{ActivationKind, Conv2d, Op, Padding, Pool, Shape, ValueId},
    quant::{IntegerWeights, QParams},
};

use super::{
    Group, SHIFT, WriteError, Writer,
    file::Element,
    padding::Window,
    per_tensor,
    weights::{self, Layout, floats},
};
use crate::{
    operators::{
        self, ADD, AVERAGE_POOL_2D, Border, CONCATENATION, CONV_2D, DEPTHWISE_CONV_2D,
        FULLY_CONNECTED, Fused, HARD_SWISH, Kind, LOGISTIC, MAX_POOL_2D, MEAN, MUL, PAD, PADV2,
        QUANTIZE, RELU, RELU6, Steps,
    },
    scheme::SIGMOID,
};

/// `HARD_SWISH` can only make a result's scale so many times finer than that of its input.
const FINEST_HARD_SWISH: f32 = 128.0;

impl Writer<'_> {
    pub(super) fn emit(&mut self, group: &Group) -> Result<(), WriteError> {
        let node = &self.graph.nodes[group.first];
        let fuses = matches!(node.op, Op::Conv2d(_) | Op::Linear { .. } | Op::Add | Op::Mul);
        if group.fused != Fused::Nothing && !fuses {
            return Err(self.node_error(group.first, "nothing can be fused with it in TFLite"));
        }
        match &node.op {
            Op::Conv2d(conv) => self.convolution(group, conv),
            Op::Linear { .. } => self.linear(group),
            Op::Activation { kind } => self.activation(group, *kind),
            Op::Add => self.pair(group, ADD, operators::add(group.fused)),
            Op::Mul => self.pair(group, MUL, operators::mul(group.fused)),
            Op::Concat => self.concat(group),
            Op::AvgPool(pool) => self.pool(group, *pool, AVERAGE_POOL_2D),
            Op::MaxPool(pool) => self.pool(group, *pool, MAX_POOL_2D),
            Op::GlobalAvgPool => self.mean(group),
            Op::BatchNorm { .. } | Op::Dropout { .. } => {
                Err(self.node_error(group.first, "must be folded before a network is written"))
            }
        }
    }

    fn input(&self, group: &Group, index: usize) -> ValueId {
        self.graph.nodes[group.first].inputs[index]
    }

    fn name(&self, group: &Group) -> &str {
        &self.graph.nodes[group.first].name
    }

    fn convolution(&mut self, group: &Group, conv: &Conv2d) -> Result<(), WriteError> {
        let input = self.input(group, 0);
        let (shape, output) = (self.shapes[input.index()], self.shapes[group.first + 1]);
        let span = conv.kernel.dilated(conv.dilation);
        let window = Window { span, stride: conv.stride, padding: conv.padding };
        let x = self.map(input, group.first)?;
        let (x, border) = self.padded(group, x, window, (shape, output), None)?;
        let depthwise = conv.groups > 1 && conv.groups == shape.channels;
        let layout = if depthwise { Layout::Depthwise } else { Layout::Dense };
        let scale = self.params(input).map(|params| params.scale);
        let name = self.name(group).to_owned();
        let [kernel, bias] = self.weights.write(&mut self.file, &name, layout, scale)?;
        let y = self.make(group.value)?;
        let steps = Steps { border, stride: conv.stride, dilation: conv.dilation };
        let (kind, options) = if depthwise {
            let multiplier = conv.out_channels / shape.channels;
            (DEPTHWISE_CONV_2D, operators::depthwise(steps, multiplier, group.fused))
        } else {
            (CONV_2D, operators::convolution(steps, group.fused))
        };
        self.operator(kind, &[x, kernel, bias], y, options);
        Ok(())
    }

    /// The tensor behind an operator that adds what the format's own padding does not, and that
    /// padding. What is added is real zero, or else `fill`.
    fn padded(
        &mut self,
        group: &Group,
        x: i32,
        window: Window,
        (input, output): (Shape, Shape),
        fill: Option<i32>,
    ) -> Result<(i32, Border), WriteError> {
        let (border, added) = window.border(input, output);
        let Some([rows, columns]) = added else { return Ok((x, border)) };
        let name = format!("{}:padded", self.name(group));
        let sides = [[0; 2], rows, columns, [0; 2]].concat();
        let sides: Vec<i32> = sides.into_iter().map(|pixels| pixels as i32).collect();
        let sides = self.file.integers(&format!("{name}:sides"), &[4, 2], &sides);
        let larger = |size: usize, added: [usize; 2]| size + added[0] + added[1];
        let dims = [1, larger(input.height, rows), larger(input.width, columns), input.channels];
        let scales = self.params(self.input(group, 0)).map(per_tensor);
        let padded = self.file.value(&name, &dims, self.element(), scales);
        match fill {
            None => self.file.operator(PAD, &[x, sides], padded, None),
            Some(fill) => self.file.operator(PADV2, &[x, sides, fill], padded, None),
        }
        Ok((padded, border))
    }

    fn linear(&mut self, group: &Group) -> Result<(), WriteError> {
        let input = self.input(group, 0);
        let name = self.name(group).to_owned();
        let x = self.tensor(input, &name)?;
        let layout = Layout::Linear(self.shapes[input.index()]);
        let scale = self.params(input).map(|params| params.scale);
        let [kernel, bias] = self.weights.write(&mut self.file, &name, layout, scale)?;
        let y = self.make(group.value)?;
        let options = operators::fully_connected(group.fused);
        self.operator(FULLY_CONNECTED, &[x, kernel, bias], y, options);
        Ok(())
    }

    fn pair(
        &mut self,
        group: &Group,
        kind: Kind,
        options: operators::Options,
    ) -> Result<(), WriteError> {
        let a = self.map(self.input(group, 0), group.first)?;
        let b = self.map(self.input(group, 1), group.first)?;
        let y = self.make(group.value)?;
        self.operator(kind, &[a, b], y, options);
        Ok(())
    }

    /// In integers all have to have one scale, so that others are rescaled before.
    fn concat(&mut self, group: &Group) -> Result<(), WriteError> {
        let inputs = self.graph.nodes[group.first].inputs.clone();
        let params = self.params(group.value);
        let mut parts = Vec::with_capacity(inputs.len());
        for (index, input) in inputs.into_iter().enumerate() {
            let mut part = self.map(input, group.first)?;
            if let Some(params) = params.filter(|params| self.params(input) != Some(*params)) {
                let Shape { channels, height, width } = self.shapes[input.index()];
                let name = format!("{}:part{index}", self.name(group));
                let dims = [1, height, width, channels];
                let scales = Some(per_tensor(params));
                let rescaled = self.file.value(&name, &dims, Element::Int8, scales);
                self.file.operator(QUANTIZE, &[part], rescaled, None);
                part = rescaled;
            }
            parts.push(part);
        }
        let y = self.make(group.value)?;
        self.operator(CONCATENATION, &parts, y, operators::concatenation());
        Ok(())
    }

    fn activation(&mut self, group: &Group, kind: ActivationKind) -> Result<(), WriteError> {
        let input = self.input(group, 0);
        let name = self.name(group).to_owned();
        let simple = match kind {
            ActivationKind::Relu => RELU,
            ActivationKind::Relu6 => RELU6,
            ActivationKind::HSwish => HARD_SWISH,
            ActivationKind::Sigmoid if self.values.is_none() => LOGISTIC,
            ActivationKind::Sigmoid => {
                let x = self.tensor(input, &name)?;
                return self.rescaled(group, SIGMOID, |writer, y| {
                    writer.file.operator(LOGISTIC, &[x], y, None);
                });
            }
            ActivationKind::HSigmoid => return self.hard_sigmoid(group),
            ActivationKind::Swish if self.values.is_none() => return self.swish(group),
            ActivationKind::Swish => {
                let reason = "swish must be a sigmoid and a product in an integer network";
                return Err(self.node_error(group.first, reason));
            }
        };
        if let (ActivationKind::HSwish, Some(from), Some(to)) =
            (kind, self.params(input), self.params(group.value))
            && from.scale >= FINEST_HARD_SWISH * to.scale
        {
            let reason = format!("its result's scale {} is too small for TFLite", to.scale);
            return Err(self.node_error(group.first, reason));
        }
        let x = self.tensor(input, &name)?;
        let y = self.make(group.value)?;
        self.file.operator(simple, &[x], y, None);
        Ok(())
    }

    /// The group's value from an operator whose result has `params`: behind a `QUANTIZE` where the
    /// network has others.
    fn rescaled(
        &mut self,
        group: &Group,
        params: QParams,
        emit: impl FnOnce(&mut Self, i32),
    ) -> Result<(), WriteError> {
        if self.values.is_none() || self.params(group.value) == Some(params) {
            let y = self.make(group.value)?;
            emit(self, y);
            return Ok(());
        }
        let name = format!("{}:unscaled", self.graph.value_name(group.value));
        let scales = Some(per_tensor(params));
        let between = self.file.value(&name, &self.dims(group.value), Element::Int8, scales);
        emit(self, between);
        let y = self.make(group.value)?;
        self.file.operator(QUANTIZE, &[between], y, None);
        Ok(())
    }

    fn hard_sigmoid(&mut self, group: &Group) -> Result<(), WriteError> {
        let input = self.input(group, 0);
        let name = self.name(group).to_owned();
        let x = self.map(input, group.first)?;
        let Some(params) = self.params(input) else {
            let three = self.real(&format!("{name}:three"), 3.0);
            let sixth = self.real(&format!("{name}:sixth"), 1.0 / 6.0);
            let dims = self.dims(group.value);
            let sum = self.file.value(&format!("{name}:sum"), &dims, Element::Float32, None);
            self.operator(ADD, &[x, three], sum, operators::add(Fused::Relu6));
            let y = self.make(group.value)?;
            self.operator(MUL, &[sum, sixth], y, operators::mul(Fused::Nothing));
            return Ok(());
        };
        let weights =
            IntegerWeights::hard_sigmoid(self.shapes[input.index()].channels, params.scale);
        let [kernel, bias] =
            weights::integers(&mut self.file, &name, &weights, Layout::Depthwise, params.scale);
        let y = self.make(group.value)?;
        let options = operators::depthwise(Steps::EACH, 1, Fused::Nothing);
        self.operator(DEPTHWISE_CONV_2D, &[x, kernel, bias], y, options);
        Ok(())
    }

    fn swish(&mut self, group: &Group) -> Result<(), WriteError> {
        let name = self.name(group).to_owned();
        let x = self.tensor(self.input(group, 0), &name)?;
        let dims = self.dims(group.value);
        let gate = self.file.value(&format!("{name}:gate"), &dims, Element::Float32, None);
        self.file.operator(LOGISTIC, &[x], gate, None);
        let y = self.make(group.value)?;
        self.operator(MUL, &[x, gate], y, operators::mul(Fused::Nothing));
        Ok(())
    }

    fn real(&mut self, name: &str, value: f32) -> i32 {
        let data = floats([value].into_iter());
        self.file.constant(name, &[1], Element::Float32, data, None)
    }

    fn pool(&mut self, group: &Group, pool: Pool, kind: Kind) -> Result<(), WriteError> {
        let input = self.input(group, 0);
        let (shape, output) = (self.shapes[input.index()], self.shapes[group.first + 1]);
        let padding = Padding::all(pool.padding);
        let window = Window { span: pool.kernel.into(), stride: pool.stride, padding };
        let needs_more = window.border(shape, output).1.is_some();
        if needs_more && kind == AVERAGE_POOL_2D && pool.padding > 0 {
            let reason = "TFLite has no average over windows that are padded like this";
            return Err(self.node_error(group.first, reason));
        }
        let x = self.map(input, group.first)?;
        let fill = needs_more.then(|| self.lowest(group, input));
        let (x, border) = self.padded(group, x, window, (shape, output), fill)?;
        let options = operators::pool(border, pool.stride, pool.kernel);
        let params = self.params(input).unwrap_or(SIGMOID);
        self.rescaled(group, params, |writer, y| writer.operator(kind, &[x], y, options))
    }

    /// The smallest number that a value can be, as a constant.
    fn lowest(&mut self, group: &Group, input: ValueId) -> i32 {
        let name = format!("{}:lowest", self.name(group));
        match self.params(input) {
            Some(params) => {
                let data = vec![(-SHIFT) as u8];
                let scales = Some(per_tensor(params));
                self.file.constant(&name, &[1], Element::Int8, data, scales)
            }
            None => self.real(&name, f32::MIN),
        }
    }

    fn mean(&mut self, group: &Group) -> Result<(), WriteError> {
        let x = self.map(self.input(group, 0), group.first)?;
        let name = format!("{}:axes", self.name(group));
        let axes = self.file.integers(&name, &[2], &[1, 2]);
        let y = self.make(group.value)?;
        self.operator(MEAN, &[x, axes], y, operators::reducer());
        Ok(())
    }
}
