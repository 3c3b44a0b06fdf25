//! TFLite's built-in operators, as far as networks need them, and their options.

mod names;

use flatbuffers::VOffsetT;

pub(crate) use self::names::{CUSTOM, has_weights, name};
use crate::schema::offset;

/// An operator's kind: number in the schema, and the version of the operator in whose
/// signature 8-bit integers came in (or scales per channel, where the operator has weights).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    pub code: i32,
    pub version: i32,
}

macro_rules! kinds {
    ($($name:ident = $code:literal, $version:literal;)*) => {
        $(pub(crate) const $name: Kind = Kind { code: $code, version: $version };)*
    };
}

kinds! {
    ADD = 0, 2;
    AVERAGE_POOL_2D = 1, 2;
    CONCATENATION = 2, 2;
    CONV_2D = 3, 3;
    DEPTHWISE_CONV_2D = 4, 3;
    FULLY_CONNECTED = 9, 4;
    LOGISTIC = 14, 2;
    MAX_POOL_2D = 17, 2;
    MUL = 18, 2;
    RELU = 19, 2;
    RELU6 = 21, 2;
    RESHAPE = 22, 1;
    PAD = 34, 2;
    MEAN = 40, 2;
    PADV2 = 60, 2;
    QUANTIZE = 114, 2;
    HARD_SWISH = 117, 1;
}

/// A field of an operator's options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Byte(i8),
    Int(i32),
    Flag(bool),
}

/// An operator's options: number of their table in the schema's union, and fields by slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    pub table: u8,
    pub fields: Vec<(VOffsetT, Field)>,
}

impl Options {
    fn of(table: u8, fields: &[Field]) -> Self {
        let slot = |(index, field): (usize, &Field)| (offset(index as VOffsetT), *field);
        Self { table, fields: fields.iter().enumerate().map(slot).collect() }
    }
}

/// What an operator applies to its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Fused {
    #[default]
    Nothing = 0,
    Relu = 1,
    Relu6 = 3,
}

/// Padding that needs no operator of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Border {
    /// As much as gives ⌈size / stride⌉ outputs; the smaller half comes first.
    Same = 0,
    Valid = 1,
}

fn byte(value: impl Into<Field>) -> Field {
    value.into()
}

impl From<Fused> for Field {
    fn from(fused: Fused) -> Self {
        Self::Byte(fused as i8)
    }
}

impl From<Border> for Field {
    fn from(border: Border) -> Self {
        Self::Byte(border as i8)
    }
}

/// How a convolution's window moves, in both directions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steps {
    pub border: Border,
    pub stride: usize,
    pub dilation: usize,
}

impl Steps {
    /// Over each pixel, without padding.
    pub(crate) const EACH: Self = Self { border: Border::Valid, stride: 1, dilation: 1 };
}

pub(crate) fn convolution(steps: Steps, fused: Fused) -> Options {
    let Steps { border, stride, dilation } = steps;
    let [stride, dilation] = [stride, dilation].map(|pixels| Field::Int(pixels as i32));
    Options::of(1, &[byte(border), stride, stride, byte(fused), dilation, dilation])
}

pub(crate) fn depthwise(steps: Steps, multiplier: usize, fused: Fused) -> Options {
    let Steps { border, stride, dilation } = steps;
    let numbers = [stride, dilation, multiplier].map(|number| Field::Int(number as i32));
    let [stride, dilation, multiplier] = numbers;
    let (border, fused) = (byte(border), byte(fused));
    Options::of(2, &[border, stride, stride, multiplier, fused, dilation, dilation])
}

pub(crate) fn pool(border: Border, stride: usize, side: usize) -> Options {
    let (stride, side) = (Field::Int(stride as i32), Field::Int(side as i32));
    Options::of(5, &[byte(border), stride, stride, side, side, byte(Fused::Nothing)])
}

pub(crate) fn fully_connected(fused: Fused) -> Options {
    Options::of(8, &[byte(fused)])
}

/// Along the last of four axes.
pub(crate) fn concatenation() -> Options {
    Options::of(10, &[Field::Int(3), byte(Fused::Nothing)])
}

pub(crate) fn add(fused: Fused) -> Options {
    Options::of(11, &[byte(fused), Field::Flag(false)])
}

pub(crate) fn mul(fused: Fused) -> Options {
    Options::of(21, &[byte(fused)])
}

/// Over axes that stay, with one element.
pub(crate) fn reducer() -> Options {
    Options::of(27, &[Field::Flag(true)])
}
