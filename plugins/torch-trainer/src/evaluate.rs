//! Looking at single subnets of a trained supernet.

use std::collections::BTreeMap;

use spacewright_core::{
    graph::ValueId,
    quant::{
        ActivationRange, FloatWeights, QuantParams, Quantizer, SMALLEST_SCALE, TensorData,
        TrainedNetwork, WeightRange, activation_params, smallest_scales,
    },
    space::{ElasticStage, Subnet, network, subnet_segments},
    train::{EvaluateJob, Evaluator, Predictions, TrainContext, TrainError},
};
use tch::Tensor;

use crate::{
    batches, calibrate,
    interpret::{Norm, Observations, Run, Statistics},
    layout::{Plan, other},
    params::{OFFSET, Params, SCALE, WEIGHT_SCALE},
    supernet::subnet_plan,
    teach::{EVALUATION_BATCH, predict},
};

/// Subnets of weights in memory.
pub struct Subnets<'a> {
    context: &'a TrainContext,
    stages: &'a [ElasticStage],
    params: &'a Params,
    quantized: bool,
    calibration: Vec<usize>,
    judged: Vec<usize>,
}

impl<'a> Subnets<'a> {
    /// Looks at weights: batch normalization is recalibrated on `calibration_images` training
    /// images, subnets are judged on `judge_images` held-out ones.
    pub fn new(
        context: &'a TrainContext,
        stages: &'a [ElasticStage],
        params: &'a Params,
        quantized: bool,
        calibration_images: usize,
        judge_images: usize,
    ) -> Self {
        let calibration = batches::fixed_sample(context, "calibration", calibration_images);
        let judged = context.held_out.iter().copied().take(judge_images).collect();
        Self { context, stages, params, quantized, calibration, judged }
    }

    fn run(&self) -> Run<'a> {
        Run { params: self.params, quantized: self.quantized, dropout: false }
    }

    fn recalibrated(&self, subnet: &Subnet) -> Result<(Plan, Statistics), TrainError> {
        let plan = subnet_plan(self.context, self.stages, subnet)?;
        let mut statistics = Statistics::default();
        tch::no_grad(|| {
            self.calibration.chunks(EVALUATION_BATCH).try_for_each(|indices| {
                let x = self.inputs(indices, subnet.resolution);
                self.run().forward(&plan, &x, &mut Norm::Record(&mut statistics)).map(drop)
            })
        })?;
        Ok((plan, statistics))
    }

    fn inputs(&self, indices: &[usize], resolution: usize) -> Tensor {
        batches::inputs(&self.context.data.train, indices, self.context.canvas, resolution)
    }

    /// See [`Evaluator::accuracy`].
    pub fn accuracy(&mut self, subnet: &Subnet) -> Result<f64, TrainError> {
        let (plan, statistics) = self.recalibrated(subnet)?;
        let train = &self.context.data.train;
        let predictions = predict(
            self.context,
            &self.run(),
            &plan,
            &statistics,
            train,
            &self.judged,
            subnet.resolution,
        )?;
        let labels: Vec<u8> = self.judged.iter().map(|&index| train.labels[index]).collect();
        Ok(predictions.accuracy(&labels))
    }

    fn test_predictions(&self, subnet: &Subnet) -> Result<Predictions, TrainError> {
        let (plan, statistics) = self.recalibrated(subnet)?;
        let test = &self.context.data.test;
        let all: Vec<usize> = (0..test.len()).collect();
        predict(self.context, &self.run(), &plan, &statistics, test, &all, subnet.resolution)
    }

    fn float_network(
        &self,
        subnet: &Subnet,
    ) -> Result<(Plan, TrainedNetwork, Statistics), TrainError> {
        let (plan, statistics) = self.recalibrated(subnet)?;
        let segments =
            subnet_segments(&self.context.operators, &self.context.hyperspace, self.stages, subnet)
                .map_err(other)?;
        let graph = network(segments).map_err(other)?;
        let mut weights = FloatWeights::new();
        for spec in graph.weights().map_err(other)? {
            let slice = self.params.slice(&spec.name, &spec.shape)?;
            weights.insert(spec.name, data(&slice)?);
        }
        for (node, (mean, var)) in &statistics.values {
            weights.insert(format!("{node}.mean"), data(mean)?);
            weights.insert(format!("{node}.var"), data(var)?);
        }
        Ok((plan, TrainedNetwork { graph, weights, quant: None }, statistics))
    }

    fn extract(&self, subnet: &Subnet) -> Result<TrainedNetwork, TrainError> {
        let (plan, mut network, _) = self.float_network(subnet)?;
        if !self.quantized {
            return Ok(network);
        }
        let number =
            |name: String| Ok::<_, TrainError>(self.params.get(&name)?.double_value(&[0]) as f32);
        let activation = |(_, name, range): (ValueId, &str, ActivationRange)| {
            let (scale, offset) =
                (number(format!("{name}.{SCALE}"))?, number(format!("{name}.{OFFSET}"))?);
            Ok((name.to_owned(), activation_params(scale, offset, range)))
        };
        let activations =
            plan.placed.quantized().map(activation).collect::<Result<_, TrainError>>()?;
        let learned = |node: &str, kernel: &TensorData, _| {
            let name = format!("{node}.{WEIGHT_SCALE}");
            let scales = data(&self.params.slice(&name, &kernel.shape[..1])?)?.data;
            Ok(scales.into_iter().map(f32::abs).collect())
        };
        let weight_scales = weight_scales(&plan, &network, learned)?;
        network.quant = Some(QuantParams { activations, weight_scales });
        Ok(network)
    }

    fn post_training(
        &self,
        subnet: &Subnet,
        quantizer: &dyn Quantizer,
    ) -> Result<TrainedNetwork, TrainError> {
        let (plan, mut network, statistics) = self.float_network(subnet)?;
        let run = Run { params: self.params, quantized: false, dropout: false };
        let mut observations = Observations::new();
        let mut seen = 0;
        for indices in self.calibration.chunks(EVALUATION_BATCH) {
            let x = self.inputs(indices, subnet.resolution);
            let new = tch::no_grad(|| run.observe(&plan, &x, &mut Norm::Fixed(&statistics)))?;
            merge(&mut observations, seen, new, indices.len());
            seen += indices.len();
        }
        let names: Vec<_> = plan.placed.quantized().collect();
        let items: Vec<_> =
            names.iter().map(|(_, name, range)| (observations[*name], *range)).collect();
        let answers = quantizer.activations(&items).map_err(other)?;
        let activation = |((_, name, range), (scale, offset)): (&(_, &str, _), (f32, f32))| {
            ((*name).to_owned(), activation_params(scale, offset, *range))
        };
        let activations = names.iter().zip(answers).map(activation).collect();
        let chosen = |node: &str, kernel: &TensorData, range| {
            let slice = self.params.slice(&format!("{node}.weight"), &kernel.shape)?;
            calibrate::weight_scales(&slice, range, quantizer)
        };
        let weight_scales = weight_scales(&plan, &network, chosen)?;
        network.quant = Some(QuantParams { activations, weight_scales });
        Ok(network)
    }
}

