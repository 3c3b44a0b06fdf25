//! Looking at single subnets of a trained supernet.

use std::collections::BTreeMap;

use spacewright_core::{
    graph::Graph,
    quant::{
        ActivationRange, FloatWeights, QParams, QuantParams, Quantizer, SMALLEST_SCALE, TensorData,
        TrainedNetwork, WeightRange, activation_params, smallest_scales,
    },
    space::{ElasticStage, Subnet},
    train::{EvaluateJob, Evaluator, Predictions, RecalibratedSubnet, TrainError},
};
use tch::Tensor;

use crate::{
    batches, calibrate,
    classify::{EVALUATION_BATCH, classify},
    context::Context,
    interpret::{Norm, Observations, Run, Statistics},
    params::{self, OFFSET, Params, SCALE, WEIGHT_SCALE},
    plan::{Plan, subnet_graph},
    recalibrate::recalibrate,
};

/// A trained supernet, a network trained alone, or one from outside, that was read from a file.
pub struct OpenedSupernet {
    context: Context,
    job: EvaluateJob,
    params: Params,
    calibration: Vec<usize>,
}

impl OpenedSupernet {
    /// Reads the weights.
    pub fn new(context: &Context, job: &EvaluateJob) -> Result<Self, TrainError> {
        let params = Params::load(&job.weights)?.on(context.device);
        let calibration = calibration_images(context, job.calibration_images);
        Ok(Self { context: context.clone(), job: job.clone(), params, calibration })
    }
}

impl OpenedSupernet {
    fn weights(&self) -> SharedWeights<'_> {
        let held_out = &self.context.images.held_out;
        SharedWeights {
            context: &self.context,
            stages: &self.job.stages,
            params: &self.params,
            quantized: self.job.quantized,
            calibration: &self.calibration,
            judged: &held_out[..self.job.judge_images.min(held_out.len())],
        }
    }
}

impl Evaluator for OpenedSupernet {
    fn recalibrate(
        &mut self,
        subnet: &Subnet,
    ) -> Result<Box<dyn RecalibratedSubnet + '_>, TrainError> {
        Ok(Box::new(self.weights().recalibrate(subnet)?))
    }

    fn network(&mut self, graph: &Graph) -> Result<Box<dyn RecalibratedSubnet + '_>, TrainError> {
        Ok(Box::new(self.weights().as_they_are(graph)?))
    }
}

/// Positions of the images on which a supernet's subnets are recalibrated.
pub fn calibration_images(context: &Context, count: usize) -> Vec<usize> {
    batches::fixed_sample(context, "calibration", count)
}

/// Weights that the subnets of a space share, and the images by which subnets are looked at.
#[derive(Clone, Copy)]
pub struct SharedWeights<'a> {
    /// Data, operators, scheme.
    pub context: &'a Context,
    /// The space's elastic stages.
    pub stages: &'a [ElasticStage],
    /// The weights.
    pub params: &'a Params,
    /// Whether quantizers are active.
    pub quantized: bool,
    /// Positions of the images for recalibration.
    pub calibration: &'a [usize],
    /// Positions of the held-out images that subnets are judged on.
    pub judged: &'a [usize],
}

impl<'a> SharedWeights<'a> {
    /// A subnet with batch normalization statistics of its own.
    pub fn recalibrate(self, subnet: &Subnet) -> Result<Recalibrated<'a>, TrainError> {
        let graph = subnet_graph(self.context, self.stages, subnet)?;
        let plan = Plan::new(&graph, &self.context.scheme)?;
        let Self { context, params, quantized, .. } = self;
        let run = Run { params, quantized, dropout: false, factors: context.factors() };
        let resolution = subnet.resolution;
        let statistics = recalibrate(&run, &plan, self.calibration_inputs(resolution))?;
        Ok(Recalibrated { weights: self, run, resolution, graph, plan, statistics })
    }

    /// A network that the file holds, with the statistics that it has there.
    fn as_they_are(self, graph: &Graph) -> Result<Recalibrated<'a>, TrainError> {
        let Self { context, params, quantized, .. } = self;
        let plan = Plan::new(graph, &context.scheme)?;
        let run = Run { params, quantized, dropout: false, factors: context.factors() };
        let statistics = Statistics::in_file(params);
        let (resolution, graph) = (graph.input.height, graph.clone());
        Ok(Recalibrated { weights: self, run, resolution, graph, plan, statistics })
    }

    fn calibration_inputs(
        self,
        resolution: usize,
    ) -> impl Iterator<Item = Result<Tensor, TrainError>> + 'a {
        batches::judged(self.context, self.calibration, EVALUATION_BATCH, resolution)
    }
}

