//! Block-wise distillation: one elastic stage learns, alone, to give the teacher's stage output
//! from the teacher's stage input (SpaceEvo, arXiv 2303.08308).
//!
//! Two 1×1 convolutions, for training only, join the widths of teacher and student.

use std::{collections::BTreeMap, fs, io, path::Path};

use rand::{Rng, seq::IndexedRandom};
use spacewright_core::{
    graph::{ConvSpec, Graph, GraphBuilder, Shape},
    random,
    space::{ElasticStage, SubStage, stage_graph},
    train::{DistilJob, DistilReport, JudgeJob, Monitor, TrainContext, TrainError},
};
use tch::{Kind, Tensor};

use crate::{
    batches::Sampler,
    calibrate,
    fit::Fit,
    interpret::{Norm, Run, Statistics},
    layout::{Layout, Plan, other},
    losses,
    optim::Rule,
    params::{self, Params},
    start::{ADAPTER_IN, ADAPTER_OUT},
    teach::{EVALUATION_BATCH, features_file},
};

/// Tries at falling learning rates before a block is reported as diverged: its loss is not finite,
/// or worse than without training and than that of the mean of the teacher's features.
const ATTEMPTS: usize = 3;

/// A teacher's features at one resolution.
struct Features {
    input: Tensor,
    target: Tensor,
    variance: Tensor,
    /// How many of the images, the first ones, are for training.
    train_images: usize,
}

impl Features {
    fn load(folder: &Path, resolution: usize, stage: usize) -> Result<Self, TrainError> {
        let path = features_file(folder, resolution);
        let mut tensors: BTreeMap<String, Tensor> = params::load(&path)?.into_iter().collect();
        let mut take = |name: String| {
            let reason = format!("no features `{name}`");
            tensors.remove(&name).ok_or(TrainError::File { path: path.clone(), reason })
        };
        Ok(Self {
            input: take(format!("s{stage}"))?,
            target: take(format!("s{}", stage + 1))?,
            variance: take(format!("v{}", stage + 1))?,
            train_images: take("train_images".into())?.int64_value(&[0]) as usize,
        })
    }

    fn batch(&self, indices: &Tensor) -> (Tensor, Tensor) {
        let select = |t: &Tensor| t.index_select(0, indices).to_kind(Kind::Float);
        (select(&self.input), select(&self.target))
    }

    fn input_shape(&self) -> Shape {
        let size = self.input.size();
        Shape::new(size[1] as usize, size[2] as usize, size[3] as usize)
    }
}

struct Student<'a> {
    context: &'a TrainContext,
    stage: ElasticStage,
    input_widths: Vec<usize>,
    features: BTreeMap<usize, Features>,
    train_images: usize,
}

/// A sub-stage with the width of its input and its resolution.
type Row = (usize, SubStage, usize);

