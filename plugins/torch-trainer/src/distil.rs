//! Block-wise distillation: one elastic stage learns, alone, to give the teacher's stage output
//! from the teacher's stage input (SpaceEvo, arXiv 2303.08308).
//!
//! Two 1×1 convolutions, for training only, join the widths of teacher and student.

use std::{collections::BTreeMap, fs, path::Path};

use rand::Rng;
use spacewright_core::{
    quality::TableRow,
    random,
    sealed::{seal_line, unseal_line},
    train::{DistilJob, DistilReport, JudgeJob, Monitor, TrainError},
};

use crate::{
    batches::Sampler,
    calibrate,
    context::Context,
    fit::Fit,
    interpret::Run,
    layout::Layout,
    optim::Rule,
    params::Params,
    replace::replace,
    stopwatch::Stopwatch,
    student::{PlannedVariant, Student, Variant},
};

/// Tries at falling learning rates before a block is reported as diverged: its loss is not finite,
/// or worse than without training and than that of the mean of the teacher's features. The third
/// rate is a tenth of the first: a block that diverges at it has another problem than its rate.
const ATTEMPTS: i32 = 3;
/// Factor on the learning rate from one try to the next: half a decade.
const SLOWER: f64 = 0.3;

/// Trains one (stage, block) and judges its rows.
pub fn distil(
    context: &Context,
    job: &DistilJob,
    output: &Path,
    scratch: &Path,
    monitor: &dyn Monitor,
) -> Result<DistilReport, TrainError> {
    let student = Student::new(context, (job.stage, job.block), &job.teacher, &job.features)?;
    let mut attempt = 0;
    loop {
        let folder = scratch.join(format!("attempt-{attempt}"));
        let marker = folder.join("diverged-at");
        let step = match remembered(&marker) {
            Some(step) => step,
            None => {
                let slower = SLOWER.powi(attempt);
                match train(&student, job, slower, output, &folder, monitor) {
                    Err(TrainError::Diverged { step, .. }) => {
                        remember(&marker, step)?;
                        step
                    }
                    result => return result,
                }
            }
        };
        attempt += 1;
        if attempt == ATTEMPTS {
            return Err(TrainError::Diverged { what: student.what(), step });
        }
    }
}

/// At which step an attempt has diverged; `None` where it has not, or where that cannot be read.
fn remembered(marker: &Path) -> Option<usize> {
    unseal_line(&fs::read_to_string(marker).ok()?)?.parse().ok()
}

/// Writes at which step an attempt diverged, so that it is not made again.
fn remember(marker: &Path, step: usize) -> Result<(), TrainError> {
    replace(marker, |beside| fs::write(beside, seal_line(&step.to_string())))
}

/// INT8 losses of sub-stages of a (stage, block) that was distilled.
pub fn judge(
    context: &Context,
    job: &JudgeJob,
    monitor: &dyn Monitor,
) -> Result<Vec<f64>, TrainError> {
    let student = Student::new(context, (job.stage, job.block), &job.teacher, &job.features)?;
    let params = Params::load(&job.weights)?.on(context.device);
    judge_rows(&student, &params, (&job.rows, job.calibration_images), 0, monitor)
}

/// INT8 losses of rows, in order, after `done` other units of work.
fn judge_rows(
    student: &Student<'_>,
    params: &Params,
    (rows, calibration): (&[TableRow], usize),
    done: usize,
    monitor: &dyn Monitor,
) -> Result<Vec<f64>, TrainError> {
    let mut losses = Vec::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        if monitor.cancelled() {
            return Err(TrainError::Cancelled);
        }
        let variant = student.plan(&row.into())?;
        losses.push(student.judge(params, true, &variant, calibration)?);
        monitor.progress(done + index + 1, done + rows.len(), "judging sub-stages");
    }
    Ok(losses)
}

