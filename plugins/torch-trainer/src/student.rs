//! The student of block-wise distillation: one elastic stage between two adapters, and the
//! teacher's features that it learns from.

use std::{collections::BTreeMap, path::Path};

use rand::{Rng, seq::IndexedRandom};
use spacewright_core::{
    graph::{ConvSpec, Graph, GraphBuilder, Shape},
    quality::TableRow,
    space::{ElasticStage, SubStage, stage_graph},
    train::{Teacher, TrainError},
};
use tch::Tensor;

use crate::{
    classify::EVALUATION_BATCH,
    context::Context,
    features::StageFeatures,
    interpret::{Norm, Observations, Run},
    layout::Layout,
    losses,
    params::Params,
    plan::Plan,
    recalibrate::recalibrate,
    start::{ADAPTER_IN, ADAPTER_OUT},
};

/// A choice stage with one candidate block, and the teacher's features around it.
pub struct Student<'a> {
    /// Operators, scheme, hyperspace.
    pub context: &'a Context,
    stage: ElasticStage,
    /// Widths that the stage before can give.
    input_widths: Vec<usize>,
    /// By resolution.
    features: BTreeMap<usize, StageFeatures>,
    /// How many of the features' images, the first ones, are for training.
    pub train_images: usize,
}

/// One sub-stage of the student, and what is before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// Width of the stage's input, in channels.
    pub input_width: usize,
    /// Side of the network's input image, in pixels.
    pub resolution: usize,
    /// The blocks.
    pub sub_stage: SubStage,
}

impl From<&TableRow> for Variant {
    fn from(row: &TableRow) -> Self {
        let TableRow { input_width, resolution, ref sub_stage, .. } = *row;
        Self { input_width, resolution, sub_stage: sub_stage.clone() }
    }
}

/// A variant that is ready to be run.
pub struct PlannedVariant {
    resolution: usize,
    plan: Plan,
}

impl<'a> Student<'a> {
    /// Choice stage `stage` with candidate `block`; `folder` holds the teacher's features.
    pub fn new(
        context: &'a Context,
        (stage, block): (usize, usize),
        teacher: &Teacher,
        folder: &Path,
    ) -> Result<Self, TrainError> {
        let mut features = BTreeMap::new();
        for &resolution in &context.hyperspace.table_resolutions {
            let at = (resolution, stage);
            features.insert(resolution, StageFeatures::open(context, teacher, folder, at)?);
        }
        let train_images = features.values().map(|f| f.train_images).min().unwrap_or_default();
        Ok(Self {
            context,
            stage: context.hyperspace.choice_stage(stage, block, None),
            input_widths: context.hyperspace.input_widths(stage).to_vec(),
            features,
            train_images,
        })
    }

    /// Stage and block, for messages and seeds.
    pub fn what(&self) -> String {
        format!("{}, {}", self.stage.name, self.stage.candidate.block)
    }

    fn features(&self, resolution: usize) -> Result<&StageFeatures, TrainError> {
        self.features.get(&resolution).ok_or(TrainError::MissingFeatures { resolution })
    }

    /// The variant's blocks between two 1×1 convolutions, which join its widths to the teacher's.
    fn graph(&self, variant: &Variant) -> Result<Graph, TrainError> {
        let features = self.features(variant.resolution)?;
        let (shape, width) = (features.input_shape, variant.input_width);
        let mut b = GraphBuilder::new(shape);
        let x = b.conv(ADAPTER_IN, b.input(), ConvSpec::new(width, 1).bias());
        let adapter = b.finish(x);
        let inner = Shape::new(width, shape.height, shape.width);
        let stage = stage_graph(&self.context.operators, &self.stage, &variant.sub_stage, inner)?;
        let mut b = GraphBuilder::new(stage.output_shape()?);
        let channels = features.target_shape.channels;
        let x = b.conv(ADAPTER_OUT, b.input(), ConvSpec::new(channels, 1).bias());
        Ok(adapter.then(stage)?.then(b.finish(x))?)
    }

    /// Makes a variant ready to be run.
    pub fn plan(&self, variant: &Variant) -> Result<PlannedVariant, TrainError> {
        let plan = Plan::new(&self.graph(variant)?, &self.context.scheme)?;
        Ok(PlannedVariant { resolution: variant.resolution, plan })
    }

