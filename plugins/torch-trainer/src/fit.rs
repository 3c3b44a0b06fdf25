//! The training loop: seeded, resumable bit for bit, stopped at safe points.

use std::{collections::BTreeMap, path::Path};

use rand_pcg::Pcg64Mcg;
use spacewright_core::{
    quant::SMALLEST_SCALE,
    random,
    train::{Monitor, Phase, TrainError},
};
use tch::Tensor;

use crate::{
    layout::Layout,
    optim::{Optimizer, Rule, rate},
    params::{self, Params, SCALE, WEIGHT_SCALE},
};

/// One phase of training.
pub struct Fit<'a> {
    /// What is trained, for messages and seeds.
    pub what: &'a str,
    /// Steps, batch and rates.
    pub phase: &'a Phase,
    /// Update rule.
    pub rule: Rule,
    /// Factor on the learning rate: below 1 after a divergence.
    pub slower: f64,
    /// Study's seed.
    pub seed: u64,
    /// Where the checkpoint of this phase is.
    pub checkpoint: &'a Path,
    /// Whether scales and offsets are trained.
    pub learns_quantizers: bool,
    /// Ranges of scales.
    pub layout: &'a Layout,
    /// Steps done by earlier phases, and steps of all phases: for progress.
    pub offset: usize,
    /// See `offset`.
    pub total: usize,
}

/// The share of the old value in the running mean of the loss.
const SMOOTHING: f64 = 0.95;

