//! The op graph while it is put together, with its weights.

use std::collections::BTreeMap;

use spacewright_core::{
    graph::{ActivationKind, ConvSpec, Graph, Op, Shape, ValueId},
    import::NetworkDraft,
    quant::FloatWeights,
};

/// A value of the graph as ONNX sees it, without the batch: `channels × height × width` for a rank of 4,
/// `channels × 1` for 3, all elements in a row for 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Real {
    pub value: ValueId,
    pub rank: usize,
    /// Whether it was read by others, too, where it had another name.
    pub shared: bool,
}

/// A per-channel factor with what is added.
struct Affine {
    factor: Vec<f32>,
    shift: Vec<f32>,
}

pub(super) struct Network {
    draft: NetworkDraft,
    /// Depth-wise 1×1 convolutions that stand for arithmetic with constants, by their nodes.
    affine: BTreeMap<usize, Affine>,
}

impl Network {
    pub(super) fn new(input: Shape) -> Self {
        Self { draft: NetworkDraft::new(input), affine: BTreeMap::new() }
    }

    pub(super) fn shape(&self, real: Real) -> Shape {
        self.draft.shape(real.value)
    }

    /// Appends a node; an error says in words why its inputs do not fit.
    pub(super) fn push(
        &mut self,
        name: &str,
        op: Op,
        inputs: &[ValueId],
    ) -> Result<ValueId, String> {
        Ok(self.draft.push(name, op, inputs)?)
    }

    /// Sets a weight, or a statistic, of the node that makes a value.
    pub(super) fn set(
        &mut self,
        value: ValueId,
        role: &str,
        shape: Vec<usize>,
        data: Vec<f32>,
    ) -> Result<(), String> {
        Ok(self.draft.set(value, role, shape, data)?)
    }

    /// Multiplies each channel of a value by a constant, then adds one. `alone` says that nobody else reads the
    /// value, so that what makes it can take over the constants.
    pub(super) fn affine(
        &mut self,
        name: &str,
        real: Real,
        (factor, shift): (Vec<f32>, Vec<f32>),
        alone: bool,
    ) -> Result<ValueId, String> {
        let six = |n: f32| (n * 6.0 - 1.0).abs() < 1e-6;
        if factor.iter().all(|n| six(*n))
            && shift.iter().all(|n| *n == 0.0)
            && let Some((kind, x)) = self.sixth(real.value)
        {
            return self.push(name, Op::Activation { kind }, &[x]);
        }
        // The beginning of a hard sigmoid stays as it is, to be found.
        let begins_gate = factor.iter().all(|n| *n == 1.0) && shift.iter().all(|n| *n == 3.0);
        if alone
            && !begins_gate
            && let Some(value) = self.taken_over(real.value, &factor, &shift)?
        {
            return Ok(value);
        }
        let channels = self.shape(real).channels;
        let op = ConvSpec::depthwise(channels, 1).bias().into();
        let value = self.push(name, op, &[real.value])?;
        self.set_affine(value, Affine { factor, shift })?;
        Ok(value)
    }

    fn set_affine(&mut self, value: ValueId, affine: Affine) -> Result<(), String> {
        let channels = affine.factor.len();
        self.set(value, "weight", vec![channels, 1, 1, 1], affine.factor.clone())?;
        self.set(value, "bias", vec![channels], affine.shift.clone())?;
        self.affine.extend(value.node().map(|node| (node, affine)));
        Ok(())
    }

    /// What makes a value computes the constants as well, if it can.
    fn taken_over(
        &mut self,
        value: ValueId,
        factor: &[f32],
        shift: &[f32],
    ) -> Result<Option<ValueId>, String> {
        let Some(at) = value.node() else { return Ok(None) };
        if let Some(Affine { factor: first, shift: then }) = self.affine.remove(&at) {
            let product = first.iter().zip(factor).map(|(a, b)| a * b);
            let sum = then.iter().zip(factor).zip(shift).map(|((a, b), c)| a * b + c);
            let affine = Affine { factor: product.collect(), shift: sum.collect() };
            self.set_affine(value, affine)?;
            return Ok(Some(value));
        }
        let adds = factor.iter().all(|n| *n == 1.0) && self.draft.add_bias(value, shift);
        Ok(adds.then_some(value))
    }

    /// The activation that a sixth of a value is: a hard sigmoid of x where it is min(max(x + 3, 0), 6), and a
    /// hard swish where that is multiplied by x.
    fn sixth(&self, value: ValueId) -> Option<(ActivationKind, ValueId)> {
        if let Some(x) = self.clipped_sum(value) {
            return Some((ActivationKind::HSigmoid, x));
        }
        let product = self.draft.made_by(value).filter(|node| node.op == Op::Mul)?;
        let (one, other) = (product.inputs[0], product.inputs[1]);
        let gates = |gate, x| self.clipped_sum(gate) == Some(x);
        let x = if gates(other, one) { one } else { Some(other).filter(|x| gates(one, *x))? };
        Some((ActivationKind::HSwish, x))
    }

    /// x, where a value is min(max(x + 3, 0), 6).
    fn clipped_sum(&self, value: ValueId) -> Option<ValueId> {
        let clip = self.draft.made_by(value)?;
        if clip.op != (Op::Activation { kind: ActivationKind::Relu6 }) {
            return None;
        }
        let sum = clip.inputs[0];
        let Affine { factor, shift } = self.affine.get(&sum.node()?)?;
        let adds_three = factor.iter().all(|n| *n == 1.0) && shift.iter().all(|n| *n == 3.0);
        let makes_sum = self.draft.made_by(sum)?;
        adds_three.then(|| makes_sum.inputs[0])
    }

    /// The graph, with all that was made, and its weights.
    pub(super) fn finish(self, output: ValueId) -> (Graph, FloatWeights) {
        self.draft.finish(output)
    }
}
