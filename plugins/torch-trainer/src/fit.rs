//! The training loop: seeded, resumable bit for bit, stopped at safe points.

use std::{collections::BTreeMap, path::Path};

use rand_pcg::Pcg64Mcg;
use spacewright_core::{
    random,
    train::{CurvePoint, Monitor, Phase, TrainError},
};
use tch::Tensor;

use crate::{
    checkpoint,
    curve::Curve,
    group::Group,
    layout::Layout,
    optim::{Optimizer, Rule, rate},
    params::{NamedTensors, Params, in_file, placed},
    scale_bounds::ScaleBounds,
    stopwatch::{Part, Stopwatch},
};

/// One phase of training.
pub struct Fit<'a> {
    /// What is trained, for messages and seeds.
    pub what: &'a str,
    /// Name of the phase in training curves.
    pub name: &'a str,
    /// Steps, batch and rates.
    pub phase: &'a Phase,
    /// Update rule.
    pub rule: Rule,
    /// Factor on the learning rate: below 1 after a divergence.
    pub slower: f64,
    /// Rates of nodes' parameters as shares of the phase's; 1 where a node has none.
    pub rates: BTreeMap<String, f64>,
    /// Study's seed.
    pub seed: u64,
    /// The processes that train together, if there are several.
    pub group: Option<&'a Group>,
    /// Where the checkpoint of this phase is.
    pub checkpoint: &'a Path,
    /// Whether scales and offsets are trained.
    pub learns_quantizers: bool,
    /// Ranges of quantized values, which limit their scales.
    pub layout: &'a Layout,
    /// Steps of the phases before, for progress and messages.
    pub offset: usize,
    /// Units of work of the whole job, which progress counts up to.
    pub total: usize,
    /// What the time goes to.
    pub watch: &'a Stopwatch,
}

/// The end of a phase of training.
pub struct Fitted {
    /// Running mean of the loss.
    pub loss: f64,
    /// The last point of the training curve.
    last: CurvePoint,
}

impl Fitted {
    /// Tells the last point of the curve again, with what judging the network gave.
    pub fn judged(&self, monitor: &dyn Monitor, held_out_accuracy: f64) {
        let held_out_accuracy = Some(held_out_accuracy);
        monitor.curve(&CurvePoint { held_out_accuracy, ..self.last.clone() });
    }
}

/// The share of the old value in the running mean of the loss: it looks back some twenty steps,
/// as a single batch says little.
const SMOOTHING: f64 = 0.95;

/// Where a phase stands, besides parameters and optimizer.
struct Progress {
    /// Steps done.
    steps: usize,
    /// Running mean of the loss; not a number before the first step.
    mean_loss: f64,
    /// Sum of the losses since the last point of the training curve.
    loss_sum: f64,
    /// Loss of that point; not a number where it is not known.
    last_loss: f64,
}

impl Progress {
    /// Before the first step.
    fn start() -> Self {
        Self { steps: 0, mean_loss: f64::NAN, loss_sum: 0.0, last_loss: f64::NAN }
    }

    fn add(&mut self, loss: f64) {
        self.steps += 1;
        self.loss_sum += loss;
        self.mean_loss = if self.mean_loss.is_nan() {
            loss
        } else {
            SMOOTHING * self.mean_loss + (1.0 - SMOOTHING) * loss
        };
    }
}

