//! Running the steps of a study.

use std::fs;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use spacewright_core::study::{AnyStep, ArtifactName, StepNeeds};

use crate::{
    context::{Context, stopping},
    engine::Engine,
    error::{AtPath, EngineError, ErrorKind, Result},
    events::Event,
    files::{is_writable, remove_leftovers},
    keys::Change,
    lock::Lock,
    recorder::Recorder,
    room,
    runs::{claim, keep_study, of_another},
    store::{AttemptOutcome, StepHistory, Store},
    tasks::unless_panicked,
};

/// What to do with the steps that a step reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inputs {
    /// They must be current, but for those that need nothing: these run.
    Require,
    /// Those that are not current run first.
    Run,
}

/// How a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Finished, and nothing that it depends on has changed.
    Current,
    /// It has run, but something that it depends on has changed since.
    Stale,
    /// Unfinished under the present settings, or never begun under any.
    Missing,
}

/// A step and how it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// Where it ran before and is not current: what has changed since.
    pub changes: Vec<Change>,
    /// Whether an earlier version of the program has worked on it with the same settings: running it
    /// goes on from what that left.
    pub taken_over: bool,
}

/// What became of a step that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepOutcome {
    /// Its name.
    pub step: String,
    /// Whether it was current already.
    pub skipped: bool,
    /// What it has taken, interrupted attempts included.
    pub seconds: f64,
}

/// Whether a step only looks at its settings.
fn is_free(step: &Arc<dyn AnyStep>) -> bool {
    step.reads().is_empty() && step.needs() == StepNeeds::NOTHING
}

impl Engine {
    /// Runs all steps in order, but for the extra ones; those that are current are skipped.
    pub fn run_all(&self) -> Result<Vec<StepOutcome>> {
        self.run(&self.steps().iter().filter(|step| !step.is_extra()).cloned().collect::<Vec<_>>())
    }

    /// Runs one step.
    pub fn run_step(&self, name: &str, inputs: Inputs) -> Result<StepOutcome> {
        let step = self.step(name)?.clone();
        let before: Vec<Arc<dyn AnyStep>> = self
            .steps()
            .iter()
            .filter(|input| self.reads(step.as_ref(), input.name()))
            .cloned()
            .collect();
        let steps: Vec<Arc<dyn AnyStep>> = match inputs {
            Inputs::Run => before.into_iter().chain([step]).collect(),
            Inputs::Require => {
                self.require_trainer(std::slice::from_ref(&step))?;
                // What needs nothing is no work that somebody would want to be asked about.
                let (free, required): (Vec<_>, Vec<_>) = before.into_iter().partition(is_free);
                self.require(step.as_ref(), &required)?;
                free.into_iter().chain([step]).collect()
            }
        };
        let outcome = self.run(&steps)?.pop();
        outcome.ok_or_else(|| EngineError::study("no step to run"))
    }

    /// How all steps stand. Writes nothing, also where the store is that of an earlier version.
    pub fn status(&self) -> Result<Vec<StepStatus>> {
        let store = self.existing_store()?;
        let store = store.as_deref();
        if let Some(message) = store.map_or(Ok(None), |store| of_another(self.study(), store))? {
            tracing::warn!("{message}");
        }
        self.steps().iter().map(|step| self.status_of(store, step.as_ref())).collect()
    }

    /// How a step went with the present settings, or else with those it last ran with: attempts,
    /// training curves, events. `None` where it never ran.
    pub fn history(&self, step: &str) -> Result<Option<StepHistory>> {
        let owner = self.owner(self.step(step)?.as_ref());
        let held = Lock::is_held(&owner.folder());
        let Some(store) = owner.existing_store()? else { return Ok(None) };
        // Without its images a step has no key.
        let present = self.key(step).ok();
        let current = present.as_ref().map_or(Ok(false), |key| store.has_attempts(key))?;
        let key = if current { present } else { store.latest_attempted(step)? };
        let history = key.map(|key| store.history(step, &key, current)).transpose()?;
        Ok(history.map(|history| history.seen(held)))
    }

    fn status_of(&self, store: Option<&Store>, step: &dyn AnyStep) -> Result<StepStatus> {
        let owner = self.owner(step);
        if !std::ptr::eq(owner, self) {
            return owner.status_of(owner.existing_store()?.as_deref(), step);
        }
        let mut status = StepStatus {
            step: step.name().to_owned(),
            extra: step.is_extra(),
            state: StepState::Missing,
            tasks: 0,
            seconds: None,
            changes: Vec::new(),
            taken_over: false,
        };
        let Some(store) = store else { return Ok(status) };
        // Without its images a step cannot be current, and that alone is no reason to fail.
        let Ok(key) = self.key(step.name()) else {
            if store.has_run_before(step.name())? {
                status.state = StepState::Stale;
            }
            return Ok(status);
        };
        status.tasks = store.count_tasks(&key)?;
        status.seconds = store.finished_step(&key)?;
        if status.seconds.is_some() {
            status.state = StepState::Current;
            return Ok(status);
        }
        status.taken_over = self.left_by_earlier_version(store, step)?.is_some();
        if store.has_run_before(step.name())? && !store.is_unfinished(&key)? {
            status.state = StepState::Stale;
        }
        if !status.taken_over {
            status.changes = self.changes(store, step)?;
        }
        Ok(status)
    }

