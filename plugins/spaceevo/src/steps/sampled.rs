//! Random subnets of trained supernets, and their accuracy.

use std::collections::HashSet;

use spacewright_core::{
    random,
    space::{ElasticStage, Subnet},
    study::{StepContext, StepError, Task},
    train::{EvaluateJob, TrainContext, Trainer},
};

use super::{rivals::Contender, train};
use crate::accuracy::Accuracies;

/// Draws for each subnet that is wanted: a stage with few subnets is drawn several times.
const TRIES: usize = 100;

/// `count` different subnets drawn uniformly, or as many as were found.
pub fn draw(
    stages: &[ElasticStage],
    resolutions: &[usize],
    count: usize,
    seed: u64,
    purpose: &[&str],
) -> Vec<Subnet> {
    let mut rng = random::generator(seed, purpose);
    let mut seen = HashSet::new();
    (0..TRIES * count)
        .map(|_| Subnet::random(stages, resolutions, &mut rng))
        .filter(|subnet| seen.insert(subnet.to_string()))
        .take(count)
        .collect()
}

/// Judges subnets of trained supernets.
pub struct SubnetJudge<'a> {
    /// The step that judges.
    pub context: &'a dyn StepContext,
    /// Opens supernets.
    pub trainer: &'a dyn Trainer,
    /// Images.
    pub train: &'a TrainContext,
    /// Training images for recalibration of batch normalization.
    pub calibration_images: usize,
    /// Held-out images that accuracy is judged on.
    pub judge_images: usize,
}

impl SubnetJudge<'_> {
    /// How subnets of a contender are looked at, in INT8.
    pub fn job(&self, contender: &Contender) -> Result<EvaluateJob, StepError> {
        Ok(EvaluateJob {
            stages: contender.space.elastic_stages(&self.context.study().hyperspace),
            weights: self.context.file(&contender.supernet)?.join(train::INT8),
            quantized: true,
            calibration_images: self.calibration_images,
            judge_images: self.judge_images,
        })
    }

    /// The task that judges subnets on held-out images: a share for each that is classified
    /// correctly.
    pub fn task<'t>(
        &'t self,
        name: String,
        contender: &Contender,
        subnets: &'t [Subnet],
    ) -> Result<Task<'t, Vec<f64>>, StepError> {
        let job = self.job(contender)?;
        Ok(Task::new(name, move |files, monitor| {
            let threads = self.context.study().threads;
            let mut accuracies =
                Accuracies::open(&files.scratch, self.trainer, self.train, &job, threads)?;
            accuracies.of(subnets, subnets.len(), monitor)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hyperspaces;

    #[test]
    fn subnets_are_different_and_the_same_for_a_seed() {
        let hyperspace = hyperspaces::built_in("mini").unwrap();
        let stages = hyperspace.uniform_spaces()[0].elastic_stages(&hyperspace);
        let drawn = |seed| draw(&stages, &hyperspace.resolutions, 60, seed, &["test"]);
        let encodings: HashSet<String> = drawn(1).iter().map(Subnet::to_string).collect();
        assert_eq!(encodings.len(), 60);
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
    }

    #[test]
    fn a_space_gives_no_more_subnets_than_it_has() {
        let hyperspace = hyperspaces::built_in("mini").unwrap();
        let mut stages = hyperspace.uniform_spaces()[0].elastic_stages(&hyperspace);
        stages.truncate(2);
        stages[1].depths = [1, 1];
        // Two widths, two kernels.
        assert_eq!(draw(&stages, &[32], 10, 0, &["test"]).len(), 4);
    }
}
