//! Running the steps of a study.

use std::fs;

use serde::Serialize;
use spacewright_core::method::StepSpec;

use crate::{
    context::{Context, stopping},
    engine::Engine,
    error::{AtPath, EngineError, ErrorKind, Result},
    events::Event,
    lock::Lock,
    runs::keep_study,
    store::Store,
};

/// What to do with the steps that a step reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inputs {
    /// They must be current.
    Require,
    /// Those that are not current run first.
    Run,
}

/// How a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Finished, and nothing that it depends on has changed.
    Current,
    /// Finished, but something that it depends on has changed.
    Stale,
    /// Never finished.
    Missing,
}

/// A step and how it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepStatus {
    /// Its name.
    pub step: String,
    /// Whether it is no part of a run.
    pub extra: bool,
    /// How it stands.
    pub state: StepState,
    /// Tasks that are finished under the present settings, also where the step is not.
    pub tasks: usize,
    /// What a current step has taken.
    pub seconds: Option<f64>,
}

/// What became of a step that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepOutcome {
    /// Its name.
    pub step: String,
    /// Whether it was current already.
    pub skipped: bool,
    /// What it has taken, interrupted attempts included.
    pub seconds: f64,
}

impl Engine {
    /// Runs all steps in order, but for the extra ones; those that are current are skipped.
    pub fn run_all(&self) -> Result<Vec<StepOutcome>> {
        self.run(&self.steps().iter().filter(|step| !step.extra).collect::<Vec<_>>())
    }

    /// Runs one step.
    pub fn run_step(&self, name: &str, inputs: Inputs) -> Result<StepOutcome> {
        let step = self.step(name)?;
        let before: Vec<&StepSpec> =
            self.steps().iter().filter(|input| self.reads(step, &input.name)).collect();
        let steps = match inputs {
            Inputs::Run => before.into_iter().chain([step]).collect(),
            Inputs::Require => {
                self.require_trainer(&[step])?;
                self.require(step, &before)?;
                vec![step]
            }
        };
        let outcome = self.run(&steps)?.pop();
        outcome.ok_or_else(|| EngineError::study("no step to run"))
    }

    /// How all steps stand. Makes no file.
    pub fn status(&self) -> Result<Vec<StepStatus>> {
        let store = Store::existing(&self.folder())?;
        self.steps().iter().map(|step| self.status_of(store.as_ref(), step)).collect()
    }

    fn status_of(&self, store: Option<&Store>, step: &StepSpec) -> Result<StepStatus> {
        let owner = self.owner(step);
        if !std::ptr::eq(owner, self) {
            return owner.status_of(owner.existing_store()?.as_ref(), step);
        }
        let (name, extra) = (step.name.clone(), step.extra);
        let Some(store) = store else {
            return Ok(StepStatus {
                step: name,
                extra,
                state: StepState::Missing,
                tasks: 0,
                seconds: None,
            });
        };
        // Without its images a step cannot be current, and that alone is no reason to fail.
        let key = self.key(&name).ok();
        let seconds = key.as_ref().map_or(Ok(None), |key| store.finished_step(key))?;
        let state = match seconds {
            Some(_) => StepState::Current,
            None if store.has_finished_once(&name)? => StepState::Stale,
            None => StepState::Missing,
        };
        let tasks = key.map_or(Ok(0), |key| store.count_tasks(&key))?;
        Ok(StepStatus { step: name, extra, state, tasks, seconds })
    }

    fn require(&self, step: &StepSpec, inputs: &[&StepSpec]) -> Result<()> {
        let store = Store::existing(&self.folder())?;
        for input in inputs {
            let reason = match self.status_of(store.as_ref(), input)?.state {
                StepState::Current => continue,
                StepState::Stale => "whose inputs have changed since it ran",
                StepState::Missing => "which has not finished",
            };
            let message = format!("step `{}` reads `{}`, {reason}", step.name, input.name);
            return Err(EngineError::new(ErrorKind::Missing, message)
                .with_hint(format!("run the step `{}` first", input.name)));
        }
        Ok(())
    }

    fn require_trainer(&self, steps: &[&StepSpec]) -> Result<()> {
        match steps.iter().find(|step| step.trains && self.parts().trainer.is_none()) {
            None => Ok(()),
            Some(step) => {
                let message =
                    format!("step `{}` trains, and this program has no trainer", step.name);
                Err(EngineError::new(ErrorKind::Missing, message)
                    .with_hint("use a program that was built with the feature `torch`"))
            }
        }
    }

    fn run(&self, steps: &[&StepSpec]) -> Result<Vec<StepOutcome>> {
        self.require_trainer(steps)?;
        let folder = self.folder();
        fs::create_dir_all(&folder).at(&folder)?;
        let _lock = Lock::run(&folder)?;
        let store = Store::create(&folder)?;
        keep_study(self.study(), &folder)?;
        steps.iter().map(|step| self.run_one(&store, step)).collect()
    }

    fn run_one(&self, store: &Store, step: &StepSpec) -> Result<StepOutcome> {
        if stopping(self) {
            return Err(EngineError::cancelled());
        }
        let owner = self.owner(step);
        if !std::ptr::eq(owner, self) {
            let key = owner.key(&step.name)?;
            let store = owner.existing_store()?;
            if let Some(seconds) = store.map_or(Ok(None), |store| store.finished_step(&key))? {
                let (name, skipped) = (step.name.as_str(), true);
                self.options().observer.event(&Event::StepSkipped { step: name, seconds });
                return Ok(StepOutcome { step: name.to_owned(), skipped, seconds });
            }
            // What it reads is shared too, and was before it in the list.
            let outcome = owner.run(&[owner.step(&step.name)?])?.pop();
            return outcome.ok_or_else(|| EngineError::study("no step to run"));
        }
        let observer = &self.options().observer;
        let name = step.name.as_str();
        let key = self.key(name)?;
        if let Some(seconds) = store.finished_step(&key)? {
            observer.event(&Event::StepSkipped { step: name, seconds });
            return Ok(StepOutcome { step: name.to_owned(), skipped: true, seconds });
        }
        observer.event(&Event::StepStarted { step: name, summary: &step.summary });
        let earlier = store.begin(name, &key)?;
        let context = Context::new(self, store, step, key.clone(), earlier);
        let result = self.method().run(name, &context);
        let seconds = context.spent();
        store.spent(&key, seconds, result.is_ok())?;
        if let Err(error) = result {
            let error = EngineError::in_step(name, error);
            observer.event(&Event::StepStopped { step: name, reason: &error.message });
            return Err(error);
        }
        store.clean(name)?;
        observer.event(&Event::StepFinished { step: name, seconds });
        Ok(StepOutcome { step: name.to_owned(), skipped: false, seconds })
    }
}
