//! Multiply-adds, parameters and activation memory.

use super::{Graph, GraphError, Op, OpKind, Shape};

impl Graph {
    /// Multiply-adds of convolutions and linear layers for one image.
    pub fn macs(&self) -> Result<u64, GraphError> {
        Ok(self.macs_per_node()?.iter().sum())
    }

    /// Multiply-adds of each node for one image.
    pub fn macs_per_node(&self) -> Result<Vec<u64>, GraphError> {
        Ok(self.macs_of(&self.shapes()?))
    }

    /// The same, where the shapes of all values are known.
    pub fn macs_of(&self, shapes: &[Shape]) -> Vec<u64> {
        self.nodes
            .iter()
            .enumerate()
            .map(|(index, node)| {
                let input = shapes[node.inputs[0].index()];
                let output = shapes[index + 1];
                match &node.op {
                    Op::Conv2d(conv) => {
                        let taps = conv.kernel.taps() * (input.channels / conv.groups);
                        (taps * output.elements()) as u64
                    }
                    Op::Linear { out_features, .. } => (input.elements() * out_features) as u64,
                    _ => 0,
                }
            })
            .collect()
    }

    /// Trained scalars: kernels, biases, scale and shift of batch normalizations.
    pub fn params(&self) -> Result<u64, GraphError> {
        Ok(self.weights()?.iter().map(|w| w.elements() as u64).sum())
    }

    /// Number of convolutions.
    pub fn convolutions(&self) -> usize {
        self.nodes.iter().filter(|node| node.op.kind() == OpKind::Conv2d).count()
    }

    /// The largest number of elements that are alive at once when nodes run in order: inputs of
    /// the running node, its output, and whatever a later node still reads.
    pub fn peak_activation_elements(&self) -> Result<u64, GraphError> {
        let shapes = self.shapes()?;
        let mut last_use = vec![0; shapes.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            for input in &node.inputs {
                last_use[input.index()] = index;
            }
        }
        last_use[self.output.index()] = self.nodes.len();
        let live_at = |index: usize| {
            (0..=index + 1)
                .filter(|&value| value == index + 1 || last_use[value] >= index)
                .map(|value| shapes[value].elements() as u64)
                .sum()
        };
        Ok((0..self.nodes.len()).map(live_at).max().unwrap_or(self.input.elements() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ActivationKind, ConvSpec, GraphBuilder, Shape};

    #[test]
    fn counts_of_a_separable_convolution() {
        let mut b = GraphBuilder::new(Shape::square(8, 10));
        let x = b.conv_bn_act("dw", b.input(), ConvSpec::depthwise(8, 3), ActivationKind::Relu);
        let x = b.conv_bn("pw", x, ConvSpec::new(4, 1));
        let graph = b.finish(x);
        assert_eq!(graph.macs().unwrap(), 100 * (8 * 9 + 8 * 4));
        assert_eq!(graph.params().unwrap(), 8 * 9 + 16 + 32 + 8);
        assert_eq!(graph.convolutions(), 2);
    }

    #[test]
    fn a_skip_connection_is_kept_alive() {
        let mut b = GraphBuilder::new(Shape::square(4, 5));
        let x = b.input();
        let y = b.conv("a", x, ConvSpec::new(4, 3));
        let y = b.conv("b", y, ConvSpec::new(4, 3));
        let y = b.add("sum", y, x);
        assert_eq!(b.finish(y).peak_activation_elements().unwrap(), 3 * 100);
    }
}
