//! What each operator of TFLite is in the op graph (its operators and options are those of `schema.fbs`).

use spacewright_core::{
    graph::{ActivationKind, Conv2d, Op, Padding, Shape},
    model::OperatorSummary,
};

use super::{Importer, Pending, TOLD, Value, Wanted, window::Window};
use crate::schema::{ConvolutionOptions, DepthwiseOptions, FusedOptions, Operator};

/// `ActivationFunctionType` of the schema.
pub(super) const NOTHING: i8 = 0;
const RELU: i8 = 1;
pub(super) const RELU6: i8 = 3;

impl<'f> Importer<'f> {
    /// The value of an operator with one output; `None` where that is a constant.
    pub(super) fn value_of(
        &mut self,
        found: &OperatorSummary,
        operator: Operator<'f>,
    ) -> Result<Option<Value>, String> {
        if found.inputs.iter().all(|input| self.is_constant(*input)) {
            // Weights in half precision are made longer where they are read.
            return match (found.kind.as_str(), self.makes_sizes(found)) {
                ("DEQUANTIZE", _) => self.alias(found),
                (_, true) => Ok(self.sizes_of(found)),
                _ => Err("it computes a constant".into()),
            };
        }
        if found.kind == "SHAPE" {
            return Ok(self.sizes_of(found));
        }
        let activation = |kind| Op::Activation { kind };
        let value = match found.kind.as_str() {
            "CONV_2D" => self.convolution(found, operator)?,
            "DEPTHWISE_CONV_2D" => self.depthwise(found, operator)?,
            "FULLY_CONNECTED" => self.linear(found, operator)?,
            "CONCATENATION" => self.concatenation(found, operator)?,
            "ADD" | "SUB" | "MUL" | "DIV" => self.joined(found, operator)?,
            "AVERAGE_POOL_2D" | "MAX_POOL_2D" => self.pool(found, operator)?,
            "MEAN" => self.mean(found)?,
            "RELU" => self.one(found, activation(ActivationKind::Relu))?,
            "RELU6" => self.one(found, activation(ActivationKind::Relu6))?,
            "LOGISTIC" => self.one(found, activation(ActivationKind::Sigmoid))?,
            "HARD_SWISH" => self.one(found, activation(ActivationKind::HSwish))?,
            "PAD" | "PADV2" => self.pad(found)?,
            "RESHAPE" | "SQUEEZE" | "EXPAND_DIMS" => self.reshaped(found)?,
            "SOFTMAX" => {
                if self.wanted == Wanted::Weights && found.outputs != [self.output] {
                    return Err("it is not the last operator".into());
                }
                self.softmax = true;
                self.plain(found, 0)?
            }
            "QUANTIZE" | "DEQUANTIZE" if self.wanted == Wanted::Structure => {
                self.input(found, 0)?
            }
            "QUANTIZE" | "DEQUANTIZE" => {
                return Err("the network is quantized already: import it as it was before".into());
            }
            _ => return Err("it is not known".into()),
        };
        Ok(Some(value))
    }

    pub(super) fn is_constant(&self, tensor: usize) -> bool {
        self.summary.tensors[tensor].constant || self.aliases.contains_key(&tensor)
    }

    /// The output of an operator on a constant stands for that constant.
    fn alias(&mut self, found: &OperatorSummary) -> Result<Option<Value>, String> {
        let (Some(&input), Some(&output)) = (found.inputs.first(), found.outputs.first()) else {
            return Err("it has no input".into());
        };
        self.aliases.insert(output, input);
        Ok(None)
    }

    /// Whether an operator gives integers, such as the sizes of a reshape.
    fn makes_sizes(&self, found: &OperatorSummary) -> bool {
        let outputs = found.outputs.iter().map(|output| &self.summary.tensors[*output]);
        outputs.into_iter().all(|tensor| ["int32", "int64"].contains(&tensor.element.as_str()))
    }

    /// Sizes that are computed of sizes: what reads them says its own shape.
    fn sizes_of(&mut self, found: &OperatorSummary) -> Option<Value> {
        self.aliases.extend(found.outputs.iter().map(|output| (*output, *output)));
        None
    }

    pub(super) fn constant(&self, tensor: usize) -> usize {
        self.aliases.get(&tensor).copied().unwrap_or(tensor)
    }

    /// A value that an operator reads.
    pub(super) fn input(&self, found: &OperatorSummary, at: usize) -> Result<Value, String> {
        let tensor = *found.inputs.get(at).ok_or("it lacks an input")?;
        if self.is_constant(tensor) {
            return Err("arithmetic with constants".into());
        }
        self.values[tensor].ok_or_else(|| TOLD.to_owned())
    }

    /// The same where nothing is added around it.
    pub(super) fn plain(&self, found: &OperatorSummary, at: usize) -> Result<Value, String> {
        let value = self.input(found, at)?;
        match value.pending {
            Pending::Nothing => Ok(value),
            Pending::Zeros(_) | Pending::Lowest(_) => {
                Err("its input is padded, and only convolutions and maxima take that over".into())
            }
            Pending::ClippedSum => Err("its input is a sum with a constant".into()),
        }
    }