impl Fit<'_> {
    /// Trains: `step` computes the gradients of one step with a generator of its own, and returns
    /// the loss.
    pub fn run(
        &self,
        params: &mut Params,
        monitor: &dyn Monitor,
        mut step: impl FnMut(&Params, usize, &mut Pcg64Mcg) -> Result<f64, TrainError>,
    ) -> Result<Fitted, TrainError> {
        let Phase { steps, learning_rate, warmup, .. } = *self.phase;
        let curve = Curve::new(self.name, steps);
        let mut optimizer =
            Optimizer::new(self.rule, self.phase.weight_decay, self.learns_quantizers)
                .with_rates(self.rates.clone());
        let bounds = ScaleBounds::around(params, self.layout);
        let mut progress = Progress::start();
        if let Some(file) = checkpoint::load(self.checkpoint)? {
            progress = restore(file, params, &mut optimizer)?;
        }
        if let Some(group) = self.group {
            group.check_batch(self.phase.batch)?;
            group.start_equal(params, &optimizer, progress.steps)?;
        }
        let rate_of = |index| rate(learning_rate, warmup, index, steps) * self.slower;
        let mut cancelled = false;
        for index in progress.steps..steps {
            // All processes of a group stop after the same step.
            if cancelled || self.group.is_none() && monitor.cancelled() {
                return self.stop(params, &optimizer, &progress);
            }
            let number = index.to_string();
            tch::manual_seed(self.torch_seed(&number) as i64);
            let mut rng = random::generator(self.seed, &[self.what, "step", &number]);
            let mut loss = match step(params, index, &mut rng) {
                // Parameters are still those of the step before.
                Err(TrainError::Cancelled) => return self.stop(params, &optimizer, &progress),
                outcome => outcome?,
            };
            if let Some(group) = self.group {
                let asked = f64::from(u8::from(monitor.cancelled()));
                let batch = self.phase.batch;
                let [mean, stops] = self
                    .watch
                    .time(Part::Backward, || group.add_up(params, [loss, asked], batch))?;
                (loss, cancelled) = (mean, stops > 0.0);
            }
            if !loss.is_finite() {
                let what = self.what.to_owned();
                return Err(TrainError::Diverged { what, step: self.offset + index });
            }
            let rate = rate_of(index);
            self.watch.time(Part::Optimizer, || {
                optimizer.step(params, rate, index)?;
                bounds.keep(params);
                Ok::<_, TrainError>(())
            })?;
            progress.add(loss);
            let done = progress.steps;
            let note = format!("loss {:.4}", progress.mean_loss);
            monitor.progress(self.offset + done, self.total, &note);
            if let Some(point) = curve.point(done, progress.loss_sum, rate) {
                monitor.curve(&point);
                progress.loss_sum = 0.0;
                progress.last_loss = point.loss.unwrap_or(f64::NAN);
            }
            // What follows a phase takes long, too.
            if done.is_multiple_of(self.phase.checkpoint_steps.max(1)) || done == steps {
                self.store(params, &optimizer, &progress)?;
            }
        }
        let last = CurvePoint {
            step: steps,
            loss: (!progress.last_loss.is_nan()).then_some(progress.last_loss),
            learning_rate: rate_of(steps.saturating_sub(1)),
            ..curve.start()
        };
        Ok(Fitted { loss: progress.mean_loss, last })
    }

    /// The seed of the library's generator, which draws what is dropped out of other images in each process.
    fn torch_seed(&self, step: &str) -> u64 {
        match self.group.map(Group::rank) {
            None | Some(0) => random::seed(self.seed, &[self.what, "torch", step]),
            Some(rank) => random::seed(self.seed, &[self.what, "torch", step, &rank.to_string()]),
        }
    }

    /// Stops on request, so that the next run goes on from here.
    fn stop(
        &self,
        params: &Params,
        optimizer: &Optimizer,
        progress: &Progress,
    ) -> Result<Fitted, TrainError> {
        self.store(params, optimizer, progress)?;
        Err(TrainError::Cancelled)
    }

    fn store(
        &self,
        params: &Params,
        optimizer: &Optimizer,
        progress: &Progress,
    ) -> Result<(), TrainError> {
        if self.group.is_some_and(|group| group.rank() > 0) {
            return Ok(());
        }
        let mut tensors: Vec<(String, Tensor)> = Vec::new();
        for (name, tensor) in &params.0 {
            tensors.push((format!("p.{name}"), in_file(tensor)));
        }
        for (name, tensor) in &optimizer.buffers {
            tensors.push((name.clone(), in_file(tensor)));
        }
        tensors.push(("step".into(), Tensor::from_slice(&[progress.steps as i64])));
        tensors.push(("loss".into(), Tensor::from_slice(&[progress.mean_loss])));
        tensors.push(("loss_sum".into(), Tensor::from_slice(&[progress.loss_sum])));
        tensors.push(("last_loss".into(), Tensor::from_slice(&[progress.last_loss])));
        checkpoint::save(self.checkpoint, &tensors)
    }
}

