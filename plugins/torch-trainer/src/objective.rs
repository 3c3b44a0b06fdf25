//! What a network is trained for: labels, and the teacher's opinion of the same images.

use std::{
    cell::RefCell,
    collections::{BTreeMap, btree_map::Entry},
    fs,
    path::Path,
};

use spacewright_core::{
    data::{Draw, Transform},
    train::{Guidance, Monitor, TrainError},
};
use tch::{Device, Tensor};

use crate::{
    batches::{Batch, Views},
    checkpoint,
    classify::EVALUATION_BATCH,
    context::Context,
    loader::{Ahead, BATCHES_AHEAD, Pending},
    losses,
    teacher::OpenTeacher,
};

/// A loss against labels and, where there is one, a teacher.
pub struct Objective<'a> {
    teacher: Option<Opinion<'a>>,
    /// Share of the label that is spread over all classes.
    label_smoothing: f64,
    /// Transforms that the training names.
    augment: &'a [Transform],
    context: &'a Context,
}

/// Where what is kept of a teacher goes, and who hears of the work.
#[derive(Clone, Copy)]
pub struct Keeping<'a> {
    /// A folder that the training keeps until it has ended.
    pub scratch: &'a Path,
    /// Hears of it, and may stop it.
    pub monitor: &'a dyn Monitor,
}

impl<'a> Objective<'a> {
    /// Reads the teacher where it counts.
    pub fn new(
        context: &'a Context,
        guidance: Option<&Guidance>,
        label_smoothing: f64,
        augment: &'a [Transform],
        keeping: Keeping<'a>,
    ) -> Result<Self, TrainError> {
        let counts = |guidance: &&Guidance| guidance.teacher_share > 0.0;
        let open = |guidance: &Guidance| {
            let teacher = &guidance.teacher;
            let network = OpenTeacher::new(context, teacher, teacher.side())?;
            let kept = (guidance.views > 0).then(|| KeptLogits {
                context,
                views: Views::new(context, augment, guidance.views, ""),
                keeping,
                row: rows(context),
                logits: RefCell::default(),
            });
            Ok::<_, TrainError>(Opinion { network, share: guidance.teacher_share, kept })
        };
        let teacher = guidance.filter(counts).map(open).transpose()?;
        Ok(Self { teacher, label_smoothing, augment, context })
    }

    /// How a phase of this name sees its images.
    pub fn views(&self, phase: &str) -> Views {
        let kept = self.teacher.as_ref().and_then(|teacher| teacher.kept.as_ref());
        let count = kept.map_or(0, |kept| kept.views.kept);
        Views::new(self.context, self.augment, count, phase)
    }

    /// The side, in pixels, at which batches are needed for the teacher.
    pub fn side(&self) -> Option<usize> {
        let teacher = self.teacher.as_ref()?;
        teacher.kept.is_none().then_some(teacher.network.side)
    }

    /// What a batch's logits are compared with.
    pub fn targets(&self, batch: &Batch) -> Result<Targets, TrainError> {
        let opinion =
            |teacher: &Opinion<'_>| Ok::<_, TrainError>((teacher.of(batch)?, teacher.share));
        Ok(Targets {
            labels: batch.labels.shallow_clone(),
            label_smoothing: self.label_smoothing,
            teacher: self.teacher.as_ref().map(opinion).transpose()?,
        })
    }
}

/// What the logits of a batch are compared with.
pub struct Targets {
    labels: Tensor,
    label_smoothing: f64,
    /// The teacher's logits, and their share in the loss.
    teacher: Option<(Tensor, f64)>,
}

impl Targets {
    /// The same for some of the images.
    pub fn part(&self, from: i64, count: i64) -> Self {
        let part = |tensor: &Tensor| tensor.narrow(0, from, count);
        Self {
            labels: part(&self.labels),
            label_smoothing: self.label_smoothing,
            teacher: self.teacher.as_ref().map(|(logits, share)| (part(logits), *share)),
        }
    }

