//! The run store: what the steps of a run have made, in SQLite and content-addressed files.
//!
//! A run's folder holds `run.sqlite`, `objects/<hash>` (files and folders, never changed once
//! there), `scratch/<step>/<key>/<task>/` (checkpoints) and the published results. All of it is
//! checked before it is used; what is damaged is set aside and made anew.

mod glance;
mod history;
mod objects;
mod results;
mod schema;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use indexmap::IndexMap;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;
use spacewright_core::study::ArtifactName;

pub use history::{Attempt, AttemptOutcome, StepHistory, TaskCurve, TimedEvent};
use objects::Objects;
use schema::SCHEMA;

use crate::{
    cluster::Exchange,
    database::{Database, open, open_for_reading, sqlite_error},
    error::{AtPath, EngineError, Result},
    files::remove,
    keys::Ingredients,
    runs::StepRecord,
};

pub(crate) const FILE: &str = "run.sqlite";
/// How many results the step of a row of `steps` has.
const RESULTS: &str = "((SELECT count(*) FROM tasks WHERE step_key = key)
    + (SELECT count(*) FROM published WHERE step_key = key))";

/// The store of one run.
pub(crate) struct Store {
    folder: PathBuf,
    connection: Mutex<Database>,
    objects: Objects,
}

/// What a finished task has left.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finished {
    pub result: Value,
    pub object: Option<PathBuf>,
}

