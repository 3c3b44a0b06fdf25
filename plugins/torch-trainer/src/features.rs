//! A teacher's features: outputs of its stages on fixed images, from which distillation learns. They are
//! kept on the disk as far as they may, and computed whenever they are needed beyond that.

use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
};

use spacewright_core::{
    graph::Shape,
    train::{FeaturesJob, Monitor, Teacher, TrainError},
};
use tch::{Kind, Tensor};

use crate::{
    batches,
    classify::EVALUATION_BATCH,
    context::Context,
    params::{self, NamedTensors},
    rows::{self, Rows, RowsWriter},
    teacher::OpenTeacher,
};

/// What is known of the features at a resolution, below their folder: `images` (positions) and
/// `train_images` (how many of them, the first ones, are for training); for the input of choice stage i, and
/// the output of the last one, `shape<i>`, `variance<i>` (per channel, over the training images) and
/// `kept<i>`.
fn index_file(folder: &Path, resolution: usize) -> PathBuf {
    folder.join(format!("features-{resolution}.safetensors"))
}

/// How the files of the features that choice stage `stage` reads begin.
fn rows_base(folder: &Path, resolution: usize, stage: usize) -> PathBuf {
    folder.join(format!("features-{resolution}-s{stage}"))
}

/// What a choice stage of the teacher reads and gives at one resolution.
pub struct StageFeatures {
    stage: usize,
    /// Positions of the images.
    images: Vec<usize>,
    /// How many of the images, the first ones, are for training; the others are for judging.
    pub train_images: usize,
    /// Shape of one image's input.
    pub input_shape: Shape,
    /// Shape of one image's output.
    pub target_shape: Shape,
    /// Variance of the output, per channel.
    pub variance: Tensor,
    /// Of input and output; `None` where they were not kept.
    kept: [Option<Rows>; 2],
    /// Where something was not kept.
    teacher: Option<OpenTeacher>,
    /// What was computed last, and of which images: all networks of a step see the same ones.
    last: RefCell<Option<(Vec<usize>, Vec<Tensor>)>>,
}

