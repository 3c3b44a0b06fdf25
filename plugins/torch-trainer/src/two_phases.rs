//! Training without quantizers, then with them: what supernets and single networks share.

use std::{collections::BTreeMap, rc::Rc};

use rand_pcg::Pcg64Mcg;
use spacewright_core::{
    random,
    space::{ElasticStage, Subnet},
    train::{Monitor, Phase, RecalibratedSubnet, TrainError, TrainReport, TwoPhaseFiles},
};

use crate::{
    batches::{self, Batch, PendingBatch, Sampled, Sampler, Views},
    calibrate,
    classify::EVALUATION_BATCH,
    context::Context,
    evaluate::{SharedWeights, calibration_images},
    fit::Fit,
    interpret::{Norm, Observations, Run},
    layout::Layout,
    loader::{Ahead, STEPS_AHEAD},
    objective::Objective,
    optim::Rule,
    params::Params,
    plan::PlannedSubnet,
    stopwatch::{Part, Stopwatch},
};

/// Images for recalibration before the network is judged after a phase. Of supernets the figure is
/// only reported; single networks are compared by it.
const STATISTICS_IMAGES: usize = 1024;

/// What is particular to a kind of network.
pub trait TwoPhaseTraining {
    /// The networks of a step, some of which may be drawn at random.
    fn networks(&self, rng: &mut Pcg64Mcg) -> Result<Vec<Rc<PlannedSubnet>>, TrainError>;

    /// Batches of images that a step takes: one for all networks, or one for each.
    fn batches(&self) -> usize;

    /// What they are trained for.
    fn objective(&self) -> &Objective<'_>;

    /// Accumulates the gradients of one step: of each network with its batch. Gives the loss that is told.
    fn gradients(&self, step: &Step<'_>) -> Result<f64, TrainError>;

    /// A network whose values are observed before quantizers start; asked for again, no longer for
    /// the `first` time, where quantized values are left that none before had.
    fn observed(&self, first: bool, rng: &mut Pcg64Mcg) -> Result<Rc<PlannedSubnet>, TrainError>;
}

/// A step whose images are being loaded.
struct PendingStep {
    networks: Vec<Rc<PlannedSubnet>>,
    batches: Vec<PendingBatch>,
}

/// Networks and images of a step.
pub struct LoadedStep {
    networks: Vec<Rc<PlannedSubnet>>,
    /// One for all networks, or one for each.
    batches: Vec<Batch>,
}

impl LoadedStep {
    /// Each network with its batch.
    pub fn pairs(&self) -> impl Iterator<Item = (&PlannedSubnet, &Batch)> {
        let last = self.batches.len() - 1;
        let batch = move |index: usize| &self.batches[index.min(last)];
        self.networks.iter().enumerate().map(move |(index, network)| (&**network, batch(index)))
    }
}

/// What the gradients of a step are computed from.
pub struct Step<'a> {
    /// What has gradients then.
    pub params: &'a Params,
    /// Whether quantizers are active.
    pub quantized: bool,
    /// Networks and images.
    pub loaded: &'a LoadedStep,
    /// What the time goes to.
    pub watch: &'a Stopwatch,
}

/// The steps of a phase, whose images are loaded ahead.
pub struct Steps<'a> {
    phases: &'a TwoPhases<'a>,
    network: &'a dyn TwoPhaseTraining,
    name: &'a str,
    phase: &'a Phase,
    sampler: Sampler,
    views: Views,
    ahead: Ahead<PendingStep>,
}

impl<'a> Steps<'a> {
    /// Those of the phase of this name.
    pub fn new(
        phases: &'a TwoPhases<'a>,
        network: &'a dyn TwoPhaseTraining,
        (name, phase): (&'a str, &'a Phase),
    ) -> Self {
        let images = &phases.context.images;
        let sampler = Sampler::new(images.train.to_vec(), phases.context.seed, name);
        let views = network.objective().views(name);
        let ahead = Ahead::new(phase.steps, STEPS_AHEAD);
        Self { phases, network, name, phase, sampler, views, ahead }
    }

