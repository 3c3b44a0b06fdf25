//! Training without quantizers, then with them: what supernets and single networks share.

use std::collections::BTreeMap;

use rand_pcg::Pcg64Mcg;
use spacewright_core::{
    data::Augmentation,
    space::{ElasticStage, Subnet},
    train::{
        Monitor, Phase, RecalibratedSubnet, TrainContext, TrainError, TrainReport, TwoPhaseFiles,
    },
};

use crate::{
    batches::{self, Batch, Sampler},
    calibrate,
    classify::EVALUATION_BATCH,
    evaluate::{SharedWeights, calibration_images},
    fit::Fit,
    interpret::{Norm, Run},
    layout::Layout,
    optim::Rule,
    params::Params,
    plan::PlannedSubnet,
};

/// Images for recalibration before the network is judged after a phase. Of supernets the figure is
/// only reported; single networks are compared by it.
const STATISTICS_IMAGES: usize = 1024;

/// What is particular to a kind of network.
pub trait TwoPhaseTraining {
    /// Batches of images that a step takes.
    fn batches(&self) -> usize;

    /// Accumulates the gradients of one step on [`TwoPhaseTraining::batches`] batches; gives the
    /// loss that is told.
    fn gradients(
        &self,
        params: &Params,
        quantized: bool,
        batches: &[Batch],
        rng: &mut Pcg64Mcg,
    ) -> Result<f64, TrainError>;

    /// A network whose values are observed before quantizers start; asked for again, no longer for
    /// the `first` time, where quantized values are left that none before had.
    fn observed(&self, first: bool, rng: &mut Pcg64Mcg) -> Result<PlannedSubnet, TrainError>;
}

/// How a network is trained.
pub struct TwoPhases<'a> {
    /// Data, operators, scheme, seed.
    pub context: &'a TrainContext,
    /// What is trained, for messages and seeds.
    pub name: &'a str,
    /// Shapes of all tensors.
    pub layout: &'a Layout,
    /// The elastic stages of which `judged` is a subnet.
    pub stages: &'a [ElasticStage],
    /// Whose accuracy on held-out images is reported after each phase.
    pub judged: &'a Subnet,
    /// The phase without quantizers.
    pub fp32: &'a Phase,
    /// The phase with quantizers.
    pub int8: &'a Phase,
    /// Random changes of the images.
    pub augmentation: Augmentation,
    /// Where files go.
    pub files: &'a TwoPhaseFiles,
}

impl TwoPhases<'_> {
    /// Trains `params`; reports of the phases, `fp32` and `int8`.
    pub fn run(
        &self,
        network: &dyn TwoPhaseTraining,
        mut params: Params,
        monitor: &dyn Monitor,
    ) -> Result<BTreeMap<String, TrainReport>, TrainError> {
        let Self { context, layout, files, .. } = *self;
        let total = self.fp32.steps + self.int8.steps;
        let mut reports = BTreeMap::new();
        let mut offset = 0;
        let phases = [("fp32", self.fp32, &files.fp32), ("int8", self.int8, &files.int8)];
        for (name, phase, file) in phases {
            let quantized = name == "int8";
            if quantized {
                self.start_quantizers(network, &mut params)?;
            }
            let mut sampler = Sampler::new(batches::trainable(context), context.seed, name);
            let fit = Fit {
                what: &format!("{}, {name}", self.name),
                name,
                phase,
                rule: Rule::Sgd,
                slower: 1.0,
                seed: context.seed,
                checkpoint: &files.scratch.join(format!("{name}.safetensors")),
                learns_quantizers: context.quantizer.learnable(),
                layout,
                offset,
                total,
            };
            let fitted = fit.run(&mut params, monitor, |params, step, rng| {
                let indices = sampler.batch(step, network.batches() * phase.batch);
                let draw =
                    |part: &[usize]| Batch::draw(context, part.to_vec(), self.augmentation, rng);
                let batches: Vec<Batch> = indices.chunks(phase.batch).map(draw).collect();
                network.gradients(params, quantized, &batches, rng)
            })?;
            offset += phase.steps;
            params.save(file)?;
            let held_out_accuracy = self.held_out_accuracy(&params, quantized)?;
            fitted.judged(monitor, held_out_accuracy);
            let loss = Some(fitted.loss);
            reports.insert(name.to_owned(), TrainReport { held_out_accuracy, loss });
        }
        Ok(reports)
    }

    fn start_quantizers(
        &self,
        network: &dyn TwoPhaseTraining,
        params: &mut Params,
    ) -> Result<(), TrainError> {
        let context = self.context;
        let images = calibration_images(context, EVALUATION_BATCH);
        let mut first = true;
        calibrate::start(params, self.layout, context, |params, rng| {
            let subnet = network.observed(std::mem::replace(&mut first, false), rng)?;
            let train = &context.data.train;
            let x = batches::inputs(train, &images, context.canvas, subnet.resolution);
            let run = Run { params, quantized: false, dropout: false };
            run.observe(&subnet.plan, &x, &mut Norm::Batch)
        })
    }

    fn held_out_accuracy(&self, params: &Params, quantized: bool) -> Result<f64, TrainError> {
        let weights = SharedWeights {
            context: self.context,
            stages: self.stages,
            params,
            quantized,
            calibration: &calibration_images(self.context, STATISTICS_IMAGES),
            judged: &self.context.held_out,
        };
        weights.recalibrate(self.judged)?.held_out_accuracy()
    }
}
