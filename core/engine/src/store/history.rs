//! How steps went: attempts, training curves, events.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};
use spacewright_core::train::{CurvePoint, Usage};

use super::{FILE, Store, now};
use crate::{
    error::{EngineError, Result},
    events::Event,
};

/// How an attempt at a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// It goes on; or its process was killed, and nothing was attempted since.
    Running,
    /// The step is finished.
    Finished,
    /// It failed.
    Failed,
    /// The user stopped it.
    Stopped,
    /// Its process ended without a word.
    Killed,
}

impl AttemptOutcome {
    const ALL: [Self; 5] =
        [Self::Running, Self::Finished, Self::Failed, Self::Stopped, Self::Killed];

    /// As it is kept and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Killed => "killed",
        }
    }
}

/// One interval in which a step was worked on. A resumed step has several.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it began, in seconds since 1970.
    pub started: f64,
    /// How long it took; of one that was killed, until it was last heard of.
    pub seconds: f64,
    /// Seconds of processor time, over all cores.
    pub core_seconds: f64,
    /// The most memory that a process that trained had at a time, in bytes; none where none did.
    pub peak_bytes: Option<u64>,
    /// How it ended.
    pub outcome: AttemptOutcome,
}

/// The training curve of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskCurve {
    /// Name of the task.
    pub task: String,
    /// Its points: phase after phase, in the order of their steps.
    pub points: Vec<CurvePoint>,
}

/// An event, and when it happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimedEvent {
    /// In seconds since 1970.
    pub time: f64,
    /// What happened.
    pub event: Event<'static>,
}

/// All that is kept of how a step went with some settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepHistory {
    /// Name of the step.
    pub step: String,
    /// Whether these are its present settings.
    pub current: bool,
    /// In the order of their start.
    pub attempts: Vec<Attempt>,
    /// Training curves, by task.
    pub curves: Vec<TaskCurve>,
    /// Events in order. Of the progress of a task, one a second at most is kept.
    pub events: Vec<TimedEvent>,
}

impl Store {
    /// Opens an attempt at a step; one that was left open is over. Gives what it is called by.
    pub fn attempt(&self, key: &str) -> Result<i64> {
        self.write(|connection| {
            let (running, killed) = (AttemptOutcome::Running.name(), AttemptOutcome::Killed.name());
            connection.execute(
                "UPDATE attempts SET outcome = ?2 WHERE outcome = ?1",
                [running, killed],
            )?;
            connection.execute(
                "INSERT INTO attempts (step_key, started, ended, core_seconds, outcome)
                 VALUES (?1, ?2, ?2, 0, ?3)",
                params![key, now(), running],
            )?;
            Ok(connection.last_insert_rowid())
        })
    }

    /// Records how far an attempt has come, or how it ended; 0 bytes are none.
    pub fn attempted(&self, id: i64, used: Usage, outcome: AttemptOutcome) -> Result<()> {
        let Usage { core_seconds, peak_bytes } = used;
        let peak_bytes = (peak_bytes > 0).then_some(peak_bytes as i64);
        self.write(|connection| {
            connection.execute(
                "UPDATE attempts SET ended = ?2, core_seconds = ?3, outcome = ?4, peak_bytes = ?5
                 WHERE id = ?1",
                params![id, now(), core_seconds, outcome.name(), peak_bytes],
            )
        })?;
        Ok(())
    }

    /// Keeps a point of a training curve, in place of an earlier one of the same phase and step.
    pub fn curve_point(&self, key: &str, task: &str, point: &CurvePoint) -> Result<()> {
        let CurvePoint { phase, step, loss, learning_rate, held_out_accuracy } = point;
        self.write(|connection| {
            connection.execute(
                "INSERT OR REPLACE INTO curves VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![key, task, phase, *step as i64, loss, learning_rate, held_out_accuracy],
            )
        })?;
        Ok(())
    }

    /// Keeps an event.
    pub fn event(&self, key: &str, event: &Event<'_>) -> Result<()> {
        let event =
            serde_json::to_string(event).map_err(|error| self.unreadable("an event", error))?;
        self.write(|connection| {
            connection.execute(
                "INSERT INTO events (step_key, time, event) VALUES (?1, ?2, ?3)",
                params![key, now(), event],
            )
        })?;
        Ok(())
    }

