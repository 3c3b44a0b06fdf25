//! Named tensors of a file, whose data are decoded when they are needed.

use std::collections::BTreeMap;

use half::{bf16, f16};

/// How an element of a tensor is written, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    F16,
    Bf16,
    F32,
    F64,
    /// No real number, with its bytes and its name.
    Other(usize, &'static str),
}

impl Element {
    /// Bytes of one.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
            Self::Other(bytes, _) => bytes,
        }
    }

    /// How errors call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
            Self::F32 => "float32",
            Self::F64 => "float64",
            Self::Other(_, name) => name,
        }
    }

    /// Whether it is a real number.
    pub(crate) fn is_real(self) -> bool {
        !matches!(self, Self::Other(..))
    }
}

/// A tensor within a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tensor<'f> {
    element: Element,
    shape: Vec<usize>,
    /// Elements from one to the next, by dimension, unless it lies row by row.
    strides: Option<Vec<usize>>,
    bytes: &'f [u8],
}

impl<'f> Tensor<'f> {
    /// A tensor that lies row by row; `None` where there are not as many bytes as the shape asks for.
    pub(crate) fn new(element: Element, shape: Vec<usize>, bytes: &'f [u8]) -> Option<Self> {
        let size = elements(&shape)?.checked_mul(element.bytes())?;
        (size == bytes.len()).then_some(Self { element, shape, strides: None, bytes })
    }

    /// A tensor whose elements lie in any order, the first one first; `None` where they lie outside of
    /// the bytes, or are more than these.
    pub(crate) fn strided(
        element: Element,
        shape: Vec<usize>,
        strides: Vec<usize>,
        bytes: &'f [u8],
    ) -> Option<Self> {
        let count = elements(&shape)?;
        if count == 0 {
            return Self::new(element, shape, bytes.get(..0)?);
        }
        let steps =
            shape.iter().zip(&strides).map(|(size, stride)| (size - 1).checked_mul(*stride));
        let last = steps.into_iter().try_fold(0usize, |sum, step| sum.checked_add(step?))?;
        let places = bytes.len() / element.bytes();
        let fits = last < places && count <= places && shape.len() == strides.len();
        fits.then_some(Self { element, shape, strides: Some(strides), bytes })
    }

    pub(crate) fn element(&self) -> Element {
        self.element
    }

    /// Outermost dimension first.
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its numbers, row-major; `None` where they are no real numbers.
    pub(crate) fn reals(&self) -> Option<Vec<f32>> {
        match self.element {
            Element::F16 => self.numbers(|two| f16::from_le_bytes(two).to_f32()),
            Element::Bf16 => self.numbers(|two| bf16::from_le_bytes(two).to_f32()),
            Element::F32 => self.numbers(f32::from_le_bytes),
            Element::F64 => self.numbers(|eight| f64::from_le_bytes(eight) as f32),
            Element::Other(..) => None,
        }
    }

    fn numbers<const N: usize>(&self, number: impl Fn([u8; N]) -> f32) -> Option<Vec<f32>> {
        let (stored, _) = self.bytes.as_chunks::<N>();
        let Some(strides) = &self.strides else {
            return Some(stored.iter().map(|bytes| number(*bytes)).collect());
        };
        let place = |at: usize| {
            let axes = self.shape.iter().zip(strides).rev();
            axes.fold((at, 0), |(at, place), (size, stride)| {
                (at / size, place + at % size * stride)
            })
            .1
        };
        (0..elements(&self.shape)?).map(|at| Some(number(*stored.get(place(at))?))).collect()
    }
}

/// Elements of a shape, if they can be counted.
pub(crate) fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().copied().try_fold(1, usize::checked_mul)
}

/// The tensors of a file.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Tensors<'f> {
    by_name: BTreeMap<String, Tensor<'f>>,
    /// The name of the network, where the file says it.
    pub(crate) architecture: Option<String>,
}