impl<'a> Student<'a> {
    /// Choice stage `stage` with candidate `block`; `folder` holds the teacher's features.
    fn new(
        context: &'a TrainContext,
        (stage, block): (usize, usize),
        folder: &Path,
    ) -> Result<Self, TrainError> {
        let mut features = BTreeMap::new();
        for &resolution in &context.hyperspace.table_resolutions {
            features.insert(resolution, Features::load(folder, resolution, stage)?);
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

    /// For messages and seeds.
    fn what(&self) -> String {
        format!("{}, {}", self.stage.name, self.stage.candidate.block)
    }

    fn graph(&self, (width, sub_stage, resolution): &Row) -> Result<Graph, TrainError> {
        let features = &self.features[resolution];
        let shape = features.input_shape();
        let mut b = GraphBuilder::new(shape);
        let x = b.conv(ADAPTER_IN, b.input(), ConvSpec::new(*width, 1).bias());
        let adapter = b.finish(x);
        let inner = Shape::new(*width, shape.height, shape.width);
        let stage =
            stage_graph(&self.context.operators, &self.stage, sub_stage, inner).map_err(other)?;
        let mut b = GraphBuilder::new(stage.output_shape().map_err(other)?);
        let channels = features.target.size()[1] as usize;
        let x = b.conv(ADAPTER_OUT, b.input(), ConvSpec::new(channels, 1).bias());
        adapter.then(stage).and_then(|graph| graph.then(b.finish(x))).map_err(other)
    }

    fn plan(&self, row: &Row) -> Result<Plan, TrainError> {
        Plan::new(&self.graph(row)?, &self.context.scheme)
    }

    fn layout(&self) -> Result<Layout, TrainError> {
        let mut layout = Layout::default();
        for (resolution, features) in &self.features {
            let size = features.input_shape().height;
            let (operators, scheme) = (&self.context.operators, &self.context.scheme);
            layout.include_stage(operators, scheme, &self.stage, &self.input_widths, size)?;
            for extreme in [self.largest(*resolution), self.smallest(*resolution)] {
                layout.include(&self.graph(&extreme)?, scheme)?;
            }
        }
        Ok(layout)
    }

    fn largest(&self, resolution: usize) -> Row {
        let width = self.input_widths[self.input_widths.len() - 1];
        (width, SubStage::largest(&self.stage), resolution)
    }

    fn smallest(&self, resolution: usize) -> Row {
        (self.input_widths[0], SubStage::smallest(&self.stage), resolution)
    }

    fn random(&self, rng: &mut impl Rng) -> Row {
        let width = *self.input_widths.choose(rng).unwrap_or(&self.input_widths[0]);
        let sub_stage = SubStage::random(&self.stage, rng);
        let resolutions = &self.context.hyperspace.table_resolutions;
        (width, sub_stage, *resolutions.choose(rng).unwrap_or(&resolutions[0]))
    }

    fn resolutions(&self) -> (usize, usize) {
        let resolutions = &self.context.hyperspace.table_resolutions;
        let smallest = resolutions.iter().min().copied().unwrap_or_default();
        (smallest, resolutions.iter().max().copied().unwrap_or_default())
    }

    /// Accumulates the gradients of one sandwich: largest, smallest and two random sub-stages.
    fn sandwich(
        &self,
        params: &Params,
        quantized: bool,
        indices: &Tensor,
        rng: &mut impl Rng,
    ) -> Result<f64, TrainError> {
        let (low, high) = self.resolutions();
        let rows = [self.largest(high), self.smallest(low), self.random(rng), self.random(rng)];
        let mut sum = 0.0;
        for row in &rows {
            let features = &self.features[&row.2];
            let (input, target) = features.batch(indices);
            let run = Run { params, quantized, dropout: false };
            let output = run.forward(&self.plan(row)?, &input, &mut Norm::Batch)?;
            let loss = losses::noise_to_signal(&output, &target, &features.variance);
            loss.backward();
            sum += loss.double_value(&[]);
        }
        Ok(sum / rows.len() as f64)
    }

    /// Loss of a sub-stage on the judging images, after recalibration on the first training ones.
    fn judge(
        &self,
        params: &Params,
        quantized: bool,
        row: &Row,
        calibration: usize,
    ) -> Result<f64, TrainError> {
        let plan = self.plan(row)?;
        let features = &self.features[&row.2];
        let run = Run { params, quantized, dropout: false };
        let mut statistics = Statistics::default();
        let range = |from: usize, to: usize| {
            Tensor::arange_start(from as i64, to as i64, (Kind::Int64, tch::Device::Cpu))
        };
        tch::no_grad(|| {
            let calibration = calibration.min(self.train_images);
            for start in (0..calibration).step_by(EVALUATION_BATCH) {
                let end = (start + EVALUATION_BATCH).min(calibration);
                let (x, _) = features.batch(&range(start, end));
                let _ = run.forward(&plan, &x, &mut Norm::Record(&mut statistics))?;
            }
            let images = features.input.size()[0] as usize;
            let mut sum = 0.0;
            for start in (self.train_images..images).step_by(EVALUATION_BATCH) {
                let end = (start + EVALUATION_BATCH).min(images);
                let (x, target) = features.batch(&range(start, end));
                let y = run.forward(&plan, &x, &mut Norm::Fixed(&statistics))?;
                let loss = losses::noise_to_signal(&y, &target, &features.variance);
                sum += loss.double_value(&[]) * (end - start) as f64;
            }
            Ok(sum / (images - self.train_images).max(1) as f64)
        })
    }

    /// INT8 losses of sub-stages, in order, after `done` other units of work.
    fn judge_all(
        &self,
        params: &Params,
        rows: &[Row],
        calibration: usize,
        done: usize,
        monitor: &dyn Monitor,
    ) -> Result<Vec<f64>, TrainError> {
        let mut losses = Vec::with_capacity(rows.len());
        for (index, row) in rows.iter().enumerate() {
            if monitor.cancelled() {
                return Err(TrainError::Cancelled);
            }
            losses.push(self.judge(params, true, row, calibration)?);
            monitor.progress(done + index + 1, done + rows.len(), "judging sub-stages");
        }
        Ok(losses)
    }
}

/// Trains one (stage, block) and judges its rows.
pub fn distil(
    context: &TrainContext,
    job: &DistilJob,
    output: &Path,
    scratch: &Path,
    monitor: &dyn Monitor,
) -> Result<DistilReport, TrainError> {
    let student = Student::new(context, (job.stage, job.block), &job.features)?;
    let mut diverged = None;
    for attempt in 0..ATTEMPTS {
        let folder = scratch.join(format!("attempt-{attempt}"));
        let marker = folder.join("diverged-at");
        let file =
            |error: io::Error| TrainError::File { path: marker.clone(), reason: error.to_string() };
        let step = match fs::read_to_string(&marker) {
            Ok(text) => text.trim().parse().unwrap_or_default(),
            Err(_) => {
                let slower = 0.3f64.powi(attempt as i32);
                match attempt_at(&student, job, slower, output, &folder, monitor) {
                    Err(TrainError::Diverged { step, .. }) => {
                        fs::create_dir_all(&folder).map_err(file)?;
                        let temporary = folder.join("diverged-at.tmp");
                        fs::write(&temporary, step.to_string()).map_err(file)?;
                        fs::rename(&temporary, &marker).map_err(file)?;
                        step
                    }
                    result => return result,
                }
            }
        };
        diverged = Some(TrainError::Diverged { what: student.what(), step });
    }
    Err(diverged.unwrap_or_else(|| TrainError::Other("no attempt was made".into())))
}

/// INT8 losses of sub-stages of a (stage, block) that was distilled.
pub fn judge(
    context: &TrainContext,
    job: &JudgeJob,
    monitor: &dyn Monitor,
) -> Result<Vec<f64>, TrainError> {
    let student = Student::new(context, (job.stage, job.block), &job.features)?;
    let params = Params::load(&job.weights)?;
    student.judge_all(&params, &job.rows, job.calibration_images, 0, monitor)
}

fn attempt_at(
    student: &Student<'_>,
    job: &DistilJob,
    slower: f64,
    output: &Path,
    folder: &Path,
    monitor: &dyn Monitor,
) -> Result<DistilReport, TrainError> {
    let context = student.context;
    let what = student.what();
    let layout = student.layout()?;
    let seed = random::seed(context.seed, &["distil", &what]);
    let mut params = Params::init(&layout, seed);
    let steps = job.fp32.steps + job.int8.steps;
    let total = steps + job.rows.len();
    let (_, high) = student.resolutions();
    let largest = student.largest(high);
    let mut offset = 0;
    let mut losses = [0.0; 2];
    // Giving the mean of the teacher's features would cost 1.
    let useless = student.judge(&params, false, &largest, job.calibration_images)?.max(1.0);
    for (phase, settings) in [&job.fp32, &job.int8].into_iter().enumerate() {
        let quantized = phase == 1;
        if quantized {
            start_quantizers(student, &layout, &mut params, job.calibration_images)?;
        }
        let mut sampler =
            Sampler::new((0..student.train_images).collect(), seed, settings_name(phase));
        let fit = Fit {
            what: &format!("{what}, {}", settings_name(phase)),
            phase: settings,
            rule: Rule::Adam,
            slower,
            seed,
            checkpoint: &folder.join(format!("{}.safetensors", settings_name(phase))),
            learns_quantizers: context.quantizer.learnable(),
            layout: &layout,
            offset,
            total,
        };
        fit.run(&mut params, monitor, |params, step, rng| {
            let indices: Vec<i64> =
                sampler.batch(step, settings.batch).into_iter().map(|i| i as i64).collect();
            student.sandwich(params, quantized, &Tensor::from_slice(&indices), rng)
        })?;
        offset += settings.steps;
        losses[phase] = student.judge(&params, quantized, &largest, job.calibration_images)?;
        if losses[phase].is_nan() || losses[phase] > useless {
            return Err(TrainError::Diverged { what, step: offset });
        }
    }
    let rows = student.judge_all(&params, &job.rows, job.calibration_images, steps, monitor)?;
    params.save(output)?;
    Ok(DistilReport { losses: rows, max_fp32: losses[0], max_int8: losses[1], rate: slower })
}

fn settings_name(phase: usize) -> &'static str {
    ["fp32", "int8"][phase]
}

fn start_quantizers(
    student: &Student<'_>,
    layout: &Layout,
    params: &mut Params,
    images: usize,
) -> Result<(), TrainError> {
    let (_, high) = student.resolutions();
    let mut first = Some(student.largest(high));
    calibrate::start(params, layout, student.context, |params, rng| {
        let row = first.take().unwrap_or_else(|| student.random(rng));
        let count = images.min(student.train_images).min(EVALUATION_BATCH) as i64;
        let features = &student.features[&row.2];
        let x = features.input.narrow(0, 0, count).to_kind(Kind::Float);
        let run = Run { params, quantized: false, dropout: false };
        run.observe(&student.plan(&row)?, &x, &mut Norm::Batch)
    })
}

#[cfg(test)]
mod tests {
    use spacewright_core::train::Phase;