impl StageFeatures {
    /// Opens what [`compute`] wrote.
    pub fn open(
        context: &Context,
        teacher: &Teacher,
        folder: &Path,
        (resolution, stage): (usize, usize),
    ) -> Result<Self, TrainError> {
        let mut index = NamedTensors::load(&index_file(folder, resolution))?;
        let images: Vec<i64> = (&index.take("images")?).try_into().map_err(|error| {
            TrainError::Computation { doing: "reading features", source: Box::new(error) }
        })?;
        let mut end = |stage: usize| {
            let size = index.take(&format!("shape{stage}"))?;
            let at = |dimension: i64| size.int64_value(&[dimension]) as usize;
            let shape = Shape::new(at(0), at(1), at(2));
            let base = rows_base(folder, resolution, stage);
            let is_kept = index.take(&format!("kept{stage}"))?.int64_value(&[0]) != 0;
            let rows = is_kept.then(|| Rows::open(base, shape, images.len())).transpose()?;
            Ok::<_, TrainError>((shape, rows))
        };
        let ((input_shape, input), (target_shape, target)) = (end(stage)?, end(stage + 1)?);
        let kept = [input, target];
        let is_whole = kept.iter().all(Option::is_some);
        let open = || OpenTeacher::new(context, teacher, resolution);
        Ok(Self {
            stage,
            train_images: index.take("train_images")?.int64_value(&[0]) as usize,
            variance: index.take(&format!("variance{}", stage + 1))?.to_device(context.device),
            images: images.into_iter().map(|image| image as usize).collect(),
            input_shape,
            target_shape,
            kept,
            teacher: (!is_whole).then(open).transpose()?,
            last: RefCell::default(),
        })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Inputs of the images at these positions, `positions × channels × height × width`.
    pub fn inputs(&self, context: &Context, positions: &[usize]) -> Result<Tensor, TrainError> {
        match &self.kept[0] {
            Some(rows) => rows.read(positions, context.device),
            None => Ok(self.computed(context, positions)?.swap_remove(self.stage)),
        }
    }

    /// Inputs and outputs for the images at these positions.
    pub fn pairs(&self, context: &Context, positions: &[usize]) -> Result<[Tensor; 2], TrainError> {
        if let [Some(inputs), Some(targets)] = &self.kept {
            let read = |rows: &Rows| rows.read(positions, context.device);
            return Ok([read(inputs)?, read(targets)?]);
        }
        let mut stages = self.computed(context, positions)?;
        let target = stages.swap_remove(self.stage + 1);
        Ok([stages.swap_remove(self.stage), target])
    }

    /// What the teacher's stages give, rounded as what is kept.
    fn computed(&self, context: &Context, positions: &[usize]) -> Result<Vec<Tensor>, TrainError> {
        if let Some((known, stages)) = &*self.last.borrow()
            && known == positions
        {
            return Ok(stages.iter().map(Tensor::shallow_clone).collect());
        }
        let missing = || TrainError::MissingValue { name: "the teacher".into() };
        let teacher = self.teacher.as_ref().ok_or_else(missing)?;
        let images: Vec<usize> = positions.iter().map(|&position| self.images[position]).collect();
        let mut stages: Vec<Vec<Tensor>> = Vec::new();
        for x in batches::judged(context, &images, EVALUATION_BATCH, teacher.side) {
            let parts = teacher.stages(&x?)?;
            stages.resize_with(parts.len(), Vec::new);
            stages.iter_mut().zip(parts).for_each(|(stage, part)| stage.push(part));
        }
        let rounded =
            |parts: Vec<Tensor>| Tensor::cat(&parts, 0).to_kind(Kind::Half).to_kind(Kind::Float);
        let stages: Vec<Tensor> = stages.into_iter().map(rounded).collect();
        let kept = stages.iter().map(Tensor::shallow_clone).collect();
        self.last.replace(Some((positions.to_vec(), kept)));
        Ok(stages)
    }
}

/// Sums over images and pixels, per channel.
#[derive(Default)]
struct Moments {
    count: f64,
    sums: Option<[Tensor; 2]>,
}

impl Moments {
    fn add(&mut self, values: &Tensor) {
        let values = values.to_kind(Kind::Double);
        let dims = [0i64, 2, 3];
        let sums = [&values, &values.square()]
            .map(|values| values.sum_dim_intlist(dims.as_slice(), false, Kind::Double));
        self.count += (values.numel() as i64 / values.size()[1].max(1)) as f64;
        self.sums = Some(match self.sums.take() {
            Some(old) => [&old[0] + &sums[0], &old[1] + &sums[1]],
            None => sums,
        });
    }