    /// What has changed since a step last ran; nothing where it never has, or goes on.
    fn changes(&self, store: &Store, step: &dyn AnyStep) -> Result<Vec<Change>> {
        let now = self.ingredients(step)?;
        let key = now.key()?;
        match store.latest_ingredients(step.name())? {
            Some(was) if was.key()? != key => Ok(now.changes_since(&was)),
            Some(_) => store.damage(&key),
            None if store.knows(&key)? || !store.has_run_before(step.name())? => Ok(Vec::new()),
            None => Ok(vec![Change::Untold]),
        }
    }

    /// The key under which an earlier version has left results of a step with the same settings,
    /// where the store has nothing under the step's present key.
    fn left_by_earlier_version(&self, store: &Store, step: &dyn AnyStep) -> Result<Option<String>> {
        if !store.holds_earlier(step.name())? || store.knows(&self.key(step.name())?)? {
            return Ok(None);
        }
        let Some(key) = self.earlier_key(step.name())? else { return Ok(None) };
        Ok(store.knows(&key)?.then_some(key))
    }

    /// Earlier keys of a step under which its tasks were what they are now.
    fn keys_of_same_tasks(&self, store: &Store, step: &dyn AnyStep) -> Result<Vec<String>> {
        let fields = step.task_fields();
        if fields.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.ingredients(step)?;
        let (key, tasks) = (now.key()?, now.of_tasks(fields));
        let mut same = Vec::new();
        for (other, was) in store.all_ingredients(step.name())? {
            // Other versions may have kept more than this one reads.
            if other != key && was.key()? == other && was.of_tasks(fields) == tasks {
                same.push(other);
            }
        }
        Ok(same)
    }

    fn require(&self, step: &dyn AnyStep, inputs: &[Arc<dyn AnyStep>]) -> Result<()> {
        let store = self.existing_store()?;
        let mut missing = Vec::new();
        for input in inputs {
            let status = self.status_of(store.as_deref(), input.as_ref())?;
            let changes = Change::lines(&status.changes);
            let reason = match status.state {
                StepState::Current => continue,
                _ if status.taken_over => {
                    "which is to be taken over from an earlier version".into()
                }
                StepState::Stale if changes.is_empty() => {
                    "whose inputs have changed since it ran".into()
                }
                StepState::Stale => {
                    format!("which has to run again: {}", changes.join("; "))
                }
                StepState::Missing => "which has not finished".into(),
            };
            missing.push(format!("`{}`, {reason}", input.name()));
        }
        if missing.is_empty() {
            return Ok(());
        }
        let message = format!("step `{}` reads {}", step.name(), missing.join("; and "));
        let hint = "`--with-inputs` runs what is missing first, as running the study does";
        Err(EngineError::new(ErrorKind::Missing, message).with_hint(hint))
    }

    /// That the steps among these that train can.
    fn require_trainer(&self, steps: &[Arc<dyn AnyStep>]) -> Result<()> {
        for step in steps.iter().filter(|step| step.needs().training) {
            let Some(trainer) = &self.owner(step.as_ref()).context().trainer else {
                let message =
                    format!("step `{}` trains, and this program has no trainer", step.name());
                return Err(EngineError::new(ErrorKind::Missing, message)
                    .with_hint("use a program that was built with the feature `torch`"));
            };
            trainer.prepare()?;
        }
        Ok(())
    }

    /// That there are images for the steps among these that train, and enough of them: steps before may take hours.
    fn require_images(&self, steps: &[Arc<dyn AnyStep>]) -> Result<()> {
        let mut training = steps.iter().filter(|step| step.needs().training);
        training.try_for_each(|step| self.owner(step.as_ref()).data().check())
    }

    fn run(&self, steps: &[Arc<dyn AnyStep>]) -> Result<Vec<StepOutcome>> {
        self.require_trainer(steps)?;
        self.require_images(steps)?;
        let folder = self.folder();
        if folder.is_dir() && !is_writable(&folder) {
            let hint =
                "what is current can be looked at; for anything else the folder must be writable";
            return self
                .all_skipped(steps)?
                .ok_or_else(|| EngineError::file(&folder, "cannot be written").with_hint(hint));
        }
        fs::create_dir_all(&folder).at(&folder)?;
        let _lock = Lock::run(&folder)?;
        remove_leftovers(&folder)?;
        let store = self.working_store()?;
        claim(self.study(), &store)?;
        keep_study(self.study(), &folder)?;
        steps.iter().map(|step| self.run_one(&store, step.as_ref())).collect()
    }

