//! Runs a placed graph with elastic weights.

use std::collections::BTreeMap;

use spacewright_core::{
    graph::{ActivationKind, Graph, Op, OpKind, ValueId, WeightRole},
    quant::{PlacedGraph, TensorStats, ValueQuant},
    train::TrainError,
};
use tch::{Kind, Tensor};

use crate::{
    convolve::convolve,
    fake_quant,
    normalize::{Normalization, Rectifier, Rounding},
    params::{OFFSET, Params, SCALE, WEIGHT_SCALE},
    plan::Plan,
};

/// Mean and variance of each batch normalization, averaged over the batches that were recorded, by
/// their number of images.
#[derive(Debug, Default)]
pub struct Statistics {
    /// By node: mean, variance.
    pub values: BTreeMap<String, (Tensor, Tensor)>,
    images: BTreeMap<String, f64>,
}

impl Statistics {
    /// Those that a file of weights holds as `<node>.mean` and `<node>.var`.
    pub fn in_file(params: &Params) -> Self {
        let mut statistics = Self::default();
        for (name, mean) in &params.0 {
            let Some(node) = name.strip_suffix(".mean") else { continue };
            if let Some(var) = params.0.get(&format!("{node}.var")) {
                statistics.values.insert(node.to_owned(), (mean.detach(), var.detach()));
            }
        }
        statistics
    }

    /// Mean and variance of a normalization, by the name of its node.
    fn of(&self, node: &str) -> Result<&(Tensor, Tensor), TrainError> {
        let missing = || TrainError::MissingTensor { name: format!("{node}.mean") };
        self.values.get(node).ok_or_else(missing)
    }

    fn record(&mut self, node: &str, images: i64, mean: Tensor, var: Tensor) {
        let count = self.images.entry(node.to_owned()).or_insert(0.0);
        *count += images as f64;
        let share = images as f64 / *count;
        let entry = self.values.remove(node);
        let mixed = match entry {
            None => (mean, var),
            Some((m, v)) => (&m + (mean - &m) * share, &v + (var - &v) * share),
        };
        self.values.insert(node.to_owned(), mixed);
    }
}

/// What batch normalization normalizes by.
pub enum Norm<'a> {
    /// The batch's own statistics.
    Batch,
    /// The batch's own, which are recorded.
    Record(&'a mut Statistics),
    /// Recorded ones.
    Fixed(&'a Statistics),
}

/// Smallest, largest and mean absolute element of each quantized value.
pub type Observations = BTreeMap<String, TensorStats>;

/// What a node computes, sometimes together with nodes that follow it.
struct Computed {
    /// The value of the last of them.
    value: ValueId,
    output: Tensor,
    /// Whether it is rounded already, where it is to be.
    is_rounded: bool,
}

impl Computed {
    fn by_itself(node: usize, output: Tensor) -> Self {
        Self { value: ValueId::of_node(node), output, is_rounded: false }
    }
}

/// How a graph is run.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// The weights.
    pub params: &'a Params,
    /// Whether quantizers are active.
    pub quantized: bool,
    /// Whether dropout drops.
    pub dropout: bool,
    /// What factors of convolutions and linear layers are rounded to.
    pub factors: Option<Kind>,
}