impl Store {
    /// Opens a run's folder to work in it, making it where it does not exist.
    pub fn create(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder.join("objects")).at(folder)?;
        Ok(Self::new(folder, open(&folder.join(FILE), &SCHEMA)?.into()))
    }

    /// Opens the folder of a run that has been started before, to read what is there. Nothing is
    /// written, whatever version has made it.
    pub fn existing(folder: &Path) -> Result<Option<Self>> {
        let file = folder.join(FILE);
        if !file.is_file() {
            return Ok(None);
        }
        Ok(Some(Self::new(folder, open_for_reading(&file, &SCHEMA)?)))
    }

    fn new(folder: &Path, connection: Database) -> Self {
        Self {
            folder: folder.to_owned(),
            connection: Mutex::new(connection),
            objects: Objects::new(folder.join("objects")),
        }
    }

    /// The run's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Marks a step as running under this key and all its other keys as superseded. Gives the
    /// seconds that earlier attempts took.
    pub fn begin(&self, step: &str, key: &str, ingredients: &Ingredients) -> Result<f64> {
        let ingredients =
            serde_json::to_string(ingredients).map_err(|error| self.unreadable("a step", error))?;
        self.write(|connection| {
            connection.execute(
                "UPDATE steps SET state = 'superseded' WHERE step = ?1 AND key <> ?2",
                [step, key],
            )?;
            connection.execute(
                "INSERT INTO steps VALUES (?1, ?2, 'running', ?3, 0, ?4, NULL)
                 ON CONFLICT DO UPDATE SET state = 'running', started = ?3, ingredients = ?4",
                params![step, key, now() as i64, ingredients],
            )?;
            connection
                .query_row("SELECT seconds FROM steps WHERE key = ?1", [key], |row| row.get(0))
        })
    }

    /// What a step was made with when it last ran: `None` where it never has, or where another
    /// version ran it, which kept nothing or something else.
    pub fn latest_ingredients(&self, step: &str) -> Result<Option<Ingredients>> {
        let text: Option<Option<String>> = self.read(|connection| {
            let query = "SELECT ingredients FROM steps WHERE step = ?1
                ORDER BY state = 'superseded', started DESC, rowid DESC LIMIT 1";
            connection.query_row(query, [step], |row| row.get(0)).optional()
        })?;
        Ok(text.flatten().and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// What a step was made with under each of its keys, the latest first.
    pub fn all_ingredients(&self, step: &str) -> Result<Vec<(String, Ingredients)>> {
        let rows: Vec<(String, String)> = self.read(|connection| {
            let query = "SELECT key, ingredients FROM steps
                WHERE step = ?1 AND ingredients IS NOT NULL ORDER BY started DESC, rowid DESC";
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            connection.prepare(query)?.query_map([step], row)?.collect()
        })?;
        let known = |(key, text): (String, String)| Some((key, serde_json::from_str(&text).ok()?));
        Ok(rows.into_iter().filter_map(known).collect())
    }

    /// Whether an earlier version has run a step, which did not keep what it was made with.
    pub fn holds_earlier(&self, step: &str) -> Result<bool> {
        self.read(|connection| {
            let query =
                "SELECT EXISTS (SELECT 1 FROM steps WHERE step = ?1 AND ingredients IS NULL)";
            connection.query_row(query, [step], |row| row.get(0))
        })
    }

    /// Whether anything is recorded of a step under this key.
    pub fn knows(&self, key: &str) -> Result<bool> {
        self.read(|connection| {
            let query = "SELECT EXISTS (SELECT 1 FROM steps WHERE key = ?1)";
            connection.query_row(query, [key], |row| row.get(0))
        })
    }

    /// Takes over, under its present key, what a step left under the key of an earlier format:
    /// finished tasks, time and checkpoints. The step is then to be run, which repeats no task.
    pub fn adopt(&self, step: &str, earlier: &str, key: &str) -> Result<()> {
        let (from, to) = (self.scratch_of(step, earlier), self.scratch_of(step, key));
        if from.is_dir() && !to.exists() {
            fs::rename(&from, &to).at(&from)?;
        }
        self.write(|connection| {
            connection.execute(
                "INSERT INTO tasks SELECT ?2, task, result, object, seconds
                 FROM tasks WHERE step_key = ?1",
                [earlier, key],
            )?;
            connection.execute(
                "INSERT INTO steps SELECT step, ?2, 'running', started, seconds, NULL, NULL
                 FROM steps WHERE key = ?1",
                [earlier, key],
            )?;
            connection.execute("UPDATE steps SET state = 'superseded' WHERE key = ?1", [earlier])
        })?;
        Ok(())
    }

    /// Takes over, under a key of a step that has nothing of a task, what the task has come to under an earlier one:
    /// its result and curve, or its checkpoints. The seconds that it took, where it had finished.
    pub fn take_over(
        &self,
        step: &str,
        earlier: &str,
        key: &str,
        task: &str,
    ) -> Result<Option<f64>> {
        let (from, to) = (self.scratch(step, earlier, task), self.scratch(step, key, task));
        if self.knows_task(key, task)? || to.exists() {
            return Ok(None);
        }
        let has_checkpoints = from.is_dir();
        // First what is known, as a run that is killed before the checkpoints have moved does both again.
        let seconds = self.write(|connection| {
            connection.execute(
                "INSERT INTO tasks SELECT ?2, task, result, object, seconds
                 FROM tasks WHERE step_key = ?1 AND task = ?3",
                [earlier, key, task],
            )?;
            let seconds: Option<f64> = connection
                .query_row(
                    "SELECT seconds FROM tasks WHERE step_key = ?1 AND task = ?2",
                    [key, task],
                    |row| row.get(0),
                )
                .optional()?;
            if seconds.is_some() || has_checkpoints {
                connection.execute(
                    "INSERT OR IGNORE INTO curves
                     SELECT ?2, task, phase, step, loss, learning_rate, held_out_accuracy
                     FROM curves WHERE step_key = ?1 AND task = ?3 ORDER BY rowid",
                    [earlier, key, task],
                )?;
            }
            Ok(seconds)
        })?;
        if has_checkpoints {
            let folder = self.scratch_of(step, key);
            fs::create_dir_all(&folder).at(&folder)?;
            fs::rename(&from, &to).at(&from)?;
        }
        Ok(seconds)
    }

    /// Records how long a step has taken so far, and whether that was all of it.
    pub fn spent(&self, key: &str, seconds: f64, done: bool) -> Result<()> {
        let state = if done { "done" } else { "running" };
        self.write(|connection| {
            connection.execute(
                &format!(
                    "UPDATE steps SET seconds = ?2, state = ?3, results = {RESULTS} WHERE key = ?1"
                ),
                params![key, seconds, state],
            )
        })?;
        Ok(())
    }

    /// Seconds of a step that has finished under this key and whose files are all as it wrote them.
    pub fn finished_step(&self, key: &str) -> Result<Option<f64>> {
        let seconds = self.seconds_of_finished(key)?;
        Ok(if self.damage(key)?.is_empty() { seconds } else { None })
    }

    fn seconds_of_finished(&self, key: &str) -> Result<Option<f64>> {
        self.read(|connection| {
            let query = format!(
                "SELECT seconds FROM steps WHERE key = ?1 AND state = 'done'
                 AND coalesce(results, {RESULTS}) = {RESULTS}
                 AND EXISTS (SELECT 1 FROM tasks WHERE step_key = key AND task = ?2)"
            );
            connection.query_row(&query, [key, ArtifactName::OUTPUT], |row| row.get(0)).optional()
        })
    }

    /// Whether a step has begun under this key and not finished.
    pub fn is_unfinished(&self, key: &str) -> Result<bool> {
        self.read(|connection| {
            let query = "SELECT EXISTS (SELECT 1 FROM steps WHERE key = ?1 AND state = 'running')";
            connection.query_row(query, [key], |row| row.get(0))
        })
    }

    /// Whether a step has finished, or was left unfinished for other settings.
    pub fn has_run_before(&self, step: &str) -> Result<bool> {
        self.read(|connection| {
            let query =
                "SELECT EXISTS (SELECT 1 FROM steps WHERE step = ?1 AND state <> 'running')";
            connection.query_row(query, [step], |row| row.get(0))
        })
    }

    /// The latest attempt at each step, in the order of their start.
    pub fn records(&self) -> Result<Vec<StepRecord>> {
        self.read(|connection| {
            let query = "
                SELECT step, state = 'done', started, seconds,
                    (SELECT count(*) FROM tasks WHERE step_key = key AND task <> 'output')
                FROM steps WHERE state <> 'superseded' ORDER BY started, rowid";
            let record = |row: &rusqlite::Row<'_>| {
                Ok(StepRecord {
                    step: row.get(0)?,
                    finished: row.get(1)?,
                    started: row.get(2)?,
                    seconds: row.get(3)?,
                    tasks: row.get(4)?,
                })
            };
            connection.prepare(query)?.query_map([], record)?.collect()
        })
    }

    /// Seconds of each step whose latest run has finished, in the order of their start.
    pub fn seconds(&self) -> Result<IndexMap<String, f64>> {
        self.read(|connection| {
            let query =
                "SELECT step, seconds FROM steps WHERE state = 'done' ORDER BY started, rowid";
            let mut statement = connection.prepare(query)?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }

    /// Number of tasks that are finished under a key.
    pub fn count_tasks(&self, key: &str) -> Result<usize> {
        self.read(|connection| {
            let query = "SELECT count(*) FROM tasks WHERE step_key = ?1 AND task <> ?2";
            connection.query_row(query, [key, ArtifactName::OUTPUT], |row| row.get::<_, i64>(0))
        })
        .map(|count| count as usize)
    }

    /// Names of the tasks that are finished under a key.
    pub fn task_names(&self, key: &str) -> Result<Vec<String>> {
        let query = "SELECT task FROM tasks WHERE step_key = ?1 ORDER BY task";
        let names = self.column(query, key)?.into_iter().flatten();
        Ok(names.filter(|name| name != ArtifactName::OUTPUT).collect())
    }

    /// What a finished task has left; none where its file is gone or damaged.
    pub fn task(&self, key: &str, task: &str) -> Result<Option<Finished>> {
        let row: Option<(String, Option<String>)> = self.read(|connection| {
            let query = "SELECT result, object FROM tasks WHERE step_key = ?1 AND task = ?2";
            connection
                .query_row(query, [key, task], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
        })?;
        let Some((result, object)) = row else { return Ok(None) };
        let result = serde_json::from_str(&result)
            .map_err(|error| self.unreadable(&format!("task `{task}`"), error))?;
        if object.as_ref().is_some_and(|name| !self.objects.is_sound(name)) {
            return Ok(None);
        }
        Ok(Some(Finished { result, object: object.map(|name| self.objects.path(&name)) }))
    }

    /// Whether a task is recorded as finished, whatever has become of its file.
    pub fn knows_task(&self, key: &str, task: &str) -> Result<bool> {
        self.read(|connection| {
            let query = "SELECT EXISTS (SELECT 1 FROM tasks WHERE step_key = ?1 AND task = ?2)";
            connection.query_row(query, [key, task], |row| row.get(0))
        })
    }

    /// Keeps a task's result and output, and records both at once.
    pub fn keep(
        &self,
        key: &str,
        task: &str,
        result: &Value,
        output: &Path,
        seconds: f64,
    ) -> Result<()> {
        let object = if output.exists() { Some(self.objects.adopt(output)?) } else { None };
        self.record(key, task, result, object, seconds)
    }

    /// Keeps a result that has no file.
    pub fn keep_result(&self, key: &str, task: &str, result: &Value) -> Result<()> {
        self.record(key, task, result, None, 0.0)
    }

    fn record(
        &self,
        key: &str,
        task: &str,
        result: &Value,
        object: Option<String>,
        seconds: f64,
    ) -> Result<()> {
        self.write(|connection| {
            connection.execute(
                "INSERT OR REPLACE INTO tasks VALUES (?1, ?2, ?3, ?4, ?5)",
                params![key, task, result.to_string(), object, seconds],
            )
        })?;
        Ok(())
    }

    /// The study file that the run belongs to; none where nobody has said so yet.
    pub fn origin(&self) -> Result<Option<PathBuf>> {
        let path: Option<String> = self.read(|connection| {
            connection.query_row("SELECT study FROM origin", [], |row| row.get(0)).optional()
        })?;
        Ok(path.map(PathBuf::from))
    }

    /// Says which study file the run belongs to.
    pub fn set_origin(&self, study: &Path) -> Result<()> {
        self.write(|connection| {
            connection.execute("DELETE FROM origin", [])?;
            connection.execute("INSERT INTO origin VALUES (?1)", [study.to_string_lossy()])
        })?;
        Ok(())
    }

    /// The folder for the unfinished work of a task. It belongs to the step's key, so that no
    /// checkpoint is continued under other settings.
    pub fn scratch(&self, step: &str, key: &str, task: &str) -> PathBuf {
        self.scratch_of(step, key).join(task)
    }

    /// The folder for the unfinished work of all tasks of a step under a key.
    pub fn scratch_of(&self, step: &str, key: &str) -> PathBuf {
        self.folder.join("scratch").join(step).join(&key[..16.min(key.len())])
    }

    /// Removes the unfinished work of a step but for that under the keys to `keep`, and what it has exchanged with
    /// other machines.
    pub fn clean(&self, step: &str, keep: &[String]) -> Result<()> {
        let folder = self.folder.join("scratch").join(step);
        let kept: Vec<PathBuf> = keep.iter().map(|key| self.scratch_of(step, key)).collect();
        if kept.iter().any(|folder| folder.is_dir()) {
            for entry in fs::read_dir(&folder).at(&folder)? {
                let path = entry.at(&folder)?.path();
                if !kept.contains(&path) {
                    remove(&path)?;
                }
            }
        } else {
            remove(&folder)?;
        }
        remove(&Exchange::of_step(&self.folder, step))
    }

    /// What the finished tasks of a step have left under a key, with the paths of their files, which are not
    /// looked at.
    pub fn left(&self, key: &str) -> Result<Vec<(String, Finished)>> {
        let rows: Vec<(String, String, Option<String>)> = self.read(|connection| {
            let query = "SELECT task, result, object FROM tasks WHERE step_key = ?1 ORDER BY task";
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            connection.prepare(query)?.query_map([key], row)?.collect()
        })?;
        let finished = |(task, result, object): (String, String, Option<String>)| {
            let result = serde_json::from_str(&result)
                .map_err(|error| self.unreadable(&format!("task `{task}`"), error))?;
            let object = object.map(|name| self.objects.path(&name));
            Ok((task, Finished { result, object }))
        };
        rows.into_iter().map(finished).collect()
    }

    fn unreadable(&self, what: &str, error: serde_json::Error) -> EngineError {
        EngineError::file(&self.folder.join(FILE), format!("what it holds of {what}: {error}"))
            .with_source(error)
    }

    fn column(&self, query: &str, key: &str) -> Result<Vec<Option<String>>> {
        self.read(|connection| {
            connection.prepare(query)?.query_map([key], |row| row.get(0))?.collect()
        })
    }

    fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        work(&self.lock().connection).map_err(|error| sqlite_error(&self.folder.join(FILE), error))
    }

    fn write<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let mut connection = self.lock();
        let all = || {
            let transaction = connection.connection.transaction()?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        all().map_err(|error| sqlite_error(&self.folder.join(FILE), error))
    }

    fn lock(&self) -> MutexGuard<'_, Database> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Seconds since 1970.
pub(super) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests;