    use super::*;
    use crate::testing::{self, Unwatched};

    /// Features of a teacher that adds up channels and halves the map, on random images.
    fn write_features(folder: &Path, resolution: usize) {
        tch::manual_seed(4);
        let size = resolution as i64;
        let input = Tensor::randn([40, 6, size, size], (Kind::Float, tch::Device::Cpu));
        let target = input.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None::<i64>);
        let target = target.cumsum(1, Kind::Float);
        let variance = target.var_dim([0i64, 2, 3].as_slice(), true, false);
        let tensors = [
            ("s0", input.to_kind(Kind::Half)),
            ("s1", target.to_kind(Kind::Half)),
            ("v1", variance),
            ("train_images", Tensor::from_slice(&[32i64])),
        ];
        params::save(&features_file(folder, resolution), &tensors).unwrap();
    }

    #[test]
    fn a_distilled_stage_is_judged_again_as_before() {
        let context = testing::context();
        let folder = tempfile::tempdir().unwrap();
        write_features(folder.path(), context.hyperspace.table_resolutions[0]);
        let phase = Phase {
            steps: 3,
            batch: 8,
            learning_rate: 0.005,
            weight_decay: 0.0,
            warmup: 0.0,
            checkpoint_steps: 100,
        };
        let (stage, block) = (0, 1);
        let student = Student::new(&context, (stage, block), folder.path()).unwrap();
        let mut rng = random::generator(1, &["rows"]);
        let rows: Vec<Row> = (0..3).map(|_| student.random(&mut rng)).collect();
        let job = DistilJob {
            stage,
            block,
            features: folder.path().to_owned(),
            fp32: phase.clone(),
            int8: phase,
            rows: rows.clone(),
            calibration_images: 16,
        };
        let weights = folder.path().join("weights.safetensors");
        let scratch = folder.path().join("scratch");
        let report = distil(&context, &job, &weights, &scratch, &Unwatched).unwrap();
        let again = JudgeJob {
            stage,
            block,
            features: job.features,
            weights,
            rows,
            calibration_images: job.calibration_images,
        };
        let losses = judge(&context, &again, &Unwatched).unwrap();
        assert_eq!(losses, report.losses);
        assert!(losses.iter().all(|loss| *loss > 0.0));
    }
}