    /// Waits for a step; they are taken in order, from any first one on.
    pub fn take(&mut self, step: usize, watch: &Stopwatch) -> Result<LoadedStep, TrainError> {
        let Self { phases, network, name, phase, sampler, views, ahead } = self;
        let PendingStep { networks, batches } = ahead.take(step, |step| {
            let sampled = sampler.batch(step, network.batches() * phase.batch);
            phases.pending(*network, views, (*name, step), sampled.chunks(phase.batch))
        })?;
        let batches = batches.into_iter().map(PendingBatch::wait);
        let batches = watch.time(Part::Data, || batches.collect::<Result<Vec<_>, _>>())?;
        Ok(LoadedStep { networks, batches })
    }
}

/// How a network is trained.
pub struct TwoPhases<'a> {
    /// Data, operators, scheme, seed.
    pub context: &'a Context,
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
    /// Where files go.
    pub files: &'a TwoPhaseFiles,
}

impl TwoPhases<'_> {
    /// Trains `params`; reports of the phases, `fp32` and `int8`. Of several processes the first one judges the
    /// network, and writes it.
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
            let (watch, mut steps) = (Stopwatch::new(), Steps::new(self, network, (name, phase)));
            let fit = Fit {
                what: &format!("{}, {name}", self.name),
                name,
                phase,
                rule: Rule::Sgd,
                slower: 1.0,
                rates: BTreeMap::new(),
                seed: context.seed,
                group: context.group.as_deref(),
                checkpoint: &files.scratch.join(format!("{name}.safetensors")),
                learns_quantizers: context.quantizer.learnable(),
                layout,
                offset,
                total,
                watch: &watch,
            };
            let fitted = fit.run(&mut params, monitor, |params, step, _| {
                let loaded = &steps.take(step, &watch)?;
                network.gradients(&Step { params, quantized, loaded, watch: &watch })
            })?;
            watch.tell(fit.what);
            offset += phase.steps;
            let loss = Some(fitted.loss);
            if !context.is_first() {
                let held_out_accuracy = f64::NAN;
                reports.insert(name.to_owned(), TrainReport { held_out_accuracy, loss });
                continue;
            }
            params.save(file)?;
            let held_out_accuracy = self.held_out_accuracy(&params, quantized)?;
            fitted.judged(monitor, held_out_accuracy);
            reports.insert(name.to_owned(), TrainReport { held_out_accuracy, loss });
        }
        Ok(reports)
    }

    /// Draws the networks of a step of a phase and starts to load its images.
    fn pending<'b>(
        &self,
        network: &dyn TwoPhaseTraining,
        views: &Views,
        (phase, step): (&str, usize),
        batches: impl ExactSizeIterator<Item = &'b [Sampled]>,
    ) -> Result<PendingStep, TrainError> {
        let context = self.context;
        let purpose = [self.name, phase, "networks", &step.to_string()];
        let networks = network.networks(&mut random::generator(context.seed, &purpose))?;
        let last = batches.len() - 1;
        let pending = |(index, sampled): (usize, &[Sampled])| {
            let seen_by = networks.iter().enumerate().filter(|(at, _)| index == (*at).min(last));
            let sides = seen_by.map(|(_, network)| network.resolution);
            let sides = sides.chain(network.objective().side());
            PendingBatch::new(context, views, sampled.to_vec(), sides)
        };
        let batches = batches.enumerate().map(pending).collect();
        Ok(PendingStep { networks, batches })
    }

    /// Adds scales and offsets, from what is observed of the network without quantizers.
    pub fn start_quantizers(
        &self,
        network: &dyn TwoPhaseTraining,
        params: &mut Params,
    ) -> Result<(), TrainError> {
        let context = self.context;
        let images = calibration_images(context, EVALUATION_BATCH);
        let mut first = true;
        calibrate::start(params, self.layout, context, |params, rng| {
            let subnet = network.observed(std::mem::replace(&mut first, false), rng)?;
            let side = subnet.resolution;
            let mut observations = Observations::new();
            let run = Run { params, quantized: false, dropout: false, factors: context.factors() };
            for x in batches::judged(context, &images, EVALUATION_BATCH, side) {
                observations.extend(run.observe(&subnet.plan, &x?, &mut Norm::Batch)?);
            }
            Ok(observations)
        })
    }

    fn held_out_accuracy(&self, params: &Params, quantized: bool) -> Result<f64, TrainError> {
        let weights = SharedWeights {
            context: self.context,
            stages: self.stages,
            params,
            quantized,
            calibration: &calibration_images(self.context, STATISTICS_IMAGES),
            judged: &self.context.images.held_out,
        };
        weights.recalibrate(self.judged)?.held_out_accuracy()
    }
}
