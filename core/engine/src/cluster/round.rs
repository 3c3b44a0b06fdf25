//! A list of tasks on the cluster, from the first submission to the last result.

use std::{
    collections::BTreeMap,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use indexmap::IndexMap;
use spacewright_core::study::StepError;

use super::{
    Batch, ClusterError, Job, Submission,
    dispatch::{Dispatch, Taken, cancel},
    exchange::{TaskEnd, TaskOutcome, unique_name},
    pending::Pending,
    shell,
    silence::Silence,
};
use crate::{
    error::{EngineError, ErrorKind, Result},
    events::Event,
    hash,
};

/// Jobs of a batch, at most: Slurm's own default is one more.
const BATCH: usize = 1000;

/// A request to stop is heard within this time.
const NAP: Duration = Duration::from_millis(100);

/// What to do about jobs that end without a result.
const LOST: &str = "its output, or the engine's own words about the job, may say why; the same command \
    tries again, from the last checkpoint; `attempts` of [cluster] allows more";

/// The state of one list of tasks.
pub(super) struct Round<'d, 'a> {
    dispatch: &'d Dispatch<'a>,
    key: &'d str,
    /// Those without a result, by name, in the order of the list: that in which they had best begin.
    tasks: IndexMap<String, Pending>,
    /// All that was submitted for the step, the latest last.
    batches: Vec<Batch>,
    /// Of looks at jobs.
    looks: Silence,
    /// Of submissions.
    submissions: Silence,
}

impl<'d, 'a> Round<'d, 'a> {
    pub fn new(dispatch: &'d Dispatch<'a>, key: &'d str, tasks: &[&str]) -> Self {
        let tasks = tasks.iter().map(|task| ((*task).to_owned(), Pending::default())).collect();
        let (looks, submissions) = (Silence::default(), Silence::default());
        Self { dispatch, key, tasks, batches: Vec::new(), looks, submissions }
    }

    /// What an earlier head has submitted, and not seen the end of.
    fn find_submitted(&mut self) -> Result<()> {
        let Dispatch { exchange, cluster, .. } = self.dispatch;
        for batch in exchange.batches()? {
            if batch.engine != cluster.name() {
                cancel(*cluster, &batch, &[]);
                exchange.forget_batch(&batch)?;
                continue;
            }
            for (number, task) in batch.tasks.iter().enumerate() {
                if let Some(pending) = self.tasks.get_mut(task) {
                    // Of several, the latest counts.
                    *pending = Pending::default();
                    let log = exchange.log(&batch, number);
                    pending.submitted(self.batches.len(), number, log, false);
                }
            }
            self.batches.push(batch);
        }
        // Failures that nobody has heard of: what has caused them may have changed.
        for attempt in exchange.attempts()? {
            let outcome = exchange.outcome(&attempt);
            if outcome.is_none_or(|outcome| matches!(outcome.end, TaskEnd::Failed { .. })) {
                exchange.discard(&attempt)?;
            }
        }
        Ok(())
    }

    /// Goes on until all results are there.
    pub fn work(&mut self, take: &mut dyn FnMut(Taken) -> Result<()>) -> Result<(), StepError> {
        self.find_submitted()?;
        loop {
            self.collect(take)?;
            if self.tasks.is_empty() {
                return Ok(());
            }
            if self.dispatch.is_cancelled() {
                return Err(StepError::Cancelled);
            }
            self.look()?;
            self.submit()?;
            self.pause();
        }
    }

    fn pause(&self) {
        let started = Instant::now();
        let interval = Duration::from_secs_f64(self.dispatch.settings.poll_seconds);
        while started.elapsed() < interval && !self.dispatch.is_cancelled() {
            thread::sleep(NAP.min(interval));
        }
    }

    /// Takes over what nodes have left.
    fn collect(&mut self, take: &mut dyn FnMut(Taken) -> Result<()>) -> Result<(), StepError> {
        let exchange = &self.dispatch.exchange;
        for attempt in exchange.attempts()? {
            match exchange.outcome(&attempt) {
                Some(outcome) if outcome.key != self.key => {}
                Some(outcome) => self.ended(outcome, &exchange.output(&attempt), take)?,
                None => {
                    self.dispatch.say("warning: a result of a node is damaged, and thrown away")
                }
            }
            exchange.discard(&attempt)?;
        }
        Ok(())
    }

    /// An attempt at a task has ended.
    fn ended(
        &mut self,
        outcome: TaskOutcome,
        output: &Path,
        take: &mut dyn FnMut(Taken) -> Result<()>,
    ) -> Result<(), StepError> {
        let TaskOutcome { task, node, seconds, usage, curve, end, .. } = outcome;
        // Done by another attempt, or not of this list.
        let Some(pending) = self.tasks.get_mut(&task) else { return Ok(()) };
        let (job, has_begun) = (pending.place_or(&node), pending.has_begun());
        self.submissions = Silence::default();
        match end {
            TaskEnd::Failed { reason, hint, passes: true } => {
                pending.ended_for(&reason);
                pending.hint = hint;
            }
            TaskEnd::Failed { reason, hint, passes: false } => {
                let log = pending.log.display();
                let message = format!("{reason} ({job}; its output is in {log})");
                self.told_end(&task, seconds, false);
                let error = EngineError::new(ErrorKind::Step, message);
                let error = hint.into_iter().fold(error, EngineError::with_hint);
                return Err(StepError::from(error).in_task(&task));
            }
            TaskEnd::Done { output: expected, .. } if !is_whole(output, expected.as_deref()) => {
                let line = format!("warning: the output of task `{task}` from {node} is damaged");
                self.dispatch.say(&line);
            }
            TaskEnd::Done { result, .. } => {
                self.tasks.shift_remove(&task);
                if !has_begun {
                    self.told_begin(&task);
                }
                self.dispatch.say(&format!("{task} is done after {seconds:.1} s as {job}"));
                let output = output.to_owned();
                take(Taken { task: task.clone(), result, output, seconds, usage, curve })?;
                self.told_end(&task, seconds, true);
            }
        }
        Ok(())
    }

    fn told_end(&self, task: &str, seconds: f64, succeeded: bool) {
        let (step, task) = (self.dispatch.step.into(), task.into());
        self.dispatch.observer.event(&Event::TaskFinished { step, task, seconds, succeeded });
    }

    /// Looks how the jobs stand.
    fn look(&mut self) -> Result<(), StepError> {
        let submitted = || self.tasks.values().filter_map(|pending| pending.submitted);
        let batches: Vec<&Batch> = (0..self.batches.len())
            .filter(|position| submitted().any(|(batch, _)| batch == *position))
            .map(|position| &self.batches[position])
            .collect();
        if batches.is_empty() {
            return Ok(());
        }
        let jobs = self.dispatch.cluster.jobs(&batches);
        // Whatever it says: no job is harmed by asking again.
        let Some(jobs) = answered(self.dispatch, &mut self.looks, jobs, |_| true)? else {
            return Ok(());
        };
        let known: BTreeMap<(String, usize), Job> =
            jobs.into_iter().map(|job| ((job.batch.clone(), job.number), job)).collect();
        let (mut begun, mut lost) = (Vec::new(), BTreeMap::<usize, Vec<(usize, String)>>::new());
        for (task, pending) in &mut self.tasks {
            let Some((batch, number)) = pending.submitted else { continue };
            let was_taken = pending.is_taken();
            if pending.see(known.get(&(self.batches[batch].name.clone(), number))) {
                begun.push((task.clone(), pending.place()));
            } else if pending.is_lost() {
                lost.entry(batch).or_default().push((number, task.clone()));
            }
            if pending.is_taken() && !was_taken {
                // It has arrived whatever was answered.
                self.submissions = Silence::default();
            }
        }
        for (task, place) in begun {
            self.told_begin(&task);
            self.dispatch.say(&format!("{task} runs as {place}"));
        }
        lost.into_iter().try_for_each(|(batch, jobs)| self.lost(batch, &jobs))
    }

    fn told_begin(&self, task: &str) {
        let Dispatch { step, observer, .. } = self.dispatch;
        observer.event(&Event::TaskStarted { step: (*step).into(), task: task.into() });
    }

    /// Jobs of a batch have ended without a result, or were not taken: their tasks are to be submitted again, unless
    /// one has ended too often.
    fn lost(&mut self, batch: usize, jobs: &[(usize, String)]) -> Result<(), StepError> {
        let numbers: Vec<usize> = jobs.iter().map(|(number, _)| *number).collect();
        // Those that cannot begin are still there.
        let are_gone = cancel(self.dispatch.cluster, &self.batches[batch], &numbers);
        let mut were_taken = false;
        for (_, task) in jobs {
            let Some(pending) = self.tasks.get_mut(task) else { continue };
            if pending.is_taken() {
                were_taken = true;
                self.ended_without_result(task)?;
            } else {
                pending.give_up();
            }
        }
        if are_gone && !were_taken && numbers.len() == self.batches[batch].tasks.len() {
            self.dispatch.exchange.forget_batch(&self.batches[batch])?;
            self.batches[batch].tasks.clear();
        }
        Ok(())
    }

    fn ended_without_result(&mut self, task: &str) -> Result<(), StepError> {
        let Some(pending) = self.tasks.get_mut(task) else { return Ok(()) };
        let (place, why) = (pending.place(), pending.give_up());
        let most = self.dispatch.settings.attempts;
        if pending.attempts >= most {
            let log = pending.log.display();
            let message = format!(
                "{place} ended without a result, the last of {most}{why} (its output is in {log})"
            );
            let hint = pending.hint.take().unwrap_or_else(|| LOST.to_owned());
            let error = EngineError::new(ErrorKind::Step, message).with_hint(hint);
            return Err(StepError::from(error).in_task(task));
        }
        let line = format!("{task}: {place} ended without a result{why}; it is submitted again");
        self.dispatch.say(&line);
        Ok(())
    }

    /// Submits what no job is there for, as many as may be.
    fn submit(&mut self) -> Result<(), StepError> {
        let Dispatch { cluster, settings, exchange, .. } = self.dispatch;
        let there = self.tasks.values().filter(|pending| pending.submitted.is_some()).count();
        let room = match there {
            // The engine starts them one after the other.
            0 if cluster.limits_batches() => BATCH,
            there => settings.jobs.saturating_sub(there).min(BATCH),
        };
        let waiting = self.tasks.iter().filter(|(_, pending)| pending.submitted.is_none());
        let tasks: Vec<String> = waiting.map(|(task, _)| task.clone()).take(room).collect();
        if tasks.is_empty() {
            return Ok(());
        }
        let name = format!("{}-{}", self.dispatch.label, unique_name()?);
        let batch = Batch { name, engine: cluster.name().to_owned(), tasks };
        // Before it is submitted, so that no job runs that a head would not find.
        exchange.add_batch(&batch)?;
        let submitted = cluster.submit(&self.submission(&batch));
        let is_taken = submitted.is_ok();
        // Some of it may have arrived whatever was answered: what has not is missed at the next looks.
        for (number, task) in batch.tasks.iter().enumerate() {
            if let Some(pending) = self.tasks.get_mut(task) {
                let log = exchange.log(&batch, number);
                pending.submitted(self.batches.len(), number, log, is_taken);
            }
        }
        let count = batch.tasks.len();
        self.batches.push(batch);
        let silence = &mut self.submissions;
        if answered(self.dispatch, silence, submitted, ClusterError::passes)?.is_some() {
            let are = if count == 1 { "task is" } else { "tasks are" };
            self.dispatch.say(&format!("{count} {are} submitted to {}", cluster.name()));
        }
        Ok(())
    }

    fn submission<'b>(&'b self, batch: &'b Batch) -> Submission<'b> {
        let Dispatch { exchange, command, variables, .. } = self.dispatch;
        let line = |task: &String| {
            let command: Vec<String> = command.iter().chain([task]).cloned().collect();
            shell::line(variables, &command)
        };
        Submission {
            batch,
            lines: batch.tasks.iter().map(line).collect(),
            logs: (0..batch.tasks.len()).map(|number| exchange.log(batch, number)).collect(),
            folder: exchange.folder(),
        }
    }

    /// Cancels what nobody waits for: all where the list has come to no end, else jobs of tasks that had
    /// another one as well. What cannot be cancelled is found by the next run.
    pub fn withdraw(&self) {
        let Dispatch { cluster, exchange, .. } = self.dispatch;
        let jobs_of =
            |task: &String| self.batches.iter().filter(|batch| batch.tasks.contains(task)).count();
        for batch in &self.batches {
            let is_unwanted =
                |number: &usize| !self.tasks.is_empty() || jobs_of(&batch.tasks[*number]) > 1;
            let numbers: Vec<usize> = (0..batch.tasks.len()).filter(is_unwanted).collect();
            if !numbers.is_empty() && !cancel(*cluster, batch, &numbers) {
                continue;
            }
            if let Err(error) = exchange.forget_batch(batch) {
                tracing::warn!("{error}");
            }
        }
    }
}

/// An answer of the engine; none where it is worth waiting for one, which is given up at some time.
fn answered<T>(
    dispatch: &Dispatch<'_>,
    silence: &mut Silence,
    answer: Result<T, ClusterError>,
    is_worth_waiting: fn(&ClusterError) -> bool,
) -> Result<Option<T>, StepError> {
    let error = match answer {
        Ok(answer) => {
            *silence = Silence::default();
            return Ok(Some(answer));
        }
        Err(error) => error,
    };
    match silence.goes_on(dispatch.patience) {
        Some(questions) if is_worth_waiting(&error) => {
            if questions == 1 {
                dispatch.say(&format!("warning: {error}; asked again"));
            }
            Ok(None)
        }
        _ => Err(EngineError::from(error).into()),
    }
}

/// Whether an output has the content that its node says.
fn is_whole(output: &Path, expected: Option<&str>) -> bool {
    match expected {
        None => !output.exists(),
        Some(name) => hash::is_object(output, name).unwrap_or(false),
    }
}