impl<'f> Tensors<'f> {
    /// Adds a tensor, in place of one of this name.
    pub(crate) fn insert(&mut self, name: String, tensor: Tensor<'f>) {
        self.by_name.insert(name, tensor);
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Tensor<'f>> {
        self.by_name.get(name)
    }

    /// Names in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Whether a name starts so.
    pub(crate) fn has_prefix(&self, prefix: &str) -> bool {
        let mut from = self.by_name.range(prefix.to_owned()..);
        from.next().is_some_and(|(name, _)| name.starts_with(prefix))
    }

    /// How many of the names `<prefix>0.…`, `<prefix>1.…` follow each other.
    pub(crate) fn count(&self, prefix: &str) -> usize {
        (0..).take_while(|at| self.has_prefix(&format!("{prefix}{at}."))).count()
    }

    /// A size of a tensor's shape, if there is one.
    pub(crate) fn size(&self, name: &str, axis: usize) -> Option<usize> {
        self.get(name)?.shape.get(axis).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halves(numbers: [f16; 2]) -> [u8; 4] {
        let [[a, b], [c, d]] = numbers.map(f16::to_le_bytes);
        [a, b, c, d]
    }

    #[test]
    fn all_real_numbers_are_read() {
        let read = |element, bytes: &[u8]| Tensor::new(element, vec![2], bytes).unwrap().reals();
        let expected = Some(vec![1.5, -2.0]);
        let bytes: Vec<u8> = [1.5f64, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(read(Element::F64, &bytes), expected);
        let bytes: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(read(Element::F32, &bytes), expected);
        assert_eq!(read(Element::F16, &halves([1.5, -2.0].map(f16::from_f32))), expected);
        let bytes = [0xc0, 0x3f, 0x00, 0xc0];
        assert_eq!(read(Element::Bf16, &bytes), expected);
        assert_eq!(read(Element::Other(2, "int16"), &bytes), None);
    }

    #[test]
    fn a_shape_has_as_many_elements_as_there_are() {
        assert_eq!(Tensor::new(Element::F32, vec![2], &[0; 7]), None);
        assert_eq!(Tensor::new(Element::F32, vec![usize::MAX, 4], &[0; 8]), None);
        assert!(Tensor::new(Element::F32, vec![], &[0; 4]).is_some());
    }

    #[test]
    fn elements_may_lie_in_any_order() {
        let bytes: Vec<u8> = (0..6u8).flat_map(|x| f32::from(x).to_le_bytes()).collect();
        let strided = |shape: &[usize], strides: &[usize]| {
            Tensor::strided(Element::F32, shape.to_vec(), strides.to_vec(), &bytes)
        };
        let reals = |shape, strides| strided(shape, strides).unwrap().reals().unwrap();
        assert_eq!(reals(&[2, 3], &[3, 1]), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(reals(&[3, 2], &[1, 3]), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(reals(&[2, 1], &[5, usize::MAX]), [0.0, 5.0]);
        assert_eq!(reals(&[], &[]), [0.0]);
        assert!(reals(&[usize::MAX, 0], &[usize::MAX, 1]).is_empty());
        // Outside, more than there are, and nothing that can be counted.
        for (shape, strides) in [
            (&[2, 3][..], &[4, 1][..]),
            (&[7], &[0]),
            (&[2, 2], &[1]),
            (&[2, 2], &[usize::MAX, usize::MAX]),
            (&[usize::MAX, 2], &[0, 0]),
        ] {
            assert_eq!(strided(shape, strides), None);
        }
    }

    #[test]
    fn numbered_names_are_counted() {
        let mut tensors = Tensors::default();
        for name in ["a.0.x", "a.1.x", "a.10.x", "a.3.x", "b.00.x"] {
            tensors.insert(name.into(), Tensor::new(Element::F32, vec![0], &[]).unwrap());
        }
        assert_eq!(tensors.count("a."), 2);
        assert_eq!(tensors.count("b."), 0);
        assert_eq!(tensors.size("a.1.x", 0), Some(0));
        assert_eq!(tensors.size("a.1.x", 1), None);
    }
}
