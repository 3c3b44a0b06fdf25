//! Constants of a file as numbers.

use half::f16;

use crate::{
    proto::{EXTERNAL, TensorProto, data_type},
    reader::external::External,
};

/// A constant tensor.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Constant {
    /// Outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    pub elements: Elements,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Elements {
    Real(Vec<f32>),
    /// Truths are 0 and 1.
    Integers(Vec<i64>),
    /// Of a type that no network in floating point computes with, such as `int8`.
    Other(String),
}

impl Elements {
    pub(super) fn real(&self) -> Option<&[f32]> {
        match self {
            Self::Real(numbers) => Some(numbers),
            _ => None,
        }
    }

    pub(super) fn integers(&self) -> Option<&[i64]> {
        match self {
            Self::Integers(numbers) => Some(numbers),
            _ => None,
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Real(numbers) => numbers.len(),
            Self::Integers(numbers) => numbers.len(),
            Self::Other(_) => 0,
        }
    }
}

impl Constant {
    /// Reads a constant; `external` says where its elements lie, if they are in another file.
    pub(super) fn of(proto: &TensorProto, external: Option<&External>) -> Result<Self, String> {
        let shape: Vec<usize> =
            proto.dims.iter().map(|size| usize::try_from(*size).unwrap_or(0)).collect();
        let read;
        let raw = match external {
            Some(external) => {
                read = external.read().map_err(|error| format!("cannot be read: {error}"))?;
                &read
            }
            None if proto.data_location == EXTERNAL => return Err("is not there".into()),
            None => &proto.raw_data,
        };
        let elements = elements(proto, raw);
        if let Elements::Other(_) = elements {
            return Ok(Self { shape, elements });
        }
        let count = elements.len();
        match shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size)) {
            Some(expected) if expected == count => Ok(Self { shape, elements }),
            _ => Err(format!("has {count} elements for the shape {shape:?}")),
        }
    }

    /// A vector of integers.
    pub(super) fn integers(numbers: Vec<i64>) -> Self {
        Self { shape: vec![numbers.len()], elements: Elements::Integers(numbers) }
    }
}

fn elements(proto: &TensorProto, raw: &[u8]) -> Elements {
    fn numbers<const N: usize, T>(raw: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
        raw.as_chunks::<N>().0.iter().map(|bytes| number(*bytes)).collect()
    }
    match (proto.data_type, raw.is_empty()) {
        (data_type::FLOAT, true) => Elements::Real(proto.float_data.clone()),
        (data_type::FLOAT, false) => Elements::Real(numbers(raw, f32::from_le_bytes)),
        (data_type::FLOAT16, false) => {
            Elements::Real(numbers(raw, |bytes| f16::from_le_bytes(bytes).to_f32()))
        }
        (data_type::INT64, true) => Elements::Integers(proto.int64_data.clone()),
        (data_type::INT64, false) => Elements::Integers(numbers(raw, i64::from_le_bytes)),
        (data_type::INT32, true) => {
            Elements::Integers(proto.int32_data.iter().map(|n| i64::from(*n)).collect())
        }
        (data_type::INT32, false) => {
            Elements::Integers(numbers(raw, |bytes| i64::from(i32::from_le_bytes(bytes))))
        }
        (data_type::BOOL, true) => {
            Elements::Integers(proto.int32_data.iter().map(|n| i64::from(*n != 0)).collect())
        }
        (data_type::BOOL, false) => {
            Elements::Integers(numbers(raw, |[byte]: [u8; 1]| i64::from(byte != 0)))
        }
        (other, _) => Elements::Other(data_type::name(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constant(dims: &[i64], data_type: i32, raw_data: &[u8]) -> Result<Constant, String> {
        let dims = dims.to_vec();
        let raw_data = raw_data.to_vec();
        Constant::of(&TensorProto { dims, data_type, raw_data, ..TensorProto::default() }, None)
    }

    #[test]
    fn numbers_are_read_by_their_type() {
        let of = |dims, data_type, raw| constant(dims, data_type, raw).unwrap().elements;
        let half = [f16::from_f32(1.5).to_le_bytes(), f16::from_f32(-2.0).to_le_bytes()].concat();
        assert_eq!(of(&[2], data_type::FLOAT16, &half), Elements::Real(vec![1.5, -2.0]));
        let long = [7i64.to_le_bytes(), (-1i64).to_le_bytes()].concat();
        assert_eq!(of(&[2], data_type::INT64, &long), Elements::Integers(vec![7, -1]));
        assert_eq!(of(&[2], data_type::BOOL, &[1, 0]), Elements::Integers(vec![1, 0]));
        assert_eq!(of(&[1], data_type::INT8, &[3]), Elements::Other("int8".into()));
    }

    #[test]
    fn elements_have_to_fill_the_shape() {
        let error = constant(&[2, 2], data_type::FLOAT, &[0; 12]).unwrap_err();
        assert_eq!(error, "has 3 elements for the shape [2, 2]");
        assert!(constant(&[i64::MAX, i64::MAX], data_type::FLOAT, &[0; 4]).is_err());
        assert!(constant(&[-1], data_type::FLOAT, &[0; 4]).is_err());
    }
}
