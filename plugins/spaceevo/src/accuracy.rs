//! Accuracies of subnets, computed in parallel and kept across kills.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    thread,
};

use spacewright_core::{
    sealed::{seal_line, unseal_line},
    space::Subnet,
    study::{FileError, StepError},
    train::{EvaluateJob, Monitor, TrainContext, TrainError, Trainer},
};

/// INT8 accuracies on held-out images, by encoding; each subnet is judged once.
pub struct Accuracies<'a> {
    known: HashMap<String, f64>,
    log: File,
    path: PathBuf,
    trainer: &'a dyn Trainer,
    train: &'a TrainContext,
    job: &'a EvaluateJob,
    workers: usize,
}

impl<'a> Accuracies<'a> {
    /// Starts with what an interrupted search has left in `scratch`.
    pub fn open(
        scratch: &Path,
        trainer: &'a dyn Trainer,
        train: &'a TrainContext,
        job: &'a EvaluateJob,
        workers: usize,
    ) -> Result<Self, StepError> {
        let path = scratch.join("accuracies.jsonl");
        let kept = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            kept => kept.map_err(FileError::at(&path))?,
        };
        // The last line of a killed search may be torn, and any of them damaged since.
        let known: HashMap<String, f64> = String::from_utf8_lossy(&kept)
            .split_inclusive('\n')
            .filter_map(|line| serde_json::from_str::<(String, f64)>(unseal_line(line)?).ok())
            .collect();
        let mut whole: Vec<_> = known.iter().collect();
        whole.sort_by(|a, b| a.0.cmp(b.0));
        let text: String =
            whole.iter().map(|entry| seal_line(&serde_json::json!(entry).to_string())).collect();
        fs::write(&path, text).map_err(FileError::at(&path))?;
        let log = OpenOptions::new().append(true).open(&path).map_err(FileError::at(&path))?;
        Ok(Self { known, log, path, trainer, train, job, workers: workers.max(1) })
    }

    /// Accuracies of subnets, in order; `total` is about how many will be asked for in all.
    pub fn of(
        &mut self,
        subnets: &[Subnet],
        total: usize,
        monitor: &dyn Monitor,
    ) -> Result<Vec<f64>, StepError> {
        let mut new: Vec<(String, &Subnet)> = Vec::new();
        for subnet in subnets {
            let encoding = subnet.to_string();
            if !self.known.contains_key(&encoding)
                && !new.iter().any(|(known, _)| *known == encoding)
            {
                new.push((encoding, subnet));
            }
        }
        for batch in new.chunks(4 * self.workers) {
            if monitor.cancelled() {
                return Err(StepError::Cancelled);
            }
            for (encoding, accuracy) in self.compute(batch)? {
                let line = seal_line(&serde_json::json!([encoding, accuracy]).to_string());
                self.log.write_all(line.as_bytes()).map_err(FileError::at(&self.path))?;
                self.known.insert(encoding, accuracy);
            }
            let best = self.known.values().copied().fold(0.0, f64::max);
            let done = self.known.len();
            monitor.progress(done, total.max(done), &format!("best {:.2} %", 100.0 * best));
        }
        Ok(subnets.iter().map(|subnet| self.known[&subnet.to_string()]).collect())
    }

    fn compute(&self, batch: &[(String, &Subnet)]) -> Result<Vec<(String, f64)>, TrainError> {
        let share = batch.len().div_ceil(self.workers).max(1);
        let work = |part: &[(String, &Subnet)]| {
            let mut evaluator = self.trainer.evaluator(self.train, self.job)?;
            let judge = |(encoding, subnet): &(String, &Subnet)| {
                Ok((encoding.clone(), evaluator.recalibrate(subnet)?.held_out_accuracy()?))
            };
            part.iter().map(judge).collect::<Result<Vec<_>, TrainError>>()
        };
        thread::scope(|scope| {
            let threads: Vec<_> =
                batch.chunks(share).map(|part| scope.spawn(move || work(part))).collect();
            let mut results = Vec::new();
            for thread in threads {
                let panicked = |_| TrainError::Computation {
                    doing: "judging a subnet",
                    source: "it panicked".into(),
                };
                results.extend(thread.join().map_err(panicked)??);
            }
            Ok(results)
        })
    }
}