/// A subnet with batch normalization statistics of its own.
pub struct Recalibrated<'a> {
    weights: SharedWeights<'a>,
    run: Run<'a>,
    resolution: usize,
    graph: Graph,
    plan: Plan,
    statistics: Statistics,
}

impl RecalibratedSubnet for Recalibrated<'_> {
    fn held_out_accuracy(&self) -> Result<f64, TrainError> {
        let judged = self.weights.judged;
        Ok(self.classify(judged)?.accuracy(&self.weights.context.images.labels(judged)))
    }

    fn test_predictions(&self) -> Result<Predictions, TrainError> {
        self.classify(&self.weights.context.images.test)
    }

    fn network(&self) -> Result<TrainedNetwork, TrainError> {
        let network = self.float_network()?;
        if !self.run.quantized {
            return Ok(network);
        }
        let quant = Some(self.learned_quantization(&network)?);
        Ok(TrainedNetwork { quant, ..network })
    }

    fn post_training(&self, quantizer: &dyn Quantizer) -> Result<TrainedNetwork, TrainError> {
        let network = self.float_network()?;
        let quant = Some(self.chosen_quantization(&network, quantizer)?);
        Ok(TrainedNetwork { quant, ..network })
    }
}

impl Recalibrated<'_> {
    fn classify(&self, images: &[usize]) -> Result<Predictions, TrainError> {
        let context = self.weights.context;
        classify(context, &self.run, &self.plan, &self.statistics, images, self.resolution)
    }

    fn float_network(&self) -> Result<TrainedNetwork, TrainError> {
        let mut weights = FloatWeights::new();
        for spec in self.graph.weights()? {
            let slice = self.run.params.slice(&spec.name, &spec.shape)?;
            weights.insert(spec.name, data(&slice)?);
        }
        for (node, (mean, var)) in &self.statistics.values {
            weights.insert(format!("{node}.mean"), data(mean)?);
            weights.insert(format!("{node}.var"), data(var)?);
        }
        let (graph, placed) = (self.graph.clone(), self.plan.placed.clone());
        Ok(TrainedNetwork { graph, placed, weights, quant: None })
    }

    /// Scales and zero points that were learned in training.
    fn learned_quantization(&self, network: &TrainedNetwork) -> Result<QuantParams, TrainError> {
        let params = self.run.params;
        let mut activations = BTreeMap::new();
        for (_, name, range) in self.plan.placed.quantized() {
            let scale = params.get(&format!("{name}.{SCALE}"))?.double_value(&[0]) as f32;
            let offset = params.get(&format!("{name}.{OFFSET}"))?.double_value(&[0]) as f32;
            activations.insert(name.to_owned(), activation_params(scale, offset, range));
        }
        let learned = |node: &str, kernel: &TensorData, _| {
            let name = format!("{node}.{WEIGHT_SCALE}");
            let scales = data(&params.slice(&name, &kernel.shape[..1])?)?.data;
            Ok(scales.into_iter().map(f32::abs).collect())
        };
        Ok(QuantParams { activations, weight_scales: weight_scales(network, learned)? })
    }

    /// Scales and zero points that a quantizer chooses from the calibration images.
    fn chosen_quantization(
        &self,
        network: &TrainedNetwork,
        quantizer: &dyn Quantizer,
    ) -> Result<QuantParams, TrainError> {
        let observations = self.observe_unquantized()?;
        let values: Vec<(&str, ActivationRange)> =
            self.plan.placed.quantized().map(|(_, name, range)| (name, range)).collect();
        let observed = |&(name, range): &(&str, ActivationRange)| {
            let missing = || TrainError::MissingValue { name: name.to_owned() };
            Ok((observations.get(name).copied().ok_or_else(missing)?, range))
        };
        let items = values.iter().map(observed).collect::<Result<Vec<_>, TrainError>>()?;
        let answers = quantizer.activations(&items)?;
        let params = |((name, range), (scale, offset)): ((&str, ActivationRange), (f32, f32))| {
            (name.to_owned(), activation_params(scale, offset, range))
        };
        let activations: BTreeMap<String, QParams> =
            values.into_iter().zip(answers).map(params).collect();
        let chosen = |node: &str, kernel: &TensorData, range| {
            let slice = self.run.params.slice(&format!("{node}.weight"), &kernel.shape)?;
            calibrate::weight_scales(&slice, range, quantizer)
        };
        Ok(QuantParams { activations, weight_scales: weight_scales(network, chosen)? })
    }

    /// What each value is on the calibration images, without quantization.
    fn observe_unquantized(&self) -> Result<Observations, TrainError> {
        let run = Run { quantized: false, ..self.run };
        let mut observations = Observations::new();
        let mut seen = 0;
        for x in self.weights.calibration_inputs(self.resolution) {
            let (x, norm) = (x?, &mut Norm::Fixed(&self.statistics));
            let (new, images) =
                (tch::no_grad(|| run.observe(&self.plan, &x, norm))?, x.size()[0] as usize);
            merge(&mut observations, seen, new, images);
            seen += images;
        }
        Ok(observations)
    }
}