    /// A map that an operator reads.
    pub(super) fn map(&self, found: &OperatorSummary, at: usize) -> Result<Value, String> {
        let value = self.plain(found, at)?;
        let Shape { height, width, .. } = self.draft.shape(value.value);
        if value.flat && (height, width) != (1, 1) {
            return Err("its input was flattened".into());
        }
        Ok(Value { flat: false, ..value })
    }

    /// Appends a node that is called as the operator's result, and the activation that is fused with it.
    pub(super) fn push(
        &mut self,
        found: &OperatorSummary,
        op: Op,
        inputs: &[Value],
        fused: i8,
    ) -> Result<(Value, Value), String> {
        let kind = match fused {
            NOTHING => None,
            RELU => Some(ActivationKind::Relu),
            RELU6 => Some(ActivationKind::Relu6),
            other => return Err(format!("the fused activation {other} is not known")),
        };
        let summary = self.summary;
        let name = summary.name_of(found);
        let values: Vec<_> = inputs.iter().map(|input| input.value).collect();
        let value = self.draft.push(name, op, &values)?;
        let last = match kind {
            Some(kind) => {
                self.draft.push(&format!("{name}.act"), Op::Activation { kind }, &[value])?
            }
            None => value,
        };
        Ok((Value::map(value), Value::map(last)))
    }

    fn one(&mut self, found: &OperatorSummary, op: Op) -> Result<Value, String> {
        let input = self.plain(found, 0)?;
        let (_, value) = self.push(found, op, &[input], NOTHING)?;
        Ok(Value { flat: input.flat, ..value })
    }

    /// Sizes of a constant.
    fn sizes<const N: usize>(&self, tensor: usize) -> Result<[usize; N], String> {
        let shape = &self.summary.tensors[self.constant(tensor)].shape;
        let sizes: Vec<usize> = shape.iter().filter_map(|s| usize::try_from(*s).ok()).collect();
        let wrong = |_| format!("weights of the shape {shape:?}; {N} dimensions are known");
        sizes.try_into().map_err(wrong)
    }

    fn convolution(
        &mut self,
        found: &OperatorSummary,
        operator: Operator<'f>,
    ) -> Result<Value, String> {
        let options = operator.options::<ConvolutionOptions<'_>>(ConvolutionOptions::NUMBER);
        let options = options.map_err(damaged)?.ok_or("it has no options")?;
        let weights = *found.inputs.get(1).ok_or("it has no weights")?;
        let [out_channels, rows, columns, per_group] = self.sizes(weights)?;
        let strides = [options.stride_rows(), options.stride_columns()];
        let dilations = [options.dilation_rows(), options.dilation_columns()];
        let window = Window::of([rows, columns], strides, dilations, options.padding())?;
        // From output, rows, columns, inputs.
        let order = move |[o, i, y, x]: [usize; 4]| ((o * rows + y) * columns + x) * per_group + i;
        let shape = [out_channels, per_group, rows, columns];
        let fused = options.fused().unwrap_or(NOTHING);
        self.convolved(found, window, (shape, &order), fused)
    }

    fn depthwise(
        &mut self,
        found: &OperatorSummary,
        operator: Operator<'f>,
    ) -> Result<Value, String> {
        let options = operator.options::<DepthwiseOptions<'_>>(DepthwiseOptions::NUMBER);
        let options = options.map_err(damaged)?.ok_or("it has no options")?;
        let weights = *found.inputs.get(1).ok_or("it has no weights")?;
        let [_, rows, columns, out_channels] = self.sizes(weights)?;
        let strides = [options.stride_rows(), options.stride_columns()];
        let dilations = [options.dilation_rows(), options.dilation_columns()];
        let window = Window::of([rows, columns], strides, dilations, options.padding())?;
        // From rows, columns, outputs.
        let order = move |[o, _, y, x]: [usize; 4]| (y * columns + x) * out_channels + o;
        let shape = [out_channels, 1, rows, columns];
        let fused = options.fused().unwrap_or(NOTHING);
        self.convolved(found, window, (shape, &order), fused)
    }