/// The scales of all weights as `choose` gives them, raised to what their range asks for.
fn weight_scales(
    plan: &Plan,
    network: &TrainedNetwork,
    choose: impl Fn(&str, &TensorData, WeightRange) -> Result<Vec<f32>, TrainError>,
) -> Result<BTreeMap<String, Vec<f32>>, TrainError> {
    let mut all = BTreeMap::new();
    for (node, range) in plan.placed.graph.nodes.iter().zip(&plan.placed.weights) {
        let Some(range) = range else { continue };
        let kernel = &network.weights[&format!("{}.weight", node.name)];
        let scales = choose(&node.name, kernel, *range)?;
        let raised = scales
            .into_iter()
            .zip(smallest_scales(kernel, *range))
            .map(|(scale, smallest)| scale.max(SMALLEST_SCALE).max(smallest));
        all.insert(node.name.clone(), raised.collect());
    }
    Ok(all)
}

/// Adds observations of `images` images to those of `seen` ones.
fn merge(all: &mut Observations, seen: usize, new: Observations, images: usize) {
    for (name, stats) in new {
        let entry = all.entry(name).or_insert(stats);
        let share = images as f32 / (seen + images) as f32;
        entry.min = entry.min.min(stats.min);
        entry.max = entry.max.max(stats.max);
        entry.mean_abs += (stats.mean_abs - entry.mean_abs) * share;
    }
}

fn data(tensor: &Tensor) -> Result<TensorData, TrainError> {
    let shape = tensor.size().iter().map(|&size| size as usize).collect();
    let data = Vec::try_from(tensor.detach().contiguous().flatten(0, -1)).map_err(other)?;
    Ok(TensorData { shape, data })
}

/// A trained supernet read from a file.
pub struct Opened {
    context: TrainContext,
    job: EvaluateJob,
    params: Params,
}

impl Opened {
    /// Reads the weights.
    pub fn new(context: &TrainContext, job: &EvaluateJob) -> Result<Self, TrainError> {
        let params = Params::load(&job.weights)?;
        Ok(Self { context: context.clone(), job: job.clone(), params })
    }

