//! The op graph of a file while it is put together, with its weights.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::{
    graph::{Graph, GraphError, Node, Op, Shape, ValueId},
    model::{INPUT, OUTPUT},
    quant::{FloatWeights, TensorData},
};

/// Most elements of a value, and most weights: a file that says little may not ask for much memory.
const MOST_ELEMENTS: u128 = 1 << 26;
const MOST_WEIGHTS: usize = 1 << 30;
const MOST_NODES: usize = 20_000;
/// Letters of a name; what is longer is cut.
const LONGEST_NAME: usize = 200;

/// Why a node cannot be appended, or a weight not be set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct UnfitNode {
    /// In words.
    pub reason: String,
}

impl UnfitNode {
    fn new(reason: String) -> Self {
        Self { reason }
    }
}

impl From<UnfitNode> for String {
    fn from(error: UnfitNode) -> Self {
        error.reason
    }
}

/// A network that grows node by node. Names are made such that every format can hold them, and none is used twice.
#[derive(Debug, Clone)]
pub struct NetworkDraft {
    graph: Graph,
    shapes: Vec<Shape>,
    weights: FloatWeights,
    /// Names that are taken, and the number that a further node of that name gets.
    names: BTreeMap<String, usize>,
    weight_count: usize,
}

impl NetworkDraft {
    /// Nothing but the input.
    pub fn new(input: Shape) -> Self {
        Self {
            graph: Graph::identity(input),
            shapes: vec![input],
            weights: FloatWeights::new(),
            names: [INPUT, OUTPUT, "input"].map(|name| (name.to_owned(), 2)).into(),
            weight_count: 0,
        }
    }

    /// Shape of a value.
    pub fn shape(&self, value: ValueId) -> Shape {
        self.shapes[value.index()]
    }

    /// The operator that makes a value, with what it is made of; `None` for the input.
    pub fn made_by(&self, value: ValueId) -> Option<&Node> {
        self.graph.nodes.get(value.node()?)
    }

    /// Appends a node with a name like this one.
    ///
    /// # Errors
    ///
    /// Its inputs do not fit, or it is too large.
    pub fn push(&mut self, name: &str, op: Op, inputs: &[ValueId]) -> Result<ValueId, UnfitNode> {
        if self.graph.nodes.len() >= MOST_NODES {
            return Err(UnfitNode::new(format!("more than {MOST_NODES} operators")));
        }
        let node = Node { name: self.free_name(name), op, inputs: inputs.to_vec() };
        let shapes: Vec<Shape> = inputs.iter().map(|value| self.shape(*value)).collect();
        let shape = node.output_shape(&shapes).map_err(|error| match error {
            GraphError::Shape { reason, .. } => UnfitNode::new(reason),
            other => UnfitNode::new(other.to_string()),
        })?;
        let elements = [shape.channels, shape.height, shape.width].map(|size| size as u128);
        if elements.iter().any(|size| *size > MOST_ELEMENTS)
            || elements.iter().product::<u128>() > MOST_ELEMENTS
        {
            return Err(UnfitNode::new(format!("a value of {shape} elements")));
        }
        self.shapes.push(shape);
        self.names.insert(node.name.clone(), 2);
        self.graph.nodes.push(node);
        Ok(ValueId::of_node(self.graph.nodes.len() - 1))
    }

    /// Sets a weight, or a statistic, of the node that makes a value: `weight`, `bias`, `gamma`, `beta`, `mean`,
    /// `var`.
    ///
    /// # Errors
    ///
    /// There are too many of them.
    pub fn set(
        &mut self,
        value: ValueId,
        role: &str,
        shape: Vec<usize>,
        data: Vec<f32>,
    ) -> Result<(), UnfitNode> {
        self.weight_count = self.weight_count.saturating_add(data.len());
        if self.weight_count > MOST_WEIGHTS {
            return Err(UnfitNode::new(format!("more than {MOST_WEIGHTS} weights")));
        }
        if let Some(node) = self.made_by(value) {
            let name = format!("{}.{role}", node.name);
            self.weights.insert(name, TensorData { shape, data });
        }
        Ok(())
    }

    /// Adds to the bias of the convolution or linear layer that makes a value, which gets one if it has none; whether
    /// such an operator makes it.
    pub fn add_bias(&mut self, value: ValueId, shift: &[f32]) -> bool {
        let node = value.node().and_then(|node| self.graph.nodes.get_mut(node));
        let Some(node) = node else { return false };
        let bias = match &mut node.op {
            Op::Conv2d(conv) => &mut conv.bias,
            Op::Linear { bias, .. } => bias,
            _ => return false,
        };
        *bias = true;
        let zeros = || TensorData { shape: vec![shift.len()], data: vec![0.0; shift.len()] };
        let known = self.weights.entry(format!("{}.bias", node.name)).or_insert_with(zeros);
        known.data.iter_mut().zip(shift).for_each(|(sum, shift)| *sum += shift);
        true
    }

    /// The graph that gives this value, and its weights.
    pub fn finish(self, output: ValueId) -> (Graph, FloatWeights) {
        (Graph { output, ..self.graph }, self.weights)
    }

    /// A name like this one that no node has, of characters that every format allows.
    fn free_name(&mut self, name: &str) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '.' };
        let plain: String = name.chars().take(LONGEST_NAME).map(plain).collect();
        let parts: Vec<&str> = plain.split('.').filter(|part| !part.is_empty()).collect();
        let name = if parts.is_empty() { "node".into() } else { parts.join(".") };
        let Some(mut number) = self.names.get(&name).copied() else { return name };
        loop {
            let numbered = format!("{name}.{number}");
            number += 1;
            if !self.names.contains_key(&numbered) {
                self.names.insert(name, number);
                return numbered;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{ActivationKind, ConvSpec};

    #[test]
    fn names_are_free_and_plain() {
        let mut draft = NetworkDraft::new(Shape::square(1, 2));
        let mut x = ValueId::INPUT;
        for name in ["a/b:0", "a.b.0", "", "input"] {
            let op = Op::Activation { kind: ActivationKind::Relu };
            x = draft.push(name, op, &[x]).unwrap();
        }
        let (graph, _) = draft.finish(x);
        let names: Vec<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["a.b.0", "a.b.0.2", "node", "input.2"]);
    }

    #[test]
    fn what_does_not_fit_is_told_in_words() {
        let mut draft = NetworkDraft::new(Shape::square(2, 4));
        let pooled = draft.push("pool", Op::GlobalAvgPool, &[ValueId::INPUT]).unwrap();
        let error = draft.push("sum", Op::Add, &[ValueId::INPUT, pooled]).unwrap_err();
        assert_eq!(error.reason, "adds two different shapes");
    }

    #[test]
    fn values_are_not_larger_than_anybody_can_compute() {
        let mut draft = NetworkDraft::new(Shape::square(1, 1 << 12));
        let wide = |channels| ConvSpec::new(channels, 1).into();
        let error = draft.push("wide", wide(1 << 40), &[ValueId::INPUT]).unwrap_err();
        assert_eq!(error.reason, "a value of 1099511627776x4096x4096 elements");
        assert!(draft.push("narrow", wide(4), &[ValueId::INPUT]).is_ok());
        assert!(draft.push("wider", wide(5), &[ValueId::INPUT]).is_err());
    }
}