/// Takes over what [`Fit::store`] has kept.
fn restore(
    mut file: NamedTensors,
    params: &mut Params,
    optimizer: &mut Optimizer,
) -> Result<Progress, TrainError> {
    let progress = Progress {
        steps: file.take("step")?.int64_value(&[0]) as usize,
        mean_loss: file.take("loss")?.double_value(&[0]),
        loss_sum: file.take("loss_sum")?.double_value(&[0]),
        // Files of earlier versions lack it.
        last_loss: file.take("last_loss").map_or(f64::NAN, |loss| loss.double_value(&[0])),
    };
    for (name, tensor) in file.tensors {
        match name.strip_prefix("p.") {
            Some(name) => params.insert(name.to_owned(), tensor),
            None => {
                optimizer.buffers.insert(name, placed(&tensor, params.device()));
            }
        }
    }
    Ok(progress)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Mutex};

    use rand::Rng;

    use super::*;

    /// Stops after some steps; keeps the points of the curve by step.
    struct Watch {
        steps: Mutex<usize>,
        points: Mutex<BTreeMap<usize, CurvePoint>>,
    }

    impl Watch {
        fn stop_at(&self, steps: usize) {
            *self.steps.lock().unwrap() = steps;
        }
    }

    impl Monitor for Watch {
        fn progress(&self, _: usize, _: usize, _: &str) {}
        fn curve(&self, point: &CurvePoint) {
            self.points.lock().unwrap().insert(point.step, point.clone());
        }
        fn cancelled(&self) -> bool {
            let mut steps = self.steps.lock().unwrap();
            *steps = steps.wrapping_sub(1);
            *steps == usize::MAX
        }
    }

    fn train(rule: Rule, folder: &Path, watch: &Watch) -> Result<Vec<f32>, TrainError> {
        train_until(STEPS, rule, folder, watch)
    }

    /// Two parameters, the second of which is used in every fifth step only; the step `stop` stops by itself.
    fn train_until(
        stop: usize,
        rule: Rule,
        folder: &Path,
        watch: &Watch,
    ) -> Result<Vec<f32>, TrainError> {
        let mut params = Params::default();
        params.insert("a.weight".into(), Tensor::from_slice(&[3.0f32, -4.0]));
        params.insert("b.weight".into(), Tensor::from_slice(&[1.0f32, 2.0]));
        let phase = Phase {
            steps: STEPS,
            batch: 1,
            learning_rate: 0.05,
            weight_decay: 1e-3,
            warmup: 0.1,
            checkpoint_steps: 40,
        };
        let fit = Fit {
            what: "test",
            name: "fp32",
            phase: &phase,
            rule,
            slower: 1.0,
            rates: BTreeMap::new(),
            seed: 3,
            group: None,
            checkpoint: &folder.join("c.safetensors"),
            learns_quantizers: true,
            layout: &Layout::default(),
            offset: 0,
            total: STEPS,
            watch: &Stopwatch::new(),
        };
        let fitted = fit.run(&mut params, watch, |params, step, rng| {
            let noise = Tensor::from_slice(&[rng.random::<f32>(), rng.random()]);
            let distance = |name: &str| (&params.0[name] - &noise).square().sum(tch::Kind::Float);
            let mut loss = distance("a.weight");
            if step % 5 == 0 {
                loss += distance("b.weight");
            }
            loss.backward();
            if step == stop { Err(TrainError::Cancelled) } else { Ok(loss.double_value(&[])) }
        })?;
        fitted.judged(watch, 0.5);
        let values = |name: &str| Vec::<f32>::try_from(&params.0[name]).unwrap();
        Ok([values("a.weight"), values("b.weight")].concat())
    }

    /// Enough for points at every third step.
    const STEPS: usize = 605;

    #[test]
    fn an_interrupted_run_ends_as_an_uninterrupted_one() {
        let watch = || Watch { steps: Mutex::new(usize::MAX - 1), points: Mutex::default() };
        for rule in [Rule::Sgd, Rule::Adam] {
            let whole = watch();
            let weights = train(rule, tempfile::tempdir().unwrap().path(), &whole).unwrap();
            let points = whole.points.into_inner().unwrap();
            assert_eq!(points.keys().take(3).collect::<Vec<_>>(), [&3, &6, &9]);
            assert!(points.contains_key(&STEPS));
            for stop in [7, 80, 604] {
                let (folder, parts) = (tempfile::tempdir().unwrap(), watch());
                parts.stop_at(stop);
                let stopped = train(rule, folder.path(), &parts);
                assert!(matches!(stopped, Err(TrainError::Cancelled)));
                parts.stop_at(usize::MAX - 1);
                assert_eq!(train(rule, folder.path(), &parts).unwrap(), weights);
                assert_eq!(parts.points.into_inner().unwrap(), points);
            }
        }
    }

    /// As where a teacher's opinion is computed in a step, and the user asks to stop.
    #[test]
    fn a_step_that_is_stopped_is_done_again() {
        let watch = || Watch { steps: Mutex::new(usize::MAX - 1), points: Mutex::default() };
        let whole = train(Rule::Adam, tempfile::tempdir().unwrap().path(), &watch()).unwrap();
        for stop in [0, 7] {
            let folder = tempfile::tempdir().unwrap();
            let stopped = train_until(stop, Rule::Adam, folder.path(), &watch());
            assert!(matches!(stopped, Err(TrainError::Cancelled)));
            let checkpoint = checkpoint::load(&folder.path().join("c.safetensors")).unwrap();
            let step = checkpoint.unwrap().take("step").unwrap();
            assert_eq!(step.int64_value(&[0]), stop as i64);
            assert_eq!(train(Rule::Adam, folder.path(), &watch()).unwrap(), whole);
        }
    }

    /// As after a kill in the phase that follows.
    #[test]
    fn a_phase_that_is_done_is_not_done_again() {
        let watch = || Watch { steps: Mutex::new(usize::MAX - 1), points: Mutex::default() };
        let folder = tempfile::tempdir().unwrap();
        let (first, again) = (watch(), watch());
        let weights = train(Rule::Adam, folder.path(), &first).unwrap();
        assert_eq!(train(Rule::Adam, folder.path(), &again).unwrap(), weights);
        let last = first.points.into_inner().unwrap().remove(&STEPS).unwrap();
        assert!(last.loss.is_some() && last.held_out_accuracy == Some(0.5));
        assert_eq!(again.points.into_inner().unwrap(), BTreeMap::from([(STEPS, last)]));
    }

    /// As after a kill: the work since the last checkpoint is done again.
    #[test]
    fn points_that_are_told_again_are_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let watch = Watch { steps: Mutex::new(9), points: Mutex::default() };
        let checkpoint = folder.path().join("c.safetensors");
        let stopped = train(Rule::Sgd, folder.path(), &watch);
        assert!(matches!(stopped, Err(TrainError::Cancelled)));
        let at_nine = std::fs::read(&checkpoint).unwrap();
        watch.stop_at(10);
        let _ = train(Rule::Sgd, folder.path(), &watch);
        let before = watch.points.lock().unwrap().clone();
        std::fs::write(&checkpoint, at_nine).unwrap();
        watch.stop_at(10);
        let _ = train(Rule::Sgd, folder.path(), &watch);
        assert_eq!(*watch.points.lock().unwrap(), before);
    }
}