    /// The tensors of all variants.
    pub fn layout(&self) -> Result<Layout, TrainError> {
        let mut layout = Layout::default();
        for (resolution, features) in &self.features {
            let size = features.input_shape.height;
            let (operators, scheme) = (&self.context.operators, &self.context.scheme);
            layout.include_stage(operators, scheme, &self.stage, &self.input_widths, size)?;
            for extreme in [self.largest_at(*resolution), self.smallest_at(*resolution)] {
                layout.include(&self.graph(&extreme)?, scheme)?;
            }
        }
        Ok(layout)
    }

    /// The largest variant, at the largest resolution.
    pub fn largest(&self) -> Variant {
        self.largest_at(self.features.keys().last().copied().unwrap_or_default())
    }

    /// The smallest variant, at the smallest resolution.
    pub fn smallest(&self) -> Variant {
        self.smallest_at(self.features.keys().next().copied().unwrap_or_default())
    }

    fn largest_at(&self, resolution: usize) -> Variant {
        let input_width = self.input_widths[self.input_widths.len() - 1];
        Variant { input_width, resolution, sub_stage: SubStage::largest(&self.stage) }
    }

    fn smallest_at(&self, resolution: usize) -> Variant {
        let input_width = self.input_widths[0];
        Variant { input_width, resolution, sub_stage: SubStage::smallest(&self.stage) }
    }

    /// A variant whose input width, blocks and resolution are drawn uniformly.
    pub fn random(&self, rng: &mut impl Rng) -> Variant {
        let input_width = *self.input_widths.choose(rng).unwrap_or(&self.input_widths[0]);
        let sub_stage = SubStage::random(&self.stage, rng);
        let resolutions = &self.context.hyperspace.table_resolutions;
        let resolution = *resolutions.choose(rng).unwrap_or(&resolutions[0]);
        Variant { input_width, resolution, sub_stage }
    }

    /// Noise-to-signal ratio of a variant's output for the images at these positions, each batch
    /// normalization by the batch's own statistics.
    pub fn loss(
        &self,
        run: &Run<'_>,
        variant: &PlannedVariant,
        images: &[usize],
    ) -> Result<Tensor, TrainError> {
        let features = self.features(variant.resolution)?;
        let [inputs, targets] = features.pairs(self.context, images)?;
        let output = run.forward(&variant.plan, &inputs, &mut Norm::Batch)?;
        Ok(losses::noise_to_signal(&output, &targets, &features.variance))
    }

    /// What each value of a variant is for the first `images` training images.
    pub fn observe(
        &self,
        params: &Params,
        variant: &Variant,
        images: usize,
    ) -> Result<Observations, TrainError> {
        let run = Run { params, quantized: false, dropout: false, factors: self.context.factors() };
        let PlannedVariant { resolution, plan } = self.plan(variant)?;
        let images = images.min(self.train_images).min(EVALUATION_BATCH);
        let images: Vec<usize> = (0..images).collect();
        let x = self.features(resolution)?.inputs(self.context, &images)?;
        run.observe(&plan, &x, &mut Norm::Batch)
    }

    /// Loss of a variant on the judging images, after recalibration on the first `calibration`
    /// training images.
    pub fn judge(
        &self,
        params: &Params,
        quantized: bool,
        PlannedVariant { resolution, plan }: &PlannedVariant,
        calibration: usize,
    ) -> Result<f64, TrainError> {
        let features = self.features(*resolution)?;
        let run = Run { params, quantized, dropout: false, factors: self.context.factors() };
        let calibration = batches(0, calibration.min(self.train_images));
        let inputs = calibration.map(|images| features.inputs(self.context, &images));
        let statistics = recalibrate(&run, plan, inputs)?;
        let images = features.len();
        tch::no_grad(|| {
            let mut sum = 0.0;
            for positions in batches(self.train_images, images) {
                let [x, target] = features.pairs(self.context, &positions)?;
                let y = run.forward(plan, &x, &mut Norm::Fixed(&statistics))?;
                let loss = losses::noise_to_signal(&y, &target, &features.variance);
                sum += loss.double_value(&[]) * positions.len() as f64;
            }
            Ok(sum / (images - self.train_images).max(1) as f64)
        })
    }
}

/// The positions `from..to` in batches.
fn batches(from: usize, to: usize) -> impl Iterator<Item = Vec<usize>> {
    (from..to)
        .step_by(EVALUATION_BATCH)
        .map(move |start| (start..(start + EVALUATION_BATCH).min(to)).collect())
}