    fn subnets(&self) -> Subnets<'_> {
        let EvaluateJob { stages, quantized, calibration_images, judge_images, .. } = &self.job;
        let (calibration, judged) = (*calibration_images, *judge_images);
        Subnets::new(&self.context, stages, &self.params, *quantized, calibration, judged)
    }
}

impl Evaluator for Opened {
    fn accuracy(&mut self, subnet: &Subnet) -> Result<f64, TrainError> {
        self.subnets().accuracy(subnet)
    }

    fn extract(&mut self, subnet: &Subnet) -> Result<TrainedNetwork, TrainError> {
        self.subnets().extract(subnet)
    }

    fn test_predictions(&mut self, subnet: &Subnet) -> Result<Predictions, TrainError> {
        self.subnets().test_predictions(subnet)
    }

    fn post_training(
        &mut self,
        subnet: &Subnet,
        quantizer: &dyn Quantizer,
    ) -> Result<TrainedNetwork, TrainError> {
        self.subnets().post_training(subnet, quantizer)
    }
}

#[cfg(test)]
mod tests {
    use spacewright_core::{
        graph::OpKind,
        quant::{check, fold_integer},
        space::Space,
    };

    use super::*;
    use crate::{layout::Layout, testing};

    /// Random weights of a space with quantizers that have seen some images.
    fn params(context: &TrainContext, stages: &[ElasticStage]) -> Params {
        let space = &context.hyperspace;
        let size = space.resolutions.iter().max().copied().unwrap();
        let layout =
            Layout::of_supernet(&context.operators, &context.scheme, space, stages, size).unwrap();
        let mut params = Params::init(&layout, 3);
        calibrate::start(&mut params, &layout, context, |params, rng| {
            let subnet = Subnet::random(stages, &space.resolutions, rng);
            let x = batches::inputs(
                &context.data.train,
                &[0, 1, 2, 3],
                context.canvas,
                subnet.resolution,
            );
            let run = Run { params, quantized: false, dropout: false };
            run.observe(&subnet_plan(context, stages, &subnet)?, &x, &mut Norm::Batch)
        })
        .unwrap();
        params
    }

    /// The name of a value after folding: a batch normalization is part of its convolution.
    fn folded_name(plan: &Plan, value: ValueId) -> String {
        let graph = &plan.placed.graph;
        match value.node().map(|index| &graph.nodes[index]) {
            Some(node) if node.op.kind() == OpKind::BatchNorm => graph.value_name(node.inputs[0]),
            _ => graph.value_name(value),
        }
        .to_owned()
    }

    /// Every kind of block, operator by operator: what is deployed computes, up to rounding,
    /// what was trained.
    #[test]
    fn integers_give_what_fake_quantization_gives() {
        let context = testing::context();
        for block in 0..context.hyperspace.candidates.len() {
            let count = context.hyperspace.stages.len();
            let space = Space {
                hyperspace: context.hyperspace.name.clone(),
                blocks: vec![block; count],
                windows: vec![0; count],
            };
            let stages = space.elastic_stages(&context.hyperspace);
            let params = params(&context, &stages);
            let subnets = Subnets::new(&context, &stages, &params, true, 32, 8);
            let subnet = Subnet::largest(&stages, &context.hyperspace.resolutions);
            let network = subnets.extract(&subnet).unwrap();
            let quant = network.quant.as_ref().unwrap();
            let integers =
                fold_integer(&network.graph, &network.weights, quant, &context.scheme).unwrap();

            let (plan, statistics) = subnets.recalibrated(&subnet).unwrap();
            let taps: Vec<ValueId> = plan.placed.quantized().map(|(value, ..)| value).collect();
            for image in [0, 5, 9] {
                let x = subnets.inputs(&[image], subnet.resolution);
                let norm = &mut Norm::Fixed(&statistics);
                let values = subnets.run().execute(&plan, &x, norm, &taps, None).unwrap();
                let observed = taps.iter().zip(&values[1..]).map(|(&value, tensor)| {
                    let params = quant.activations[plan.placed.graph.value_name(value)];
                    let reals = data(tensor).unwrap().data;
                    let integers = reals.into_iter().map(|x| params.quantize(x)).collect();
                    (folded_name(&plan, value), integers)
                });
                for check in check(&integers, &observed.collect()).unwrap() {
                    // Integers have rounded biases, which fake quantization has not.
                    let different = check.elements - check.equal;
                    assert!(different <= 1 + check.elements / 100, "block {block}: {check:?}");
                }
            }
        }
    }
}
