//! What a network is trained for: labels, and the teacher's opinion of the same images.

use spacewright_core::train::{Guidance, TrainError};
use tch::Tensor;

use crate::{batches::Batch, features::TeacherLogits, losses};

/// A loss against labels and, where there is one, a teacher.
pub struct Objective {
    /// The teacher's logits and their share in the loss.
    teacher: Option<(TeacherLogits, f64)>,
    /// Share of the label that is spread over all classes.
    label_smoothing: f64,
}

impl Objective {
    /// Reads the teacher's logits where they count.
    pub fn new(guidance: Option<&Guidance>, label_smoothing: f64) -> Result<Self, TrainError> {
        let load = |guidance: &Guidance| {
            Ok::<_, TrainError>((TeacherLogits::load(&guidance.features)?, guidance.teacher_share))
        };
        let counts = |guidance: &&Guidance| guidance.teacher_share > 0.0;
        let teacher = guidance.filter(counts).map(load).transpose()?;
        Ok(Self { teacher, label_smoothing })
    }

    /// The loss of a batch, from its logits, `images × classes`.
    pub fn loss(&self, logits: &Tensor, batch: &Batch) -> Tensor {
        let hard = losses::cross_entropy(logits, &batch.labels, self.label_smoothing);
        match &self.teacher {
            Some((teacher, share)) => {
                let soft = losses::distillation(logits, &teacher.of(batch));
                hard * (1.0 - share) + soft * *share
            }
            None => hard,
        }
    }
}
