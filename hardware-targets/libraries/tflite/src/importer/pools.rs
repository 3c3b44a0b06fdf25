//! Pools, means, and what is added around maps.

use spacewright_core::{
    graph::{Op, OpKind, Padding, Pool, Shape},
    model::OperatorSummary,
};

use super::{
    Importer, Pending, Value,
    nodes::{NOTHING, damaged},
    window::{Window, pixels},
};
use crate::schema::{Operator, PoolOptions};

impl<'f> Importer<'f> {
    pub(super) fn pool(
        &mut self,
        found: &OperatorSummary,
        operator: Operator<'f>,
    ) -> Result<Value, String> {
        let options = operator.options::<PoolOptions<'_>>(PoolOptions::NUMBER);
        let options = options.map_err(damaged)?.ok_or("it has no options")?;
        let kernel = pixels([options.rows(), options.columns()])?;
        let strides = [options.stride_rows(), options.stride_columns()];
        let window = Window::of(kernel, strides, [None; 2], options.padding())?;
        let fused = options.fused().unwrap_or(NOTHING);
        if found.kind == "MAX_POOL_2D" {
            return self.maximum(found, window, fused);
        }
        let input = self.map(found, 0)?;
        let map = self.draft.shape(input.value);
        let padding = window.padding(map)?;
        let op = if window.kernel == [map.height, map.width] && padding == Padding::default() {
            Op::GlobalAvgPool
        } else {
            let (kernel, stride) = window.square()?;
            if !padding.is_symmetric() {
                return Err("its padding is not the same on all sides".into());
            }
            Op::AvgPool(Pool { kernel, stride, padding: padding.top })
        };
        self.push(found, op, &[input], fused).map(|(_, last)| last)
    }

    /// What lies around a map is no maximum, so that more of it may stand behind than there is.
    fn maximum(
        &mut self,
        found: &OperatorSummary,
        window: Window,
        fused: i8,
    ) -> Result<Value, String> {
        let input = self.input(found, 0)?;
        let made_by = self.draft.made_by(input.value).map(|node| node.op.kind());
        let not_negative = [OpKind::Relu, OpKind::Relu6, OpKind::Sigmoid, OpKind::HSigmoid];
        let before = match input.pending {
            Pending::Nothing => Padding::default(),
            Pending::Lowest(padding) => padding,
            Pending::Zeros(padding) if made_by.is_some_and(|kind| not_negative.contains(&kind)) => {
                padding
            }
            _ => return Err("its input is padded or clipped".into()),
        };
        let map = self.draft.shape(input.value);
        let (kernel, stride) = window.square()?;
        let around = |map: Shape, padding: Padding| Shape {
            height: map.height + padding.top + padding.bottom,
            width: map.width + padding.left + padding.right,
            ..map
        };
        let padded = around(map, before);
        let own = window.padding(padded)?;
        let whole = around(padded, own);
        let padding = before.top + own.top;
        let count = |size: usize| (size.saturating_sub(kernel)) / stride;
        let same = |size: usize, whole: usize| count(size + 2 * padding) == count(whole);
        if padding != before.left + own.left
            || !same(map.height, whole.height)
            || !same(map.width, whole.width)
        {
            return Err("its padding is not the same on all sides".into());
        }
        let plain = Value { pending: Pending::Nothing, ..input };
        let op = Op::MaxPool(Pool { kernel, stride, padding });
        self.push(found, op, &[plain], fused).map(|(_, last)| last)
    }

    pub(super) fn mean(&mut self, found: &OperatorSummary) -> Result<Value, String> {
        let input = self.map(found, 0)?;
        let axes = found.inputs.get(1).and_then(|axes| self.constants.integers(*axes));
        let mut axes = axes.ok_or("its axes are no constant of 32-bit integers")?;
        axes.iter_mut().filter(|axis| **axis < 0).for_each(|axis| *axis += 4);
        axes.sort_unstable();
        let rank = |tensor: usize| self.summary.tensors[tensor].shape.len();
        if axes != [1, 2] || rank(found.inputs[0]) != 4 {
            return Err(format!("a mean over the axes {axes:?}; rows and columns are known"));
        }
        let flat = rank(found.outputs[0]) == 2;
        let (_, value) = self.push(found, Op::GlobalAvgPool, &[input], NOTHING)?;
        Ok(Value { flat, ..value })
    }

    /// `PAD` with zeros, `PADV2` with the lowest number.
    pub(super) fn pad(&mut self, found: &OperatorSummary) -> Result<Value, String> {
        let input = self.map(found, 0)?;
        let sides = found.inputs.get(1).and_then(|sides| self.constants.integers(*sides));
        let sides = sides.ok_or("its sizes are no constant of 32-bit integers")?;
        let [0, 0, top, bottom, left, right, 0, 0] = sides[..] else {
            return Err(format!("padding of {sides:?}; that of rows and columns is known"));
        };
        let size = |size: i32| usize::try_from(size).map_err(|_| "it cuts".to_owned());
        let padding = Padding {
            top: size(top)?,
            left: size(left)?,
            bottom: size(bottom)?,
            right: size(right)?,
        };
        let pending = match found.inputs.get(2) {
            None => Pending::Zeros(padding),
            Some(fill) if self.is_lowest(*fill) => Pending::Lowest(padding),
            Some(_) => return Err("it pads with other numbers than 0 and the lowest".into()),
        };
        Ok(Value { pending, ..input })
    }

    /// Whether a constant is the lowest number of its type.
    fn is_lowest(&self, tensor: usize) -> bool {
        match self.constants.numbers(self.constant(tensor)) {
            Ok(numbers) => numbers.iter().all(|number| *number <= f32::MIN),
            Err(_) => self.constants.lowest_byte(tensor),
        }
    }
}