/// One attempt at a learning rate that is `slower` times the one asked for.
fn train(
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
    let mut params = Params::init(&layout, seed).on(context.device);
    let steps = job.fp32.steps + job.int8.steps;
    let total = steps + job.rows.len();
    let largest = student.plan(&student.largest())?;
    let smallest = student.plan(&student.smallest())?;
    let judge_largest = |params: &Params, quantized| {
        student.judge(params, quantized, &largest, job.calibration_images)
    };
    // Giving the mean of the teacher's features would cost 1.
    let useless = judge_largest(&params, false)?.max(1.0);
    let mut offset = 0;
    let mut losses = [0.0; 2];
    let phases = [("fp32", &job.fp32), ("int8", &job.int8)];
    for (index, (name, phase)) in phases.into_iter().enumerate() {
        let quantized = index == 1;
        if quantized {
            start_quantizers(student, &layout, &mut params, job.calibration_images)?;
        }
        let mut sampler = Sampler::new((0..student.train_images).collect(), seed, name);
        let watch = Stopwatch::new();
        let fit = Fit {
            what: &format!("{what}, {name}"),
            name,
            phase,
            rule: Rule::Adam,
            slower,
            rates: BTreeMap::new(),
            seed,
            group: None,
            checkpoint: &folder.join(format!("{name}.safetensors")),
            learns_quantizers: context.quantizer.learnable(),
            layout: &layout,
            offset,
            total,
            watch: &watch,
        };
        fit.run(&mut params, monitor, |params, step, rng| {
            let sampled = sampler.batch(step, phase.batch);
            let images: Vec<usize> = sampled.into_iter().map(|sampled| sampled.image).collect();
            let run = Run { params, quantized, dropout: false, factors: context.factors() };
            sandwich(student, &run, [&largest, &smallest], &images, rng)
        })?;
        offset += phase.steps;
        losses[index] = judge_largest(&params, quantized)?;
        if losses[index].is_nan() || losses[index] > useless {
            return Err(TrainError::Diverged { what, step: offset });
        }
    }
    let rows = (job.rows.as_slice(), job.calibration_images);
    let rows = judge_rows(student, &params, rows, steps, monitor)?;
    params.save(output)?;
    Ok(DistilReport { losses: rows, max_fp32: losses[0], max_int8: losses[1], rate: slower })
}

/// Accumulates the gradients of one step: those of the largest, the smallest and two random
/// variants. Their mean loss.
fn sandwich(
    student: &Student<'_>,
    run: &Run<'_>,
    [largest, smallest]: [&PlannedVariant; 2],
    images: &[usize],
    rng: &mut impl Rng,
) -> Result<f64, TrainError> {
    let random = [student.random(rng), student.random(rng)];
    let [first, second] = [student.plan(&random[0])?, student.plan(&random[1])?];
    let variants = [largest, smallest, &first, &second];
    let mut sum = 0.0;
    for variant in variants {
        let loss = student.loss(run, variant, images)?;
        loss.backward();
        sum += loss.double_value(&[]);
    }
    Ok(sum / variants.len() as f64)
}

fn start_quantizers(
    student: &Student<'_>,
    layout: &Layout,
    params: &mut Params,
    images: usize,
) -> Result<(), TrainError> {
    let mut first = Some(student.largest());
    calibrate::start(params, layout, student.context, |params, rng| {
        let variant: Variant = first.take().unwrap_or_else(|| student.random(rng));
        student.observe(params, &variant, images)
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use spacewright_core::{
        graph::{Graph, Shape},
        train::Teacher,
    };
    use tch::{Kind, Tensor};

    use super::*;
    use crate::{
        features,
        testing::{self, Unwatched},
    };

    /// Features of a teacher that adds up channels and halves the map, on random images.
    fn write_features(folder: &Path, resolution: usize) {
        tch::manual_seed(4);
        let size = resolution as i64;
        let input = Tensor::randn([40, 6, size, size], (Kind::Float, tch::Device::Cpu));
        let target = input.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None::<i64>);
        let target = target.cumsum(1, Kind::Float);
        features::tests::write(folder, resolution, &[input, target], 32);
    }

    #[test]
    fn a_distilled_stage_is_judged_again_as_before() {
        let context = testing::context();
        let folder = tempfile::tempdir().unwrap();
        write_features(folder.path(), context.hyperspace.table_resolutions[0]);
        let (stage, block) = (0, 1);
        let teacher = Teacher {
            graph: Graph::identity(Shape::new(6, 16, 16)),
            ends: Vec::new(),
            weights: PathBuf::new(),
        };
        let student = Student::new(&context, (stage, block), &teacher, folder.path()).unwrap();
        let mut rng = random::generator(1, &["rows"]);
        let row = |variant: Variant| {
            let Variant { input_width, resolution, sub_stage } = variant;
            TableRow { stage, block, window: 0, input_width, resolution, sub_stage }
        };
        let rows: Vec<TableRow> = (0..3).map(|_| row(student.random(&mut rng))).collect();
        let job = DistilJob {
            stage,
            block,
            teacher: teacher.clone(),
            features: folder.path().to_owned(),
            fp32: testing::phase(3),
            int8: testing::phase(3),
            rows: rows.clone(),
            calibration_images: 16,
        };
        let weights = folder.path().join("weights.safetensors");
        let scratch = folder.path().join("scratch");
        let report = distil(&context, &job, &weights, &scratch, &Unwatched).unwrap();
        let again = JudgeJob {
            stage,
            block,
            teacher,
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