    /// Whether a step was worked on under a key.
    pub fn has_attempts(&self, key: &str) -> Result<bool> {
        self.read(|connection| {
            let query = "SELECT EXISTS (SELECT 1 FROM attempts WHERE step_key = ?1)";
            connection.query_row(query, [key], |row| row.get(0))
        })
    }

    /// The key under which a step was worked on last.
    pub fn latest_attempted(&self, step: &str) -> Result<Option<String>> {
        self.read(|connection| {
            let query = "SELECT step_key FROM attempts JOIN steps ON key = step_key
                WHERE step = ?1 ORDER BY id DESC LIMIT 1";
            connection.query_row(query, [step], |row| row.get(0)).optional()
        })
    }

    /// What is kept of a step under a key.
    pub fn history(&self, step: &str, key: &str, current: bool) -> Result<StepHistory> {
        Ok(StepHistory {
            step: step.to_owned(),
            current,
            attempts: self.attempts(key)?,
            curves: self.curves(key)?,
            events: self.events(key)?,
        })
    }

    pub(super) fn attempts(&self, key: &str) -> Result<Vec<Attempt>> {
        self.read(|connection| {
            let query = "SELECT started, ended, core_seconds, outcome, peak_bytes FROM attempts
                WHERE step_key = ?1 ORDER BY id";
            let attempt = |row: &rusqlite::Row<'_>| {
                let (started, ended): (f64, f64) = (row.get(0)?, row.get(1)?);
                let outcome: String = row.get(3)?;
                let known = AttemptOutcome::ALL.into_iter().find(|known| known.name() == outcome);
                Ok(Attempt {
                    started,
                    seconds: ended - started,
                    core_seconds: row.get(2)?,
                    peak_bytes: row.get(4)?,
                    outcome: known.unwrap_or(AttemptOutcome::Killed),
                })
            };
            connection.prepare(query)?.query_map([key], attempt)?.collect()
        })
    }

    pub(super) fn curves(&self, key: &str) -> Result<Vec<TaskCurve>> {
        let points: Vec<(i64, String, CurvePoint)> = self.read(|connection| {
            let query = "SELECT rowid, task, phase, step, loss, learning_rate, held_out_accuracy
                FROM curves WHERE step_key = ?1";
            let point = |row: &rusqlite::Row<'_>| {
                let point = CurvePoint {
                    phase: row.get(2)?,
                    step: row.get::<_, i64>(3)? as usize,
                    loss: row.get(4)?,
                    learning_rate: row.get(5)?,
                    held_out_accuracy: row.get(6)?,
                };
                Ok((row.get(0)?, row.get(1)?, point))
            };
            connection.prepare(query)?.query_map([key], point)?.collect()
        })?;
        let mut curves: BTreeMap<String, Vec<(i64, CurvePoint)>> = BTreeMap::new();
        for (row, task, point) in points {
            curves.entry(task).or_default().push((row, point));
        }
        let curve = |(task, points)| TaskCurve { task, points: in_order(points) };
        Ok(curves.into_iter().map(curve).collect())
    }

    fn events(&self, key: &str) -> Result<Vec<TimedEvent>> {
        let rows: Vec<(f64, String)> = self.read(|connection| {
            let query = "SELECT time, event FROM events WHERE step_key = ?1 ORDER BY id";
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            connection.prepare(query)?.query_map([key], row)?.collect()
        })?;
        let event = |(time, text): (f64, String)| match serde_json::from_str(&text) {
            Ok(event) => Ok(TimedEvent { time, event }),
            Err(error) => {
                let file = self.folder.join(FILE);
                Err(EngineError::file(&file, format!("an event: {error}")).with_source(error))
            }
        };
        rows.into_iter().map(event).collect()
    }
}

/// The points of a curve with the numbers of their rows: phases in the order in which they were first told,
/// and each in the order of its steps.
fn in_order(mut points: Vec<(i64, CurvePoint)>) -> Vec<CurvePoint> {
    let mut first: BTreeMap<String, i64> = BTreeMap::new();
    for (row, point) in &points {
        let known = first.entry(point.phase.clone()).or_insert(*row);
        *known = (*known).min(*row);
    }
    points.sort_by_key(|(_, point)| (first[&point.phase], point.step));
    points.into_iter().map(|(_, point)| point).collect()
}
