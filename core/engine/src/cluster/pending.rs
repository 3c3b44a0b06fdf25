//! A task that has no result yet, as the head knows it.

use std::path::PathBuf;

use super::{Job, JobState};

/// A job that so many looks in a row have not found is over: a result that it wrote in its last moment may
/// be seen later than that it has ended.
const MISSED: usize = 3;

/// A task without a result.
#[derive(Default)]
pub(super) struct Pending {
    /// Jobs of it that have ended without a result.
    pub attempts: usize,
    /// Position of its batch, and the job's number in it, where a job is believed to be there, or may be.
    pub submitted: Option<(usize, usize)>,
    /// Whether the engine has taken the job, or was seen to have it.
    is_taken: bool,
    /// Where the latest job prints.
    pub log: PathBuf,
    /// What the node said about what to do where an attempt has failed.
    pub hint: Option<String>,
    /// Why the job has ended, where the engine or the node said so.
    reason: String,
    /// The job as it was last seen.
    job: Option<Job>,
    /// Whether a job of it was seen at work.
    has_begun: bool,
    /// Looks in a row that have not found the job.
    missed: usize,
}

impl Pending {
    /// A job was submitted for it, or found that an earlier head had submitted. Where the engine did not say that it
    /// has taken the job, it may have all the same.
    pub fn submitted(&mut self, batch: usize, number: usize, log: PathBuf, is_taken: bool) {
        self.is_taken = is_taken;
        self.submitted = Some((batch, number));
        self.log = log;
    }

    /// Its job, for people: `job 12_3 on node7`.
    pub fn place(&self) -> String {
        match &self.job {
            Some(Job { id, state: JobState::Running { node }, .. }) if !node.is_empty() => {
                format!("job {id} on {node}")
            }
            Some(Job { id, .. }) => format!("job {id}"),
            None => "its job".into(),
        }
    }

    /// The same, on this machine where the engine has not said which.
    pub fn place_or(&self, node: &str) -> String {
        match &self.job {
            Some(Job { state: JobState::Running { node }, .. }) if !node.is_empty() => self.place(),
            _ => format!("{} on {node}", self.place()),
        }
    }

    /// Takes note of how its job stands. Whether it has begun, or begun anew, since the last look.
    pub fn see(&mut self, job: Option<&Job>) -> bool {
        match job {
            None => self.missed += 1,
            Some(Job { state: JobState::Ended { reason }, .. }) => {
                self.missed += 1;
                self.ended_for(reason);
            }
            Some(job) => {
                self.missed = 0;
                self.is_taken = true;
                let is_new = self.job.as_ref() != Some(job);
                self.job = Some(job.clone());
                let begins = is_new && matches!(job.state, JobState::Running { .. });
                self.has_begun |= begins;
                return begins;
            }
        }
        false
    }

    /// Takes note of why its job ends, unless that is known.
    pub fn ended_for(&mut self, reason: &str) {
        self.is_taken = true;
        if self.reason.is_empty() {
            reason.clone_into(&mut self.reason);
        }
    }

    /// Whether a job of it was seen at work.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Whether the engine had a job of it, as far as is known.
    pub fn is_taken(&self) -> bool {
        self.is_taken
    }

    /// Whether its job has ended without a result, or was never taken.
    pub fn is_lost(&self) -> bool {
        self.submitted.is_some() && self.missed >= MISSED
    }

    /// Waits for its job no more; why the job has ended, after a colon, where that is known.
    pub fn give_up(&mut self) -> String {
        self.attempts += usize::from(self.is_taken);
        (self.submitted, self.job, self.missed) = (None, None, 0);
        match std::mem::take(&mut self.reason) {
            reason if reason.is_empty() => reason,
            reason => format!(": {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(state: JobState) -> Job {
        Job { batch: "b".into(), number: 0, id: "12_0".into(), state }
    }

    #[test]
    fn a_job_is_lost_when_it_is_missed_again_and_again() {
        let running = job(JobState::Running { node: "node7".into() });
        let mut pending = Pending::default();
        pending.submitted(0, 0, PathBuf::new(), true);
        assert!(!pending.see(Some(&job(JobState::Waiting { reason: String::new() }))));
        assert!(pending.see(Some(&running)) && !pending.see(Some(&running)));
        assert_eq!(pending.place(), "job 12_0 on node7");
        for _ in 1..MISSED {
            pending.see(None);
        }
        // As after a moment in which the controller was restarted.
        pending.see(Some(&running));
        assert!(!pending.is_lost());
        for _ in 0..MISSED {
            assert!(!pending.is_lost());
            pending.see(Some(&job(JobState::Ended { reason: "its node died".into() })));
        }
        assert!(pending.is_lost());
        assert_eq!(pending.give_up(), ": its node died");
        assert!(!pending.is_lost() && pending.submitted.is_none() && pending.has_begun());
        assert_eq!(pending.attempts, 1);
    }

    #[test]
    fn a_job_that_was_not_taken_is_no_attempt() {
        let missed = |seen: Option<&Job>| {
            let mut pending = Pending::default();
            pending.submitted(0, 0, PathBuf::new(), false);
            pending.see(seen);
            for _ in 0..MISSED {
                pending.see(None);
            }
            assert!(pending.is_lost());
            pending.give_up();
            pending.attempts
        };
        assert_eq!(missed(None), 0);
        // It had arrived after all.
        assert_eq!(missed(Some(&job(JobState::Running { node: "node7".into() }))), 1);
    }
}
