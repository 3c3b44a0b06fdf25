//! The teacher's features: outputs of its stages on fixed images, and its logits on all training
//! images. They are computed once; distillation and the training of supernets read them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use spacewright_core::{
    graph::Shape,
    train::{FeaturesJob, Monitor, TrainContext, TrainError},
};
use tch::{Kind, Tensor};

use crate::{
    batches::{self, Batch},
    classify::{EVALUATION_BATCH, classify},
    interpret::{Norm, Run, Statistics},
    params::{self, NamedTensors, Params},
    plan::Plan,
    teach::teacher_graph,
};

/// Stage inputs and outputs at a resolution, below the features' folder: `s<i>` (half precision,
/// training images then judging images), `v<i>` (variance per channel over the training images)
/// for the input of choice stage i, and `train_images`.
pub fn features_file(folder: &Path, resolution: usize) -> PathBuf {
    folder.join(format!("features-{resolution}.safetensors"))
}

/// Logits of all training images, below the features' folder: `plain` and `mirrored`.
fn logits_file(folder: &Path) -> PathBuf {
    folder.join("logits.safetensors")
}

/// What a choice stage of the teacher reads and gives at one resolution.
pub struct StageFeatures {
    /// `images × channels × height × width`, half precision.
    pub input: Tensor,
    /// The same of the output.
    pub target: Tensor,
    /// Variance of the output, per channel.
    pub variance: Tensor,
    /// How many of the images, the first ones, are for training; the others are for judging.
    pub train_images: usize,
}

impl StageFeatures {
    /// Reads what [`compute`] wrote.
    pub fn load(folder: &Path, resolution: usize, stage: usize) -> Result<Self, TrainError> {
        let mut file = NamedTensors::load(&features_file(folder, resolution))?;
        Ok(Self {
            input: file.take(&format!("s{stage}"))?,
            target: file.take(&format!("s{}", stage + 1))?,
            variance: file.take(&format!("v{}", stage + 1))?,
            train_images: file.take("train_images")?.int64_value(&[0]) as usize,
        })
    }

    /// Inputs of the images at these positions.
    pub fn inputs(&self, indices: &Tensor) -> Tensor {
        self.input.index_select(0, indices).to_kind(Kind::Float)
    }

    /// Outputs for the images at these positions.
    pub fn targets(&self, indices: &Tensor) -> Tensor {
        self.target.index_select(0, indices).to_kind(Kind::Float)
    }

    /// Shape of one image's input.
    pub fn input_shape(&self) -> Shape {
        let size = self.input.size();
        Shape::new(size[1] as usize, size[2] as usize, size[3] as usize)
    }
}

/// The teacher's logits of all training images, `images × classes`.
pub struct TeacherLogits {
    plain: Tensor,
    mirrored: Tensor,
}

impl TeacherLogits {
    /// Reads what [`compute`] wrote.
    pub fn load(folder: &Path) -> Result<Self, TrainError> {
        let mut file = NamedTensors::load(&logits_file(folder))?;
        Ok(Self { plain: file.take("plain")?, mirrored: file.take("mirrored")? })
    }

    /// Those of a batch's images, mirrored where the batch's are.
    pub fn of(&self, batch: &Batch) -> Tensor {
        let indices: Vec<i64> = batch.indices.iter().map(|&index| index as i64).collect();
        let indices = Tensor::from_slice(&indices);
        let plain = self.plain.index_select(0, &indices);
        if !batch.flipped.contains(&true) {
            return plain;
        }
        let flipped = Tensor::from_slice(&batch.flipped).unsqueeze(1);
        self.mirrored.index_select(0, &indices).where_self(&flipped, &plain)
    }
}

/// Work that tells how far it is.
struct Counted<'a> {
    monitor: &'a dyn Monitor,
    done: usize,
    total: usize,
}

impl Counted<'_> {
    fn add(&mut self, images: usize, note: &str) -> Result<(), TrainError> {
        self.done += images;
        self.monitor.progress(self.done, self.total, note);
        if self.monitor.cancelled() { Err(TrainError::Cancelled) } else { Ok(()) }
    }
}

