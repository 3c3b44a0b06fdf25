//! Constants of a file: weights, axes, sizes.

use flatbuffers::{ForwardsUOffset, Vector};
use half::f16;

use crate::schema::{Buffer, Model, SubGraph, Tensor};

/// `TensorType` of the schema.
const FLOAT32: i8 = 0;
const FLOAT16: i8 = 1;
const INT32: i8 = 2;
const INT8: i8 = 9;

/// The constants of a graph.
pub(super) struct Constants<'f> {
    file: &'f [u8],
    tensors: Option<Vector<'f, ForwardsUOffset<Tensor<'f>>>>,
    buffers: Option<Vector<'f, ForwardsUOffset<Buffer<'f>>>>,
}

impl<'f> Constants<'f> {
    pub(super) fn of(file: &'f [u8], model: Model<'f>, graph: SubGraph<'f>) -> Self {
        Self { file, tensors: graph.tensors(), buffers: model.buffers() }
    }

    fn tensor(&self, place: usize) -> Option<Tensor<'f>> {
        self.tensors.filter(|tensors| place < tensors.len()).map(|tensors| tensors.get(place))
    }

    /// Shape and bytes; `None` of a value.
    fn bytes(&self, place: usize) -> Option<(Tensor<'f>, &'f [u8])> {
        let tensor = self.tensor(place)?;
        let at = tensor.buffer().unwrap_or(0) as usize;
        let buffer = self.buffers.filter(|buffers| at < buffers.len())?.get(at);
        if let Some(data) = buffer.data() {
            return Some((tensor, data.bytes())).filter(|(_, data)| !data.is_empty());
        }
        let (offset, size) = (buffer.offset().unwrap_or(0), buffer.size().unwrap_or(0));
        let from = usize::try_from(offset).ok().filter(|offset| *offset > 1)?;
        let to = from.checked_add(usize::try_from(size).ok()?)?;
        Some((tensor, self.file.get(from..to)?))
    }

    /// Numbers in single precision, row-major; those in half precision are made longer.
    pub(super) fn numbers(&self, place: usize) -> Result<Vec<f32>, String> {
        let (tensor, bytes) = self.bytes(place).ok_or("weights that are no constant")?;
        let numbers: Vec<f32> = match tensor.element().unwrap_or(FLOAT32) {
            FLOAT32 => {
                bytes.as_chunks().0.iter().map(|number| f32::from_le_bytes(*number)).collect()
            }
            FLOAT16 => bytes
                .as_chunks()
                .0
                .iter()
                .map(|number| f16::from_le_bytes(*number).to_f32())
                .collect(),
            _ => return Err("the network is quantized already: import it as it was before".into()),
        };
        let elements: Option<usize> = tensor.shape().map_or(Some(1), |shape| {
            let sizes = shape.iter().map(|size| usize::try_from(size).ok());
            sizes.into_iter().try_fold(1usize, |product, size| product.checked_mul(size?))
        });
        match elements == Some(numbers.len()) {
            true => Ok(numbers),
            false => Err(format!("a constant of {} numbers that has another shape", numbers.len())),
        }
    }

    /// Whether a constant of 8-bit integers holds the lowest one.
    pub(super) fn lowest_byte(&self, place: usize) -> bool {
        let is_byte = |tensor: Tensor<'f>| tensor.element() == Some(INT8);
        self.bytes(place).is_some_and(|(tensor, bytes)| is_byte(tensor) && bytes == [i8::MIN as u8])
    }

    /// Integers such as axes; `None` of a value.
    pub(super) fn integers(&self, place: usize) -> Option<Vec<i32>> {
        let (tensor, bytes) = self.bytes(place)?;
        let whole = tensor.element() == Some(INT32);
        whole
            .then(|| bytes.as_chunks().0.iter().map(|number| i32::from_le_bytes(*number)).collect())
    }
}