    /// What is to be said of steps that are all current: nothing is to be done, or to be written.
    fn all_skipped(&self, steps: &[Arc<dyn AnyStep>]) -> Result<Option<Vec<StepOutcome>>> {
        let mut outcomes = Vec::with_capacity(steps.len());
        for step in steps {
            let owner = self.owner(step.as_ref());
            let (key, store) = (owner.key(step.name())?, owner.existing_store()?);
            match store.map_or(Ok(None), |store| store.finished_step(&key))? {
                Some(seconds) => outcomes.push((step.name(), seconds)),
                None => return Ok(None),
            }
        }
        Ok(Some(outcomes.into_iter().map(|(step, seconds)| self.skipped(step, seconds)).collect()))
    }

    fn skipped(&self, step: &str, seconds: f64) -> StepOutcome {
        self.options().observer.event(&Event::StepSkipped { step: step.into(), seconds });
        StepOutcome { step: step.to_owned(), skipped: true, seconds }
    }

    fn run_one(&self, store: &Arc<Store>, step: &dyn AnyStep) -> Result<StepOutcome> {
        if stopping(self) {
            return Err(EngineError::cancelled());
        }
        let name = step.name();
        let skipped = |seconds| Ok(self.skipped(name, seconds));
        let owner = self.owner(step);
        if !std::ptr::eq(owner, self) {
            let key = owner.key(name)?;
            let store = owner.existing_store()?;
            if let Some(seconds) = store.map_or(Ok(None), |store| store.finished_step(&key))? {
                return skipped(seconds);
            }
            // What it reads is shared too, and was before it in the list.
            let outcome = owner.run(&[owner.step(name)?.clone()])?.pop();
            return outcome.ok_or_else(|| EngineError::study("no step to run"));
        }
        let key = self.key(name)?;
        if let Some(seconds) = store.finished_step(&key)? {
            return skipped(seconds);
        }
        self.attempt(store, step, key)
    }

    /// Runs a step that is not current.
    fn attempt(&self, store: &Arc<Store>, step: &dyn AnyStep, key: String) -> Result<StepOutcome> {
        let name = step.name();
        if let Some(cluster) = self.cluster() {
            // Before hours are spent on what comes first.
            cluster.check()?;
        }
        room::check(store.folder())?;
        if let Some(earlier) = self.left_by_earlier_version(store, step)? {
            store.adopt(name, &earlier, &key)?;
        }
        let changes = self.changes(store, step)?;
        store.set_damage_aside(&key)?;
        let same_tasks = self.keys_of_same_tasks(store, step)?;
        let earlier = store.begin(name, &key, &self.ingredients(step)?)?;
        let trainer = self.context().trainer.clone();
        let observer = &self.options().observer;
        let recorder = Arc::new(Recorder::new(store, &key, observer, trainer, earlier)?);
        let tell = |event: Event<'_>| {
            crate::events::Observer::event(recorder.as_ref(), &event);
        };
        let (summary, changes) = (step.summary().into(), changes.into());
        tell(Event::StepStarted { step: name.into(), summary, changes });
        let context = Context::new(self, store, step, (key.clone(), same_tasks.clone()), &recorder);
        let run = || step.run(&context, &|section| self.study().section(section));
        let kept = unless_panicked(run)
            .map_err(|error| EngineError::in_step(name, error))
            .and_then(|output| store.keep_result(&key, ArtifactName::OUTPUT, &output));
        let seconds = recorder.spent();
        // Cleaned before it counts as done: a later run would skip the step, and what is left with it.
        let kept = kept
            .and_then(|()| store.clean(name, &same_tasks))
            .and_then(|()| store.remove_superseded_results(name, &key))
            .and_then(|()| store.spent(&key, seconds, true));
        if let Err(error) = kept {
            if let Err(also) = store.spent(&key, seconds, false) {
                tracing::warn!("the time that step `{name}` took cannot be kept: {also}");
            }
            let stopped = error.kind == ErrorKind::Cancelled;
            let outcome = if stopped { AttemptOutcome::Stopped } else { AttemptOutcome::Failed };
            tell(Event::StepStopped { step: name.into(), reason: error.to_string().into() });
            recorder.ended(outcome);
            return Err(error);
        }
        recorder.ended(AttemptOutcome::Finished);
        tell(Event::StepFinished { step: name.into(), seconds, earlier_seconds: earlier });
        Ok(StepOutcome { step: name.to_owned(), skipped: false, seconds })
    }
}