impl Fit<'_> {
    /// Trains: `step` computes the gradients of one step with a generator of its own, and returns
    /// the loss. The smoothed loss at the end.
    pub fn run(
        &self,
        params: &mut Params,
        monitor: &dyn Monitor,
        mut step: impl FnMut(&Params, usize, &mut Pcg64Mcg) -> Result<f64, TrainError>,
    ) -> Result<f64, TrainError> {
        let mut optimizer =
            Optimizer::new(self.rule, self.phase.weight_decay, self.learns_quantizers);
        let (mut start, mut mean) = (0, f64::NAN);
        if self.checkpoint.exists() {
            (start, mean) = self.restore(params, &mut optimizer)?;
        }
        for index in start..self.phase.steps {
            if monitor.cancelled() {
                self.store(params, &optimizer, index, mean)?;
                return Err(TrainError::Cancelled);
            }
            let number = index.to_string();
            tch::manual_seed(random::seed(self.seed, &[self.what, "torch", &number]) as i64);
            let mut rng = random::generator(self.seed, &[self.what, "step", &number]);
            let loss = step(params, index, &mut rng)?;
            if !loss.is_finite() {
                let what = self.what.to_owned();
                return Err(TrainError::Diverged { what, step: self.offset + index });
            }
            mean = if mean.is_nan() { loss } else { SMOOTHING * mean + (1.0 - SMOOTHING) * loss };
            let rate = rate(self.phase.learning_rate, self.phase.warmup, index, self.phase.steps);
            optimizer.step(params, rate * self.slower, index);
            self.bound_scales(params);
            monitor.progress(self.offset + index + 1, self.total, &format!("loss {mean:.4}"));
            if (index + 1) % self.phase.checkpoint_steps.max(1) == 0 && index + 1 < self.phase.steps
            {
                self.store(params, &optimizer, index + 1, mean)?;
            }
        }
        Ok(mean)
    }

    fn bound_scales(&self, params: &mut Params) {
        let smallest = f64::from(SMALLEST_SCALE);
        tch::no_grad(|| {
            for (name, param) in &mut params.0 {
                if name.ends_with(WEIGHT_SCALE) {
                    let _ = param.clamp_min_(smallest);
                } else if let Some(value) =
                    name.strip_suffix(SCALE).and_then(|n| n.strip_suffix('.'))
                {
                    let range = self.layout.activations.get(value);
                    let largest = range
                        .and_then(|range| range.max_scale())
                        .map_or(f64::from(f32::MAX), f64::from);
                    let _ = param.clamp_(smallest, largest);
                }
            }
        });
    }

    fn store(
        &self,
        params: &Params,
        optimizer: &Optimizer,
        step: usize,
        mean: f64,
    ) -> Result<(), TrainError> {
        let mut tensors: Vec<(String, Tensor)> = Vec::new();
        for (name, tensor) in &params.0 {
            tensors.push((format!("p.{name}"), tensor.detach().contiguous()));
        }
        for (name, tensor) in &optimizer.buffers {
            tensors.push((name.clone(), tensor.contiguous()));
        }
        tensors.push(("step".into(), Tensor::from_slice(&[step as i64])));
        tensors.push(("loss".into(), Tensor::from_slice(&[mean])));
        params::save(self.checkpoint, &tensors)
    }

    fn restore(
        &self,
        params: &mut Params,
        optimizer: &mut Optimizer,
    ) -> Result<(usize, f64), TrainError> {
        let mut tensors: BTreeMap<String, Tensor> =
            params::load(self.checkpoint)?.into_iter().collect();
        let mut take = |name: &str| {
            tensors.remove(name).ok_or_else(|| TrainError::File {
                path: self.checkpoint.to_owned(),
                reason: format!("the checkpoint holds no `{name}`"),
            })
        };
        let step = take("step")?.int64_value(&[0]) as usize;
        let mean = take("loss")?.double_value(&[0]);
        for (name, tensor) in tensors {
            match name.strip_prefix("p.") {
                Some(name) => params.insert(name.to_owned(), tensor),
                None => {
                    optimizer.buffers.insert(name, tensor);
                }
            }
        }
        Ok((step, mean))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rand::Rng;

    use super::*;

    struct StopAt(AtomicUsize);

    impl Monitor for StopAt {
        fn progress(&self, _: usize, _: usize, _: &str) {}
        fn cancelled(&self) -> bool {
            self.0.fetch_sub(1, Ordering::Relaxed) == 0
        }
    }

    /// Two parameters, the second of which is used in every fifth step only.
    fn train(rule: Rule, folder: &Path, stop: usize) -> Result<Vec<f32>, TrainError> {
        let mut params = Params::default();
        params.insert("a.weight".into(), Tensor::from_slice(&[3.0f32, -4.0]));
        params.insert("b.weight".into(), Tensor::from_slice(&[1.0f32, 2.0]));
        let phase = Phase {
            steps: 40,
            batch: 1,
            learning_rate: 0.05,
            weight_decay: 1e-3,
            warmup: 0.1,
            checkpoint_steps: 7,
        };
        let fit = Fit {
            what: "test",
            phase: &phase,
            rule,
            slower: 1.0,
            seed: 3,
            checkpoint: &folder.join("c.safetensors"),
            learns_quantizers: true,
            layout: &Layout::default(),
            offset: 0,
            total: 40,
        };
        fit.run(&mut params, &StopAt(AtomicUsize::new(stop)), |params, step, rng| {
            let noise = Tensor::from_slice(&[rng.random::<f32>(), rng.random()]);
            let distance = |name: &str| (&params.0[name] - &noise).square().sum(tch::Kind::Float);
            let mut loss = distance("a.weight");
            if step % 5 == 0 {
                loss += distance("b.weight");
            }
            loss.backward();
            Ok(loss.double_value(&[]))
        })?;
        let values = |name: &str| Vec::<f32>::try_from(&params.0[name]).unwrap();
        Ok([values("a.weight"), values("b.weight")].concat())
    }

    #[test]
    fn an_interrupted_run_ends_as_an_uninterrupted_one() {
        for rule in [Rule::Sgd, Rule::Adam] {
            let whole = train(rule, tempfile::tempdir().unwrap().path(), usize::MAX).unwrap();
            for stop in [3, 7, 25] {
                let folder = tempfile::tempdir().unwrap();
                assert!(matches!(train(rule, folder.path(), stop), Err(TrainError::Cancelled)));
                assert_eq!(train(rule, folder.path(), usize::MAX).unwrap(), whole);
            }
        }
    }
}