    /// A convolution whose weights, of this shape in the op graph, lie in another order in the file.
    fn convolved(
        &mut self,
        found: &OperatorSummary,
        window: Window,
        (shape, order): ([usize; 4], &dyn Fn([usize; 4]) -> usize),
        fused: i8,
    ) -> Result<Value, String> {
        let input = self.input(found, 0)?;
        let (stride, dilation) = window.steps()?;
        let before = match input.pending {
            Pending::Nothing => Padding::default(),
            Pending::Zeros(padding) => padding,
            Pending::Lowest(_) => {
                return Err("its input is padded with other numbers than 0".into());
            }
            Pending::ClippedSum => return Err("its input is a sum with a constant".into()),
        };
        let map = self.draft.shape(input.value);
        let padded = Shape {
            height: map.height + before.top + before.bottom,
            width: map.width + before.left + before.right,
            ..map
        };
        let own = window.padding(padded)?;
        let [out_channels, per_group, ..] = shape;
        if per_group == 0 || !map.channels.is_multiple_of(per_group) {
            return Err(format!("weights for {per_group} channels, and an input of {map}"));
        }
        let bias = found.inputs.get(2).copied();
        let conv = Conv2d {
            out_channels,
            kernel: window.kernel.into(),
            stride,
            dilation,
            padding: Padding {
                top: own.top + before.top,
                left: own.left + before.left,
                bottom: own.bottom + before.bottom,
                right: own.right + before.right,
            },
            groups: map.channels / per_group,
            bias: bias.is_some(),
        };
        let (made, last) = self.push(found, Op::Conv2d(conv), &[input], fused)?;
        self.weights(found, made, &shape, &|numbers| {
            let mut ordered = Vec::with_capacity(numbers.len());
            for o in 0..shape[0] {
                for i in 0..shape[1] {
                    for y in 0..shape[2] {
                        ordered.extend((0..shape[3]).map(|x| numbers[order([o, i, y, x])]));
                    }
                }
            }
            ordered
        })?;
        Ok(last)
    }

    /// Sets weights, in the order of the op graph, and bias of the node that makes a value.
    fn weights(
        &mut self,
        found: &OperatorSummary,
        made: Value,
        shape: &[usize],
        ordered: &dyn Fn(Vec<f32>) -> Vec<f32>,
    ) -> Result<(), String> {
        if self.wanted == Wanted::Structure {
            return Ok(());
        }
        let numbers = self.constants.numbers(self.constant(found.inputs[1]))?;
        let wanted = shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
        if wanted != Some(numbers.len()) {
            return Err(format!("{} weights for the shape {shape:?}", numbers.len()));
        }
        self.draft.set(made.value, "weight", shape.to_vec(), ordered(numbers))?;
        if let Some(bias) = found.inputs.get(2) {
            let bias = self.constants.numbers(self.constant(*bias))?;
            if bias.len() != shape[0] {
                return Err(format!("a bias of {} numbers for {} channels", bias.len(), shape[0]));
            }
            self.draft.set(made.value, "bias", vec![shape[0]], bias)?;
        }
        Ok(())
    }

    fn linear(&mut self, found: &OperatorSummary, operator: Operator<'f>) -> Result<Value, String> {
        let options = operator.options::<FusedOptions<'_>>(FusedOptions::OF_FULLY_CONNECTED);
        let fused = options.map_err(damaged)?.and_then(|options| options.fused());
        let input = self.plain(found, 0)?;
        let weights = *found.inputs.get(1).ok_or("it has no weights")?;
        let [out_features, features] = self.sizes(weights)?;
        let map = self.draft.shape(input.value);
        if map.elements() != features {
            return Err(format!("weights for {features} features, and an input of {map}"));
        }
        let op = Op::Linear { out_features, bias: found.inputs.len() > 2 };
        let (made, last) = self.push(found, op, &[input], fused.unwrap_or(NOTHING))?;
        let pixels = map.height * map.width;
        self.weights(found, made, &[out_features, features], &|numbers| {
            // Elements are channels last in the file, and channels first in the op graph.
            let row = |row: &[f32]| -> Vec<f32> {
                let place = |at: usize| (at % pixels) * map.channels + at / pixels;
                (0..features).map(|at| row[place(at)]).collect()
            };
            numbers.chunks(features).flat_map(row).collect()
        })?;
        Ok(Value { flat: true, ..last })
    }

    /// The same elements in another shape: a row of them, or a map of one pixel.
    fn reshaped(&mut self, found: &OperatorSummary) -> Result<Value, String> {
        let input = self.plain(found, 0)?;
        let shape = &self.summary.tensors[found.outputs[0]].shape;
        let map = self.draft.shape(input.value);
        let elements = map.elements() as i64;
        let is_pixel = (map.height, map.width) == (1, 1);
        let long = shape.iter().filter(|size| **size != 1).count();
        match shape[..] {
            [1, height, width, channels] if !input.flat => {
                let same = [channels, height, width]
                    == [map.channels, map.height, map.width].map(|n| n as i64);
                if same {
                    Ok(input)
                } else {
                    Err(format!("a map becomes one of another shape, {shape:?}"))
                }
            }
            [1, 1, 1, channels] if is_pixel && channels == elements => {
                Ok(Value { flat: false, ..input })
            }
            [.., last] if long <= 1 && last == elements => Ok(Value { flat: true, ..input }),
            _ => Err(format!("the shape {shape:?} for {map}")),
        }
    }
}

pub(super) fn damaged(_: flatbuffers::InvalidFlatbuffer) -> String {
    "its options are damaged".into()
}