impl Run<'_> {
    /// The output for a batch of inputs; both are `batch × channels × height × width`, as all values of a graph are.
    pub fn forward(
        &self,
        plan: &Plan,
        x: &Tensor,
        norm: &mut Norm<'_>,
    ) -> Result<Tensor, TrainError> {
        self.execute(plan, x, norm, &[], None).map(|mut outputs| outputs.remove(0))
    }

    /// The output for a batch of inputs as one row of numbers for each image (`batch × numbers`), such as the logits of
    /// all classes.
    pub fn logits(
        &self,
        plan: &Plan,
        x: &Tensor,
        norm: &mut Norm<'_>,
    ) -> Result<Tensor, TrainError> {
        Ok(self.forward(plan, x, norm)?.flatten(1, -1))
    }

    /// What is observed of each quantized value for a batch of inputs.
    pub fn observe(
        &self,
        plan: &Plan,
        x: &Tensor,
        norm: &mut Norm<'_>,
    ) -> Result<Observations, TrainError> {
        let mut observations = Observations::new();
        self.execute(plan, x, norm, &[], Some(&mut observations))?;
        Ok(observations)
    }

    /// The output for a batch of inputs (`batch × channels × height × width`), then the values of
    /// `taps`; adds what is seen of each quantized value, before it is rounded, to `observations`.
    pub fn execute(
        &self,
        plan: &Plan,
        x: &Tensor,
        norm: &mut Norm<'_>,
        taps: &[ValueId],
        mut observations: Option<&mut Observations>,
    ) -> Result<Vec<Tensor>, TrainError> {
        let graph = &plan.placed.graph;
        let mut values: Vec<Option<Tensor>> = (0..=graph.nodes.len()).map(|_| None).collect();
        let input = self.quantize(plan, ValueId::INPUT, x.shallow_clone(), &mut observations)?;
        values[0] = Some(input);
        for (index, node) in graph.nodes.iter().enumerate() {
            // Computed with the normalization that it follows.
            if values[ValueId::of_node(index).index()].is_some() {
                continue;
            }
            let inputs = node
                .inputs
                .iter()
                .map(|&value| read(graph, &values, value))
                .collect::<Result<Vec<Tensor>, _>>()?;
            let Computed { value, output, is_rounded } = match &node.op {
                Op::BatchNorm { .. } => {
                    self.normalize(plan, index, &inputs[0], norm, observations.is_none(), taps)?
                }
                _ => Computed::by_itself(index, self.apply(plan, index, &inputs, norm)?),
            };
            let output = match is_rounded {
                true => output,
                false => self.quantize(plan, value, output, &mut observations)?,
            };
            values[value.index()] = Some(output);
            for input in &node.inputs {
                if plan.last_use[input.index()] == index && !taps.contains(input) {
                    values[input.index()] = None;
                }
            }
        }
        let results = std::iter::once(&graph.output).chain(taps);
        results.map(|&value| read(graph, &values, value)).collect()
    }

    /// Normalizes, together with the rectifier that follows where nobody else reads what is between, and
    /// with the rounding of the result where it `may_round`.
    fn normalize(
        &self,
        plan: &Plan,
        index: usize,
        x: &Tensor,
        norm: &mut Norm<'_>,
        may_round: bool,
        taps: &[ValueId],
    ) -> Result<Computed, TrainError> {
        let node = &plan.placed.graph.nodes[index];
        let Op::BatchNorm { eps } = node.op else {
            return Err(TrainError::MissingValue { name: node.name.clone() });
        };
        if let Norm::Record(_) = norm {
            return Ok(Computed::by_itself(
                index,
                self.apply(plan, index, &[x.shallow_clone()], norm)?,
            ));
        }
        let rectifier = plan.rectified_by[index];
        let rectifier = rectifier.filter(|_| !taps.contains(&ValueId::of_node(index)));
        let value = ValueId::of_node(rectifier.unwrap_or(index));
        let kind = rectifier.map(|node| &plan.placed.graph.nodes[node].op);
        let rounding = if may_round { self.rounding(plan, value)? } else { None };
        let is_rounded = rounding.is_some();
        let weight = |role| self.weight(plan, index, role);
        let normalization = Normalization {
            gamma: &weight(WeightRole::Gamma)?,
            beta: &weight(WeightRole::Beta)?,
            eps,
            rectifier: match kind {
                Some(Op::Activation { kind }) => Rectifier::of(*kind).unwrap_or(Rectifier::NONE),
                _ => Rectifier::NONE,
            },
            rounding,
        };
        let output = match norm {
            Norm::Batch | Norm::Record(_) => normalization.by_batch(x)?,
            Norm::Fixed(statistics) => {
                let (mean, variance) = statistics.of(&node.name)?;
                normalization.by(x, mean, variance)?
            }
        };
        Ok(Computed { value, output, is_rounded })
    }

    /// How a value is rounded by a quantizer of its own, where quantizers are active.
    fn rounding(&self, plan: &Plan, value: ValueId) -> Result<Option<Rounding>, TrainError> {
        if !self.quantized {
            return Ok(None);
        }
        Ok(match plan.placed.values[value.index()] {
            ValueQuant::Own(range) => {
                let name = plan.placed.graph.value_name(value);
                let scale = self.params.get(&format!("{name}.{SCALE}"))?;
                let offset = self.params.get(&format!("{name}.{OFFSET}"))?;
                Some(Rounding::learned(scale, offset, range))
            }
            ValueQuant::Fixed(params) => Some(Rounding::fixed(params, self.params.device())),
            ValueQuant::Fused | ValueQuant::SameAs(_) => None,
        })
    }

    fn quantize(
        &self,
        plan: &Plan,
        value: ValueId,
        x: Tensor,
        observations: &mut Option<&mut Observations>,
    ) -> Result<Tensor, TrainError> {
        let placed = &plan.placed;
        let own = match placed.values[value.index()] {
            ValueQuant::Fused => return Ok(x),
            ValueQuant::SameAs(_) if keeps_integers(placed, value) => return Ok(x),
            ValueQuant::SameAs(_) => false,
            ValueQuant::Own(_) | ValueQuant::Fixed(_) => true,
        };
        let Some(source) = placed.source(value) else { return Ok(x) };
        let range = match placed.values[source.index()] {
            ValueQuant::Own(range) => range,
            ValueQuant::Fixed(params) if self.quantized => {
                return fake_quant::fixed(&x, params);
            }
            _ => return Ok(x),
        };
        let name = placed.graph.value_name(source);
        if let (Some(observations), true) = (observations, own) {
            observations.insert(name.to_owned(), statistics(&x));
        }
        if !self.quantized {
            return Ok(x);
        }
        let scale = self.params.get(&format!("{name}.{SCALE}"))?;
        let offset = self.params.get(&format!("{name}.{OFFSET}"))?;
        fake_quant::activation(&x, scale, offset, range)
    }

    /// The part of a node's tensor that its configuration uses, rounded where quantizers are
    /// active; `None` for a role that the node does not have.
    fn optional_weight(
        &self,
        plan: &Plan,
        index: usize,
        role: WeightRole,
    ) -> Result<Option<Tensor>, TrainError> {
        let node = &plan.placed.graph.nodes[index].name;
        let Some((_, shape)) = plan.weights[index].iter().find(|(r, _)| *r == role) else {
            return Ok(None);
        };
        let tensor = self.params.slice(&format!("{node}.{}", role.name()), shape)?;
        match plan.placed.weights[index] {
            Some(range) if self.quantized && role == WeightRole::Weight => {
                let scales = self.params.slice(&format!("{node}.{WEIGHT_SCALE}"), &shape[..1])?;
                fake_quant::weight(&tensor, &scales, range).map(Some)
            }
            _ => Ok(Some(tensor)),
        }
    }

    /// The same of a role that the node has to have.
    fn weight(&self, plan: &Plan, index: usize, role: WeightRole) -> Result<Tensor, TrainError> {
        let missing = || TrainError::MissingTensor {
            name: format!("{}.{}", plan.placed.graph.nodes[index].name, role.name()),
        };
        self.optional_weight(plan, index, role)?.ok_or_else(missing)
    }

    /// Multiplies with rounded factors, where they are. What comes out stays as short, as most time goes by reading
    /// and writing it.
    fn multiply(
        &self,
        x: &Tensor,
        kernel: &Tensor,
        bias: Option<&Tensor>,
        by: impl Fn(&Tensor, &Tensor, Option<&Tensor>) -> Result<Tensor, TrainError>,
    ) -> Result<Tensor, TrainError> {
        let Some(kind) = self.factors else { return by(x, kernel, bias) };
        let bias = bias.map(|bias| bias.to_kind(kind));
        by(&x.to_kind(kind), &kernel.to_kind(kind), bias.as_ref())
    }

    fn apply(
        &self,
        plan: &Plan,
        index: usize,
        inputs: &[Tensor],
        norm: &mut Norm<'_>,
    ) -> Result<Tensor, TrainError> {
        let node = &plan.placed.graph.nodes[index];
        let x = &inputs[0];
        let optional = |role| self.optional_weight(plan, index, role);
        let weight = |role| self.weight(plan, index, role);
        Ok(match &node.op {
            Op::Conv2d(conv) => {
                let kernel = weight(WeightRole::Weight)?;
                let bias = optional(WeightRole::Bias)?;
                self.multiply(x, &kernel, bias.as_ref(), |x, kernel, bias| {
                    convolve(x, conv, kernel, bias)
                })?
            }
            Op::Linear { .. } => {
                let kernel = weight(WeightRole::Weight)?;
                let bias = optional(WeightRole::Bias)?;
                let linear = |x: &Tensor, kernel: &Tensor, bias: Option<&Tensor>| {
                    Ok(x.flatten(1, -1).linear(kernel, bias))
                };
                let y = self.multiply(x, &kernel, bias.as_ref(), linear)?.to_kind(Kind::Float);
                y.unsqueeze(-1).unsqueeze(-1)
            }
            Op::BatchNorm { eps } => {
                let (gamma, beta) = (weight(WeightRole::Gamma)?, weight(WeightRole::Beta)?);
                batch_norm(x, &node.name, [&gamma, &beta], *eps, norm)?
            }
            Op::Activation { kind } => match kind {
                ActivationKind::Relu => x.relu(),
                ActivationKind::Relu6 => x.clamp(0.0, 6.0),
                ActivationKind::HSwish => x.hardswish(),
                ActivationKind::Swish => x.silu(),
                ActivationKind::HSigmoid => x.hardsigmoid(),
                ActivationKind::Sigmoid => x.sigmoid(),
            },
            Op::Add => x + &inputs[1],
            Op::Mul => x * &inputs[1],
            Op::Concat => Tensor::cat(inputs, 1),
            Op::AvgPool(pool) => {
                let (k, s, p) = (pool.kernel as i64, pool.stride as i64, pool.padding as i64);
                x.avg_pool2d([k, k], [s, s], [p, p], false, false, None::<i64>)
            }
            Op::MaxPool(pool) => {
                let (k, s, p) = (pool.kernel as i64, pool.stride as i64, pool.padding as i64);
                x.max_pool2d([k, k], [s, s], [p, p], [1, 1], false)
            }
            Op::GlobalAvgPool => x.mean_dim([2i64, 3].as_slice(), true, Kind::Float),
            Op::Dropout { rate } => x.dropout(*rate, self.dropout),
        })
    }
}

