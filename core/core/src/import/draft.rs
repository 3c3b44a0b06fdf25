//! The op graph of a file while it is put together, with its weights.

use std::collections::BTreeSet;

use crate::{
    graph::{Graph, GraphError, Node, Op, Shape, ValueId},
    model::{INPUT, OUTPUT},
    quant::{FloatWeights, TensorData},
};

/// Most elements of a value: far more than a network has that can be computed, and few enough to be multiplied.
const MOST_ELEMENTS: u128 = 1 << 31;

/// A network that grows node by node. Names are made such that every format can hold them, and none is used twice.
#[derive(Debug, Clone)]
pub struct NetworkDraft {
    graph: Graph,
    shapes: Vec<Shape>,
    weights: FloatWeights,
    names: BTreeSet<String>,
}

impl NetworkDraft {
    /// Nothing but the input.
    pub fn new(input: Shape) -> Self {
        Self {
            graph: Graph::identity(input),
            shapes: vec![input],
            weights: FloatWeights::new(),
            names: [INPUT, OUTPUT, "input"].map(str::to_owned).into(),
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
    /// In words, why its inputs do not fit.
    pub fn push(&mut self, name: &str, op: Op, inputs: &[ValueId]) -> Result<ValueId, String> {
        let node = Node { name: self.free_name(name), op, inputs: inputs.to_vec() };
        let shapes: Vec<Shape> = inputs.iter().map(|value| self.shape(*value)).collect();
        let shape = node.output_shape(&shapes).map_err(|error| match error {
            GraphError::Shape { reason, .. } => reason,
            other => other.to_string(),
        })?;
        let elements = [shape.channels, shape.height, shape.width].map(|size| size as u128);
        if elements.iter().any(|size| *size > MOST_ELEMENTS)
            || elements.iter().product::<u128>() > MOST_ELEMENTS
        {
            return Err(format!("a value of {shape} elements"));
        }
        self.shapes.push(shape);
        self.names.insert(node.name.clone());
        self.graph.nodes.push(node);
        Ok(ValueId::of_node(self.graph.nodes.len() - 1))
    }

    /// Sets a weight, or a statistic, of the node that makes a value: `weight`, `bias`, `gamma`, `beta`, `mean`,
    /// `var`.
    pub fn set(&mut self, value: ValueId, role: &str, shape: Vec<usize>, data: Vec<f32>) {
        if let Some(node) = self.made_by(value) {
            let name = format!("{}.{role}", node.name);
            self.weights.insert(name, TensorData { shape, data });
        }
    }

    /// The graph that gives this value, and its weights.
    pub fn finish(self, output: ValueId) -> (Graph, FloatWeights) {
        (Graph { output, ..self.graph }, self.weights)
    }

    /// A name like this one that no node has, of characters that every format allows.
    fn free_name(&self, name: &str) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '.' };
        let plain: String = name.chars().map(plain).collect();
        let parts: Vec<&str> = plain.split('.').filter(|part| !part.is_empty()).collect();
        let name = if parts.is_empty() { "node".into() } else { parts.join(".") };
        if !self.names.contains(&name) {
            return name;
        }
        let numbered = (2..).map(|number| format!("{name}.{number}"));
        let mut free = numbered.filter(|name| !self.names.contains(name));
        free.next().unwrap_or(name)
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
        assert_eq!(error, "adds two different shapes");
    }

    #[test]
    fn values_are_not_larger_than_anybody_can_compute() {
        let mut draft = NetworkDraft::new(Shape::square(1, 1 << 12));
        let wide = |channels| ConvSpec::new(channels, 1).into();
        let error = draft.push("wide", wide(1 << 40), &[ValueId::INPUT]).unwrap_err();
        assert_eq!(error, "a value of 1099511627776x4096x4096 elements");
        assert!(draft.push("narrow", wide(4), &[ValueId::INPUT]).is_ok());
    }
}
