//! What is asked of a store that somebody else may be writing.

use std::path::Path;

use rusqlite::OptionalExtension;

use super::{Attempt, AttemptOutcome, FILE, SCHEMA, StepHistory, Store, TimedEvent};
use crate::{
    database::{open_for_reading, open_to_glance},
    error::Result,
    events::Event,
    lock::Lock,
};

impl StepHistory {
    /// The same where a process worked on the run just before this was read (`held`), or none did: then an attempt that
    /// seems to go on was killed, which its process could not write.
    pub(crate) fn seen(mut self, held: bool) -> Self {
        for attempt in &mut self.attempts {
            if attempt.outcome == AttemptOutcome::Running && !held {
                attempt.outcome = AttemptOutcome::Killed;
            }
        }
        self
    }
}

impl Store {
    /// Opens the folder of a run to look at a few rows at a time, whoever writes: damaged rows are left out
    /// as they are read. None where there is no run.
    pub fn to_glance(folder: &Path) -> Result<Option<Self>> {
        let file = folder.join(FILE);
        if !file.is_file() {
            return Ok(None);
        }
        let database = match open_to_glance(&file, &SCHEMA) {
            Some(connection) => connection.into(),
            // Of an earlier version, for example.
            None => open_for_reading(&file, &SCHEMA)?,
        };
        Ok(Some(Self::new(folder, database)))
    }

    /// A number that changes when another connection has written.
    pub fn data_version(&self) -> Result<i64> {
        self.read(|connection| connection.query_row("PRAGMA data_version", [], |row| row.get(0)))
    }

    /// The present keys of the steps that were begun, in the order of their start: `(step, key)`.
    pub fn present_keys(&self) -> Result<Vec<(String, String)>> {
        self.read(|connection| {
            let query = "SELECT step, key FROM steps WHERE state <> 'superseded'
                ORDER BY started, rowid";
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            connection.prepare(query)?.query_map([], row)?.collect()
        })
    }

    /// The attempt that began last, with its step and the step's key.
    pub fn latest_attempt(&self) -> Result<Option<(String, String, Attempt)>> {
        let latest: Option<(String, String)> = self.read(|connection| {
            let query = "SELECT step, step_key FROM attempts JOIN steps ON key = step_key
                ORDER BY id DESC LIMIT 1";
            connection.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })?;
        let Some((step, key)) = latest else { return Ok(None) };
        Ok(self.attempts(&key)?.pop().map(|attempt| (step, key, attempt)))
    }

    /// How a step went under a key, without its events.
    pub fn curves_of_step(&self, step: &str, key: &str) -> Result<StepHistory> {
        let held = Lock::is_held(&self.folder);
        let (attempts, curves) = (self.attempts(key)?, self.curves(key)?);
        let (step, events) = (step.to_owned(), Vec::new());
        Ok(StepHistory { step, current: true, attempts, curves, events }.seen(held))
    }

    /// Why the step of a key was stopped last, if it was.
    pub fn last_reason(&self, key: &str) -> Result<Option<String>> {
        let last: Option<String> = self.read(|connection| {
            let query = "SELECT event FROM events WHERE step_key = ?1 ORDER BY id DESC LIMIT 1";
            connection.query_row(query, [key], |row| row.get(0)).optional()
        })?;
        Ok(match last.map(|text| serde_json::from_str::<Event<'_>>(&text)) {
            Some(Ok(Event::StepStopped { reason, .. })) => Some(reason.into_owned()),
            _ => None,
        })
    }

    /// The events of the step of a key that were kept after that of a number, each with its number. Those
    /// that a later version has written, of kinds that this one does not know, are left out.
    pub fn events_after(&self, key: &str, last: i64) -> Result<Vec<(i64, TimedEvent)>> {
        let rows: Vec<(i64, f64, String)> = self.read(|connection| {
            let query =
                "SELECT id, time, event FROM events WHERE id > ?2 AND step_key = ?1 ORDER BY id";
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            connection.prepare(query)?.query_map(rusqlite::params![key, last], row)?.collect()
        })?;
        let event = |(id, time, text): (i64, f64, String)| {
            Some((id, TimedEvent { time, event: serde_json::from_str(&text).ok()? }))
        };
        Ok(rows.into_iter().filter_map(event).collect())
    }
}