    /// The loss of logits, `images × classes`.
    pub fn loss(&self, logits: &Tensor) -> Tensor {
        let hard = losses::cross_entropy(logits, &self.labels, self.label_smoothing);
        match &self.teacher {
            Some((teacher, share)) => {
                hard * (1.0 - share) + losses::distillation(logits, teacher) * *share
            }
            None => hard,
        }
    }
}

/// A teacher that is asked about training images.
struct Opinion<'a> {
    network: OpenTeacher,
    /// Its share in the loss.
    share: f64,
    /// `None`: it computes in each step.
    kept: Option<KeptLogits<'a>>,
}

impl Opinion<'_> {
    fn of(&self, batch: &Batch) -> Result<Tensor, TrainError> {
        match &self.kept {
            Some(kept) => kept.of(batch, &self.network),
            None => self.network.logits(batch.inputs(self.network.side)?),
        }
    }
}

/// A teacher's logits of all training images in some views, computed view by view when first needed.
struct KeptLogits<'a> {
    context: &'a Context,
    views: Views,
    keeping: Keeping<'a>,
    /// By position of an image, its row.
    row: Vec<i64>,
    /// Those of the views of the last batch, `training images × classes`; the others lie in the folder.
    logits: RefCell<BTreeMap<usize, Tensor>>,
}

/// The row of each image that is trained on; 0 for others.
fn rows(context: &Context) -> Vec<i64> {
    let mut rows = vec![0; context.images.all.labels().len()];
    context.images.train.iter().enumerate().for_each(|(row, &image)| rows[image] = row as i64);
    rows
}

impl KeptLogits<'_> {
    fn of(&self, batch: &Batch, teacher: &OpenTeacher) -> Result<Tensor, TrainError> {
        let mut logits = self.logits.borrow_mut();
        let views: Vec<usize> =
            batch.sampled.iter().map(|at| self.views.of_epoch(at.epoch)).collect();
        logits.retain(|view, _| views.contains(view));
        let mut parts = Vec::new();
        for (at, view) in batch.sampled.iter().zip(views) {
            let of_view = match logits.entry(view) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(self.view(view, teacher)?),
            };
            parts.push(of_view.get(self.row[at.image]));
        }
        Ok(Tensor::stack(&parts, 0).to_device(self.context.device))
    }

    fn view(&self, view: usize, teacher: &OpenTeacher) -> Result<Tensor, TrainError> {
        let Keeping { scratch, monitor } = self.keeping;
        let folder = self.context.scratch(scratch);
        fs::create_dir_all(&folder).map_err(|error| TrainError::file(&folder, error))?;
        let path = folder.join(format!("teacher-view-{view}.safetensors"));
        if let Some(mut file) = checkpoint::load(&path)? {
            return file.take("logits");
        }
        let Context { device, job, .. } = self.context;
        let (images, device) = (&job.images, *device);
        let parts: Vec<&[usize]> = images.train.chunks(EVALUATION_BATCH).collect();
        let mut ahead = Ahead::new(parts.len(), BATCHES_AHEAD);
        let mut logits = Vec::new();
        for index in 0..parts.len() {
            monitor.progress(index, parts.len(), &format!("the teacher's opinion of view {view}"));
            if monitor.cancelled() {
                return Err(TrainError::Cancelled);
            }
            let load = |index: usize| {
                let draw = |&image: &usize| self.views.draw(self.context, image, view);
                let draws: Vec<Draw> = parts[index].iter().map(draw).collect();
                let transforms = &self.views.transforms;
                Ok::<_, TrainError>(Pending::new(
                    &images.all,
                    &draws,
                    transforms,
                    teacher.side,
                    device,
                ))
            };
            let inputs = ahead.take(index, load)?.wait()?;
            logits.push(teacher.logits(&inputs)?.to_device(Device::Cpu));
        }
        let logits = Tensor::cat(&logits, 0);
        checkpoint::save(&path, &[("logits", logits.shallow_clone())])?;
        Ok(logits)
    }
}