/// The scales of all weights as `choose` gives them, raised to what their range asks for.
fn weight_scales(
    network: &TrainedNetwork,
    choose: impl Fn(&str, &TensorData, WeightRange) -> Result<Vec<f32>, TrainError>,
) -> Result<BTreeMap<String, Vec<f32>>, TrainError> {
    let mut all = BTreeMap::new();
    for (node, range) in network.placed.graph.nodes.iter().zip(&network.placed.weights) {
        let Some(range) = range else { continue };
        let name = format!("{}.weight", node.name);
        let missing = || TrainError::MissingTensor { name: name.clone() };
        let kernel = network.weights.get(&name).ok_or_else(missing)?;
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
pub fn merge(all: &mut Observations, seen: usize, new: Observations, images: usize) {
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
    Ok(TensorData { shape, data: params::floats("reading weights", tensor)? })
}

#[cfg(test)]
mod tests {
    use spacewright_core::{
        graph::{OpKind, ValueId},
        quant::{ValueQuant, check, fold_integer},
        space::Space,
    };

    use super::*;
    use crate::{layout::Layout, plan::subnet_plan, testing};

    fn input(context: &Context, images: &[usize], resolution: usize) -> Tensor {
        batches::judged(context, images, images.len(), resolution).next().unwrap().unwrap()
    }

    /// Random weights of a space with quantizers that have seen some images.
    fn params(context: &Context, stages: &[ElasticStage]) -> Params {
        let space = &context.hyperspace;
        let size = space.resolutions.iter().max().copied().unwrap();
        let layout =
            Layout::of_supernet(&context.operators, &context.scheme, space, stages, size).unwrap();
        let mut params = Params::init(&layout, 3);
        calibrate::start(&mut params, &layout, context, |params, rng| {
            let subnet = Subnet::random(stages, &space.resolutions, rng);
            let x = input(context, &[0, 1, 2, 3], subnet.resolution);
            let run = Run { params, quantized: false, dropout: false, factors: None };
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
            let weights = SharedWeights {
                context: &context,
                stages: &stages,
                params: &params,
                quantized: true,
                calibration: &calibration_images(&context, 32),
                judged: &[],
            };
            let subnet = Subnet::largest(&stages, &context.hyperspace.resolutions);
            let subnet = weights.recalibrate(&subnet).unwrap();
            let network = subnet.network().unwrap();
            let quant = network.quant.as_ref().unwrap();
            let integers = fold_integer(&network, &context.scheme).unwrap();

            let plan = &subnet.plan;
            // Each with the value whose parameters it has: pooling passes on those of what it reads.
            let placed = plan.placed.values.iter().enumerate();
            let sources = placed.filter_map(|(index, quant)| match quant {
                ValueQuant::Own(_) => Some((ValueId(index as u32), ValueId(index as u32))),
                ValueQuant::SameAs(source) => Some((ValueId(index as u32), *source)),
                _ => None,
            });
            let (taps, sources): (Vec<_>, Vec<_>) = sources.unzip();
            for image in [0, 5, 9] {
                let x = input(&context, &[image], subnet.resolution);
                let norm = &mut Norm::Fixed(&subnet.statistics);
                let values = subnet.run.execute(plan, &x, norm, &taps, None).unwrap();
                let tapped = taps.iter().zip(&sources).zip(&values[1..]);
                let observed = tapped.map(|((&value, &source), tensor)| {
                    let params = quant.activations[plan.placed.graph.value_name(source)];
                    let reals = data(tensor).unwrap().data;
                    let integers = reals.into_iter().map(|x| params.quantize(x)).collect();
                    (folded_name(plan, value), integers)
                });
                for check in check(&integers, &observed.collect()).unwrap() {
                    // Integers have rounded biases, which fake quantization has not; where its sums end depends on
                    // the threads that other tests have torch compute with.
                    let different = check.elements - check.equal;
                    assert!(different <= 1 + check.elements / 50, "block {block}: {check:?}");
                }
            }
        }
    }
}
