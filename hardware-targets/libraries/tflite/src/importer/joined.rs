//! Arithmetic of two values, or of a value and constants.

use spacewright_core::{
    graph::{ActivationKind, ConvSpec, Op},
    model::OperatorSummary,
};

use super::{
    Importer, Pending, Value, Wanted,
    nodes::{NOTHING, RELU6, damaged},
};
use crate::schema::{ConcatenationOptions, FusedOptions, Operator};

impl<'f> Importer<'f> {
    /// The channels of several values, along the last axis of their maps or rows.
    pub(super) fn concatenation(
        &mut self,
        found: &OperatorSummary,
        operator: Operator<'f>,
    ) -> Result<Value, String> {
        let options = operator.options::<ConcatenationOptions<'_>>(ConcatenationOptions::NUMBER);
        let options = options.map_err(damaged)?;
        let fused = options.and_then(|options| options.fused()).unwrap_or(NOTHING);
        let axis = options.and_then(|options| options.axis()).unwrap_or(0);
        let places = 0..found.inputs.len();
        let values = places.map(|at| self.plain(found, at)).collect::<Result<Vec<_>, _>>()?;
        let flat = values.first().is_some_and(|value| value.flat);
        // Elements in a row are channels only where there is one pixel.
        let is_row = |value: &Value| {
            let shape = self.draft.shape(value.value);
            value.flat == flat && (!flat || (shape.height, shape.width) == (1, 1))
        };
        if !values.iter().all(is_row) {
            return Err("it joins maps and elements in a row".into());
        }
        let last = if flat { 1 } else { 3 };
        if ![last, -1].contains(&axis) {
            return Err(format!("values are joined along axis {axis}; along channels is known"));
        }
        if let &[value] = &values[..] {
            return Ok(value);
        }
        let (_, value) = self.push(found, Op::Concat, &values, fused)?;
        Ok(Value { flat, ..value })
    }

    /// `ADD`, `SUB`, `MUL`, `DIV`.
    pub(super) fn joined(
        &mut self,
        found: &OperatorSummary,
        operator: Operator<'f>,
    ) -> Result<Value, String> {
        let (op, number) = match found.kind.as_str() {
            "ADD" => (Some(Op::Add), FusedOptions::OF_ADD),
            "MUL" => (Some(Op::Mul), FusedOptions::OF_MUL),
            "SUB" => (None, FusedOptions::OF_SUB),
            _ => (None, FusedOptions::OF_DIV),
        };
        let options = operator.options::<FusedOptions<'_>>(number).map_err(damaged)?;
        let fused = options.and_then(|options| options.fused()).unwrap_or(NOTHING);
        let &[first, second] = &found.inputs[..] else { return Err("it has no two inputs".into()) };
        match (self.is_constant(first), self.is_constant(second)) {
            (false, false) => {
                let op = op.ok_or("differences and quotients of two values are not known")?;
                self.pair(found, op, fused)
            }
            (at_first, _) => self.with_constant(found, usize::from(at_first), fused),
        }
    }

    fn pair(&mut self, found: &OperatorSummary, op: Op, fused: i8) -> Result<Value, String> {
        let (mut a, mut b) = (self.plain(found, 0)?, self.plain(found, 1)?);
        if a.flat != b.flat {
            return Err("it joins a map and elements in a row".into());
        }
        // The op graph's second factor is the one that may be smaller.
        let elements = |value: Value| self.draft.shape(value.value).elements();
        if op == Op::Mul && elements(a) < elements(b) {
            (a, b) = (b, a);
        }
        let (_, value) = self.push(found, op, &[a, b], fused)?;
        Ok(Value { flat: a.flat, ..value })
    }

    /// Arithmetic of the value at a position of the inputs and of the constant at the other: a 1×1 depth-wise
    /// convolution, or a part of a hard sigmoid.
    fn with_constant(
        &mut self,
        found: &OperatorSummary,
        at: usize,
        fused: i8,
    ) -> Result<Value, String> {
        let input = self.input(found, at)?;
        let channels = self.draft.shape(input.value).channels;
        let numbers = self.numbers(found.inputs[1 - at], channels)?;
        let all = |wanted: f32| match &numbers {
            Some(numbers) => numbers.iter().all(|number| (number - wanted).abs() < 1e-4 * wanted),
            None => true,
        };
        let (adds, multiplies) = (found.kind == "ADD", found.kind == "MUL");
        match input.pending {
            Pending::Nothing => {}
            Pending::ClippedSum if multiplies && fused == NOTHING && all(1.0 / 6.0) => {
                let whole = Value { pending: Pending::Nothing, ..input };
                let op = Op::Activation { kind: ActivationKind::HSigmoid };
                let (_, value) = self.push(found, op, &[whole], NOTHING)?;
                return Ok(Value { flat: input.flat, ..value });
            }
            _ => return Err("its input is padded or clipped".into()),
        }
        if adds && fused == RELU6 && all(3.0) && self.is_divided(found.outputs[0]) {
            return Ok(Value { pending: Pending::ClippedSum, ..input });
        }
        let op = ConvSpec::depthwise(channels, 1).bias().into();
        let (made, last) = self.push(found, op, &[input], fused)?;
        if let Some(numbers) = numbers {
            let [factor, shift] = affine(&found.kind, at == 0, numbers)?;
            self.draft.set(made.value, "weight", vec![channels, 1, 1, 1], factor)?;
            self.draft.set(made.value, "bias", vec![channels], shift)?;
        }
        Ok(Value { flat: input.flat, ..last })
    }

    /// Whether all that reads a value multiplies it by a constant: the rest of a hard sigmoid.
    fn is_divided(&self, tensor: usize) -> bool {
        let mut readers = self.summary.operators.iter().filter(|op| op.inputs.contains(&tensor));
        let by_constant = |op: &OperatorSummary| {
            let mut others = op.inputs.iter().filter(|input| **input != tensor);
            op.kind == "MUL" && others.next().is_some_and(|other| self.is_constant(*other))
        };
        tensor != self.output && readers.all(by_constant)
    }

    /// A number for each channel; `None` where only the structure is wanted.
    fn numbers(&self, tensor: usize, channels: usize) -> Result<Option<Vec<f32>>, String> {
        if self.wanted == Wanted::Structure {
            return Ok(None);
        }
        let tensor = self.constant(tensor);
        let numbers = self.constants.numbers(tensor)?;
        match numbers[..] {
            [number] => Ok(Some(vec![number; channels])),
            _ if numbers.len() == channels
                && self.summary.tensors[tensor].shape.last() == Some(&(channels as i64)) =>
            {
                Ok(Some(numbers))
            }
            _ => {
                Err(format!("arithmetic with {} constants for {channels} channels", numbers.len()))
            }
        }
    }
}

/// Factor and shift of each channel that arithmetic with these numbers is; the value comes first, or second.
fn affine(kind: &str, value_first: bool, numbers: Vec<f32>) -> Result<[Vec<f32>; 2], String> {
    let count = numbers.len();
    let of = |factor: f32, sign: f32| {
        [vec![factor; count], numbers.iter().map(|number| sign * number).collect()]
    };
    Ok(match (kind, value_first) {
        ("ADD", _) => of(1.0, 1.0),
        ("SUB", true) => of(1.0, -1.0),
        ("SUB", false) => of(-1.0, 1.0),
        ("MUL", _) => [numbers, vec![0.0; count]],
        ("DIV", true) => [numbers.iter().map(|number| number.recip()).collect(), vec![0.0; count]],
        _ => return Err("a constant is divided by a value".into()),
    })
}