fn read(graph: &Graph, values: &[Option<Tensor>], value: ValueId) -> Result<Tensor, TrainError> {
    let missing = || TrainError::MissingValue { name: graph.value_name(value).to_owned() };
    values[value.index()].as_ref().map(Tensor::shallow_clone).ok_or_else(missing)
}

fn batch_norm(
    x: &Tensor,
    node: &str,
    [gamma, beta]: [&Tensor; 2],
    eps: f64,
    norm: &mut Norm<'_>,
) -> Result<Tensor, TrainError> {
    // Of running statistics, which are not kept.
    const UNUSED_MOMENTUM: f64 = 0.1;
    let (gamma, beta, none) = (Some(gamma), Some(beta), None::<&Tensor>);
    Ok(match norm {
        Norm::Batch => x.batch_norm(gamma, beta, none, none, true, UNUSED_MOMENTUM, eps, false),
        Norm::Record(statistics) => {
            let (y, mean, inverse) =
                Tensor::native_batch_norm(x, gamma, beta, none, none, true, UNUSED_MOMENTUM, eps);
            // What is kept for gradients is 1 / √(variance + eps).
            statistics.record(node, x.size()[0], mean, inverse.pow_tensor_scalar(-2) - eps);
            y
        }
        Norm::Fixed(statistics) => {
            let (mean, var) = statistics.of(node)?;
            x.batch_norm(gamma, beta, Some(mean), Some(var), false, UNUSED_MOMENTUM, eps, false)
        }
    })
}

fn statistics(x: &Tensor) -> TensorStats {
    let number = |t: Tensor| t.double_value(&[]) as f32;
    TensorStats {
        min: number(x.min()),
        max: number(x.max()),
        mean_abs: number(x.abs().mean(Kind::Float)),
    }
}

/// Whether a value with the scale of its input is on that scale already: an average is not.
fn keeps_integers(placed: &PlacedGraph, value: ValueId) -> bool {
    let kind = value.node().map(|node| placed.graph.nodes[node].op.kind());
    matches!(kind, Some(OpKind::MaxPool | OpKind::Dropout))
}

#[cfg(test)]
mod tests;