    fn variance(&self) -> Tensor {
        let Some([sum, squares]) = &self.sums else { return Tensor::from_slice::<f32>(&[]) };
        let centred = squares - sum.square() / self.count;
        (centred / (self.count - 1.0).max(1.0)).clamp_min(0.0).to_kind(Kind::Float)
    }
}

/// What is written of the input of a choice stage, or of the output of the last one.
struct End {
    shape: Shape,
    writer: Option<RowsWriter>,
    moments: Moments,
}

/// Computes all features into a folder; keeps no more than the job's bytes of them.
pub fn compute(
    context: &Context,
    job: &FeaturesJob,
    output: &Path,
    monitor: &dyn Monitor,
) -> Result<(), TrainError> {
    fs::create_dir_all(output).map_err(|error| TrainError::file(output, error))?;
    let mut images = batches::fixed_sample(context, "distil", job.train_images);
    let train_images = images.len();
    images.extend(context.images.held_out.iter().take(job.judge_images));
    let resolutions = &context.hyperspace.table_resolutions;
    let (mut done, total) = (0, images.len() * resolutions.len());
    let mut left = job.cache_bytes;
    for &resolution in resolutions {
        let teacher = OpenTeacher::new(context, &job.teacher, resolution)?;
        let mut ends: Vec<End> = Vec::new();
        let mut seen = 0;
        for x in batches::judged(context, &images, EVALUATION_BATCH, resolution) {
            let stages = teacher.stages(&x?)?;
            if ends.is_empty() {
                let base = |stage: usize| rows_base(output, resolution, stage);
                ends = opened(&stages, images.len(), &mut left, base);
            }
            let count = stages.first().map_or(0, |stage| stage.size()[0] as usize);
            let trained_on = train_images.saturating_sub(seen).min(count) as i64;
            for (end, stage) in ends.iter_mut().zip(&stages) {
                if trained_on > 0 {
                    end.moments.add(&stage.narrow(0, 0, trained_on));
                }
                if let Some(writer) = &mut end.writer {
                    writer.append(stage)?;
                }
            }
            seen += count;
            done += count;
            monitor.progress(done, total, "features");
            if monitor.cancelled() {
                return Err(TrainError::Cancelled);
            }
        }
        write_index(&index_file(output, resolution), ends, &images, train_images)?;
    }
    Ok(())
}

/// What is written of each end; as many as fit are kept, the first ones first.
fn opened(
    stages: &[Tensor],
    images: usize,
    left: &mut u64,
    base: impl Fn(usize) -> PathBuf,
) -> Vec<End> {
    let end = |(index, stage): (usize, &Tensor)| {
        let size: Vec<usize> = stage.size().into_iter().map(|size| size as usize).collect();
        let shape = Shape::new(size[1], size[2], size[3]);
        let bytes = rows::size(shape, images);
        let fits = bytes <= *left;
        if fits {
            *left -= bytes;
        }
        let writer = fits.then(|| RowsWriter::new(base(index), shape));
        End { shape, writer, moments: Moments::default() }
    };
    stages.iter().enumerate().map(end).collect()
}

fn write_index(
    path: &Path,
    ends: Vec<End>,
    images: &[usize],
    train_images: usize,
) -> Result<(), TrainError> {
    let positions: Vec<i64> = images.iter().map(|&image| image as i64).collect();
    let mut tensors = vec![
        ("images".to_owned(), Tensor::from_slice(&positions)),
        ("train_images".to_owned(), Tensor::from_slice(&[train_images as i64])),
    ];
    for (index, End { shape, writer, moments }) in ends.into_iter().enumerate() {
        let size = [shape.channels, shape.height, shape.width].map(|size| size as i64);
        let kept = i64::from(writer.is_some());
        writer.map_or(Ok(()), RowsWriter::finish)?;
        tensors.push((format!("shape{index}"), Tensor::from_slice(&size)));
        tensors.push((format!("variance{index}"), params::in_file(&moments.variance())));
        tensors.push((format!("kept{index}"), Tensor::from_slice(&[kept])));
    }
    params::save(path, &tensors)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Features as [`compute`] writes them: what a choice stage reads and gives.
    pub fn write(folder: &Path, resolution: usize, stages: &[Tensor], train_images: usize) {
        let images: Vec<usize> = (0..stages[0].size()[0] as usize).collect();
        let base = |stage: usize| rows_base(folder, resolution, stage);
        let mut ends = opened(stages, images.len(), &mut u64::MAX.clone(), base);
        for (end, stage) in ends.iter_mut().zip(stages) {
            end.moments.add(&stage.narrow(0, 0, train_images as i64));
            end.writer.as_mut().unwrap().append(stage).unwrap();
        }
        write_index(&index_file(folder, resolution), ends, &images, train_images).unwrap();
    }

    #[test]
    fn moments_give_the_variance_of_each_channel() {
        tch::manual_seed(3);
        let values = Tensor::randn([10, 3, 4, 4], (Kind::Float, tch::Device::Cpu));
        let mut moments = Moments::default();
        moments.add(&values.narrow(0, 0, 4));
        moments.add(&values.narrow(0, 4, 6));
        let wanted = values.var_dim([0i64, 2, 3].as_slice(), true, false);
        assert!((moments.variance() - wanted).abs().max().double_value(&[]) < 1e-5);
    }
}