/// Computes all features into a folder; the answer is the teacher's accuracy on the test images.
pub fn compute(
    context: &TrainContext,
    job: &FeaturesJob,
    output: &Path,
    monitor: &dyn Monitor,
) -> Result<f64, TrainError> {
    fs::create_dir_all(output).map_err(|error| TrainError::file(output, error))?;
    let (params, statistics) = load_teacher(&job.weights)?;
    let run = Run { params: &params, quantized: false, dropout: false };
    let (train, test) = (&context.data.train, &context.data.test);
    let mut images = batches::fixed_sample(context, "distil", job.train_images);
    let train_images = images.len();
    images.extend(context.held_out.iter().take(job.judge_images));
    let resolutions = &context.hyperspace.table_resolutions;
    let total = images.len() * resolutions.len() + 2 * train.len() + test.len();
    let mut counted = Counted { monitor, done: 0, total };

    for &resolution in resolutions {
        let (graph, ends) = teacher_graph(context, &job.teacher, resolution)?;
        let plan = Plan::new(&graph, &context.scheme)?;
        let ends = ends.iter().map(|name| plan.value(name)).collect::<Result<Vec<_>, _>>()?;
        let mut stages: Vec<Vec<Tensor>> = ends.iter().map(|_| Vec::new()).collect();
        for indices in images.chunks(EVALUATION_BATCH) {
            let x = batches::inputs(train, indices, context.canvas, resolution);
            let outputs = tch::no_grad(|| {
                run.execute(&plan, &x, &mut Norm::Fixed(&statistics), &ends, None)
            })?;
            for (stage, tensor) in stages.iter_mut().zip(&outputs[1..]) {
                stage.push(tensor.contiguous());
            }
            counted.add(indices.len(), "features")?;
        }
        // What leaves the stem is what the first choice stage reads.
        let first = context.hyperspace.stem.len() - 1;
        let mut tensors = Vec::new();
        for (index, parts) in stages.into_iter().skip(first).enumerate() {
            let all = Tensor::cat(&parts, 0);
            let trained_on = all.narrow(0, 0, train_images as i64);
            let variance = trained_on.var_dim([0i64, 2, 3].as_slice(), true, false);
            tensors.push((format!("s{index}"), all.to_kind(Kind::Half)));
            tensors.push((format!("v{index}"), variance));
        }
        tensors.push(("train_images".into(), Tensor::from_slice(&[train_images as i64])));
        params::save(&features_file(output, resolution), &tensors)?;
    }

    let (graph, _) = teacher_graph(context, &job.teacher, context.canvas)?;
    let plan = Plan::new(&graph, &context.scheme)?;
    let mut tensors = Vec::new();
    let all: Vec<usize> = (0..train.len()).collect();
    for (name, mirrored) in [("plain", false), ("mirrored", true)] {
        let mut logits = Vec::new();
        for indices in all.chunks(EVALUATION_BATCH) {
            let mut x = batches::inputs(train, indices, context.canvas, context.canvas);
            if mirrored {
                x = x.flip([3i64].as_slice());
            }
            logits.push(tch::no_grad(|| run.forward(&plan, &x, &mut Norm::Fixed(&statistics)))?);
            counted.add(indices.len(), "logits")?;
        }
        tensors.push((name, Tensor::cat(&logits, 0)));
    }
    params::save(&logits_file(output), &tensors)?;
    let indices: Vec<usize> = (0..test.len()).collect();
    let predictions =
        classify(context, &run, &plan, &statistics, (test, &indices), context.canvas)?;
    Ok(predictions.accuracy(&test.labels))
}

fn load_teacher(path: &Path) -> Result<(Params, Statistics), TrainError> {
    let mut params = Params::load(path)?;
    let mut statistics = Statistics::default();
    let means: Vec<String> =
        params.0.keys().filter_map(|name| name.strip_suffix(".mean").map(str::to_owned)).collect();
    for node in means {
        let mut take = |role: &str| params.0.remove(&format!("{node}.{role}"));
        if let (Some(mean), Some(var)) = (take("mean"), take("var")) {
            statistics.values.insert(node, (mean.detach(), var.detach()));
        }
    }
    Ok((params, statistics))
}
