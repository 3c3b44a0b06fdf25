//! What the tensors of a file are, as far as they are known while its nodes are read.

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
};

use spacewright_core::graph::{Padding, Shape};

use super::{
    constants::{Constant, Elements},
    network::Real,
};
use crate::proto::{GraphProto, NodeProto};

/// What a tensor is.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// A value of the op graph.
    Real(Real),
    /// One that was padded with zeros: a convolution takes the padding over.
    Padded(Real, Padding),
    Constant(Rc<Constant>),
    /// What a node makes that is not known; said once, where it is made.
    Unknown,
}

/// Real numbers of a constant, behind its shape.
pub(super) type Numbers = (Vec<usize>, Vec<f32>);

/// A reason for which nothing is said: another node has been named for it.
pub(super) const SAID: &str = "";

/// All tensors by name.
pub(super) struct Values<'g> {
    known: HashMap<&'g str, Value>,
    /// Tensors that more than one node reads; what the file gives is read by whoever uses it.
    shared: HashSet<&'g str>,
}

impl<'g> Values<'g> {
    pub(super) fn of(graph: &'g GraphProto) -> Self {
        let (mut read, mut shared) = (HashSet::new(), HashSet::new());
        let inputs = graph.node.iter().flat_map(|node| &node.input);
        for name in inputs.chain(graph.output.iter().map(|output| &output.name)) {
            if !read.insert(name.as_str()) {
                shared.insert(name.as_str());
            }
        }
        Self { known: HashMap::new(), shared }
    }

    pub(super) fn insert(&mut self, name: &'g str, value: Value) {
        self.known.insert(name, value);
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.known.get(name)
    }

    /// Input number `at` of a node; `None` where it is left out.
    pub(super) fn input(&self, node: &NodeProto, at: usize) -> Result<Option<Value>, String> {
        let Some(name) = node.input.get(at).filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        let shared = self.shared.contains(name.as_str());
        match self.known.get(name.as_str()) {
            None => Err(format!("nothing makes its input `{name}`")),
            Some(Value::Unknown) => Err(SAID.into()),
            Some(Value::Real(real)) => {
                Ok(Some(Value::Real(Real { shared: real.shared || shared, ..*real })))
            }
            Some(value) => Ok(Some(value.clone())),
        }
    }

    /// The inputs of a node, where there are some and all are constants.
    pub(super) fn constants(&self, node: &NodeProto) -> Option<Vec<Option<Rc<Constant>>>> {
        let constant = |name: &String| match self.known.get(name.as_str()) {
            _ if name.is_empty() => Some(None),
            Some(Value::Constant(constant)) => Some(Some(constant.clone())),
            _ => None,
        };
        let inputs: Option<Vec<_>> = node.input.iter().map(constant).collect();
        inputs.filter(|inputs| inputs.iter().any(Option::is_some))
    }

    /// An input that is no constant.
    pub(super) fn real(&self, node: &NodeProto, at: usize) -> Result<Real, String> {
        match self.input(node, at)? {
            Some(Value::Real(real)) => Ok(real),
            Some(Value::Padded(..)) => Err("its input is padded by a node of its own".into()),
            Some(Value::Constant(_)) => Err("its input is a constant".into()),
            None | Some(Value::Unknown) => Err("it has no input".into()),
        }
    }

    /// An input of four dimensions.
    pub(super) fn map(&self, node: &NodeProto, at: usize) -> Result<Real, String> {
        match self.real(node, at)? {
            real if real.rank == 4 => Ok(real),
            real => Err(format!("its input has {} dimensions, not 4", real.rank)),
        }
    }

    /// An input that is a constant, if it is there.
    pub(super) fn constant(
        &self,
        node: &NodeProto,
        at: usize,
    ) -> Result<Option<Rc<Constant>>, String> {
        match self.input(node, at)? {
            None => Ok(None),
            Some(Value::Constant(constant)) => Ok(Some(constant)),
            Some(_) => Err(format!("its input `{}` is no constant", node.input[at])),
        }
    }

    /// Real elements of a constant input, if it is there.
    pub(super) fn numbers(&self, node: &NodeProto, at: usize) -> Result<Option<Numbers>, String> {
        let Some(constant) = self.constant(node, at)? else { return Ok(None) };
        match &constant.elements {
            Elements::Real(numbers) => Ok(Some((constant.shape.clone(), numbers.clone()))),
            Elements::Integers(_) => Err(format!("its input `{}` has integers", node.input[at])),
            Elements::Other(kind) => Err(format!("its input `{}` is {kind}", node.input[at])),
        }
    }

    /// Integers of a constant input, if it is there.
    pub(super) fn integers(&self, node: &NodeProto, at: usize) -> Result<Option<Vec<i64>>, String> {
        let Some(constant) = self.constant(node, at)? else { return Ok(None) };
        match &constant.elements {
            Elements::Integers(numbers) => Ok(Some(numbers.clone())),
            _ => Err(format!("its input `{}` has no integers", node.input[at])),
        }
    }
}

/// The sizes of a value as ONNX counts them, the batch of 1 first.
pub(super) fn sizes(real: Real, shape: Shape) -> Vec<i64> {
    let Shape { channels, height, width } = shape;
    let sizes = match real.rank {
        2 => vec![1, channels * height * width],
        3 => vec![1, channels, height * width],
        _ => vec![1, channels, height, width],
    };
    sizes.into_iter().map(|size| size as i64).collect()
}

/// A constant as one number for each channel of a value.
pub(super) fn per_channel(
    real: Real,
    shape: Shape,
    (sizes, numbers): Numbers,
) -> Result<Vec<f32>, String> {
    // One of more dimensions would give the value as many.
    if sizes.len() <= real.rank
        && let [number] = numbers[..]
    {
        return Ok(vec![number; shape.channels]);
    }
    // Sizes are aligned at the last dimension.
    let mut aligned = vec![1; real.rank.saturating_sub(sizes.len())];
    aligned.extend(&sizes);
    let channels_alone = aligned.iter().enumerate().all(|(axis, size)| axis == 1 || *size == 1);
    let flat = real.rank == 2 && (shape.height, shape.width) != (1, 1);
    if aligned.len() == real.rank && channels_alone && !flat && numbers.len() == shape.channels {
        return Ok(numbers);
    }
    Err(format!("a constant of the shape {sizes:?}; one number for each channel is known"))
}
