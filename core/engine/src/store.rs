//! The run store: what the steps of a run have made, in SQLite and content-addressed files.
//!
//! A run's folder holds `run.sqlite`, `objects/<sha256>` (files and folders, never changed once
//! there), `scratch/<step>/<key>/<task>/` and the published results.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use indexmap::IndexMap;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

use crate::{
    database::{open, sqlite_error},
    error::{AtPath, EngineError, Result},
    files::{remove, seal, sync_folder},
    hash,
    runs::StepRecord,
};

const VERSION: i64 = 1;
const FILE: &str = "run.sqlite";

/// `superseded`: another key of the step has run since.
const TABLES: &str = "
    CREATE TABLE steps (
        step TEXT NOT NULL,
        key TEXT NOT NULL PRIMARY KEY,
        state TEXT NOT NULL CHECK (state IN ('running', 'done', 'superseded')),
        started INTEGER NOT NULL,
        seconds REAL NOT NULL
    ) STRICT;
    CREATE TABLE tasks (
        step_key TEXT NOT NULL,
        task TEXT NOT NULL,
        result TEXT NOT NULL,
        object TEXT,
        seconds REAL NOT NULL,
        PRIMARY KEY (step_key, task)
    ) STRICT;
    CREATE TABLE published (
        step_key TEXT NOT NULL,
        name TEXT NOT NULL,
        PRIMARY KEY (step_key, name)
    ) STRICT;
";

/// The store of one run.
pub(crate) struct Store {
    folder: PathBuf,
    connection: Mutex<Connection>,
}

/// What a finished task has left.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finished {
    pub result: Value,
    pub object: Option<PathBuf>,
}

impl Store {
    /// Opens a run's folder, making it where it does not exist.
    pub fn create(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder.join("objects")).at(folder)?;
        let connection = Mutex::new(open(&folder.join(FILE), VERSION, TABLES)?);
        Ok(Self { folder: folder.to_owned(), connection })
    }

    /// Opens the folder of a run that has been started before.
    pub fn existing(folder: &Path) -> Result<Option<Self>> {
        if !folder.join(FILE).is_file() {
            return Ok(None);
        }
        Self::create(folder).map(Some)
    }

    /// The run's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Marks a step as running under this key and all its other keys as superseded. Gives the
    /// seconds that earlier attempts took.
    pub fn begin(&self, step: &str, key: &str) -> Result<f64> {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.write(|connection| {
            connection.execute(
                "UPDATE steps SET state = 'superseded' WHERE step = ?1 AND key <> ?2",
                [step, key],
            )?;
            connection.execute(
                "INSERT INTO steps VALUES (?1, ?2, 'running', ?3, 0)
                 ON CONFLICT DO UPDATE SET state = 'running', started = ?3",
                params![step, key, started as i64],
            )?;
            connection
                .query_row("SELECT seconds FROM steps WHERE key = ?1", [key], |row| row.get(0))
        })
    }

    /// Records how long a step has taken so far, and whether that was all of it.
    pub fn spent(&self, key: &str, seconds: f64, done: bool) -> Result<()> {
        let state = if done { "done" } else { "running" };
        self.write(|connection| {
            connection.execute(
                "UPDATE steps SET seconds = ?2, state = ?3 WHERE key = ?1",
                params![key, seconds, state],
            )
        })?;
        Ok(())
    }

    /// Seconds of a step that has finished under this key and whose files are all there.
    pub fn finished_step(&self, key: &str) -> Result<Option<f64>> {
        let seconds = self.read(|connection| {
            let query = "SELECT seconds FROM steps WHERE key = ?1 AND state = 'done'";
            connection.query_row(query, [key], |row| row.get(0)).optional()
        })?;
        if seconds.is_none() {
            return Ok(None);
        }
        let objects = self.column("SELECT object FROM tasks WHERE step_key = ?1", key)?;
        let published = self.column("SELECT name FROM published WHERE step_key = ?1", key)?;
        let objects = objects.into_iter().flatten().map(|hash| self.object(&hash));
        let published = published.into_iter().flatten().map(|name| self.folder.join(name));
        Ok(seconds.filter(|_| objects.chain(published).all(|path| path.exists())))
    }

    /// Whether a step has ever finished, under whatever key.
    pub fn has_finished_once(&self, step: &str) -> Result<bool> {
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
                    (SELECT count(*) FROM tasks WHERE step_key = key)
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
            let query = "SELECT count(*) FROM tasks WHERE step_key = ?1";
            connection.query_row(query, [key], |row| row.get::<_, i64>(0))
        })
        .map(|count| count as usize)
    }

    /// Names of the tasks that are finished under a key.
    pub fn task_names(&self, key: &str) -> Result<Vec<String>> {
        let query = "SELECT task FROM tasks WHERE step_key = ?1 ORDER BY task";
        Ok(self.column(query, key)?.into_iter().flatten().collect())
    }

    /// What a finished task has left; none where its file is gone.
    pub fn task(&self, key: &str, task: &str) -> Result<Option<Finished>> {
        let row: Option<(String, Option<String>)> = self.read(|connection| {
            let query = "SELECT result, object FROM tasks WHERE step_key = ?1 AND task = ?2";
            connection
                .query_row(query, [key, task], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
        })?;
        let Some((result, object)) = row else { return Ok(None) };
        let result = serde_json::from_str(&result).map_err(|error| {
            EngineError::file(&self.folder.join(FILE), format!("result of task `{task}`: {error}"))
        })?;
        let object = object.map(|hash| self.object(&hash));
        let lost = object.as_ref().is_some_and(|path| !path.exists());
        Ok((!lost).then_some(Finished { result, object }))
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
        let object = if output.exists() { Some(self.adopt(output)?) } else { None };
        self.write(|connection| {
            connection.execute(
                "INSERT OR REPLACE INTO tasks VALUES (?1, ?2, ?3, ?4, ?5)",
                params![key, task, result.to_string(), object, seconds],
            )
        })?;
        Ok(())
    }

    /// Remembers a file that people look for.
    pub fn published(&self, key: &str, name: &str) -> Result<()> {
        self.write(|connection| {
            connection.execute("INSERT OR IGNORE INTO published VALUES (?1, ?2)", [key, name])
        })?;
        Ok(())
    }

    /// The folder for the unfinished work of a task. It belongs to the step's key, so that no
    /// checkpoint is continued under other settings.
    pub fn scratch(&self, step: &str, key: &str, task: &str) -> PathBuf {
        self.folder.join("scratch").join(step).join(&key[..16]).join(task)
    }

    /// Removes the unfinished work of a step, under whatever key.
    pub fn clean(&self, step: &str) -> Result<()> {
        remove(&self.folder.join("scratch").join(step))
    }

    fn object(&self, hash: &str) -> PathBuf {
        self.folder.join("objects").join(hash)
    }

    /// Moves a file or folder to where its content belongs.
    fn adopt(&self, output: &Path) -> Result<String> {
        let hash = hash::of_object(output)?;
        let object = self.object(&hash);
        if !object.exists() {
            seal(output)?;
            match fs::rename(output, &object) {
                // A neighbouring task with the same content may have been faster.
                Err(error) if !object.exists() => return Err(EngineError::file(&object, error)),
                _ => sync_folder(&self.folder.join("objects"))?,
            }
        }
        remove(output)?;
        Ok(hash)
    }

    fn column(&self, query: &str, key: &str) -> Result<Vec<Option<String>>> {
        self.read(|connection| {
            connection.prepare(query)?.query_map([key], |row| row.get(0))?.collect()
        })
    }

    fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        work(&self.lock()).map_err(|error| sqlite_error(&self.folder.join(FILE), &error))
    }

    fn write<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let mut connection = self.lock();
        let all = || {
            let transaction = connection.transaction()?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        all().map_err(|error| sqlite_error(&self.folder.join(FILE), &error))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        (folder, store)
    }

    #[test]
    fn equal_outputs_are_kept_once_and_cannot_be_written() {
        let (folder, store) = store();
        for task in ["a", "b"] {
            let output = folder.path().join("output");
            fs::write(&output, "same").unwrap();
            store.keep("key", task, &json!(1), &output, 0.0).unwrap();
            assert!(!output.exists());
        }
        let objects: Vec<_> = fs::read_dir(folder.path().join("objects")).unwrap().collect();
        assert_eq!(objects.len(), 1);
        let object = store.task("key", "b").unwrap().unwrap().object.unwrap();
        assert!(fs::metadata(object).unwrap().permissions().readonly());
    }

    #[test]
    fn results_come_back_bit_for_bit() {
        let (folder, store) = store();
        let value = json!({ "x": 0.1 + 0.2, "y": 1.0 / 3.0, "z": 5e-324 });
        store.keep("key", "a", &value, &folder.path().join("none"), 0.0).unwrap();
        assert_eq!(store.task("key", "a").unwrap().unwrap().result, value);
    }

    #[test]
    fn a_task_whose_file_is_gone_is_not_finished() {
        let (folder, store) = store();
        let output = folder.path().join("output");
        fs::create_dir(&output).unwrap();
        fs::write(output.join("weights"), "w").unwrap();
        store.begin("step", "key").unwrap();
        store.keep("key", "a", &json!(null), &output, 0.0).unwrap();
        store.spent("key", 1.5, true).unwrap();
        assert_eq!(store.finished_step("key").unwrap(), Some(1.5));
        fs::remove_dir_all(store.task("key", "a").unwrap().unwrap().object.unwrap()).unwrap();
        assert_eq!(store.task("key", "a").unwrap(), None);
        assert_eq!(store.finished_step("key").unwrap(), None);
    }

    #[test]
    fn seconds_of_attempts_add_up_and_keys_supersede_each_other() {
        let (_folder, store) = store();
        assert_eq!(store.begin("step", "one").unwrap(), 0.0);
        store.spent("one", 2.0, false).unwrap();
        assert_eq!(store.begin("step", "one").unwrap(), 2.0);
        store.spent("one", 3.0, true).unwrap();
        store.begin("step", "two").unwrap();
        assert_eq!(store.finished_step("one").unwrap(), None);
        assert!(store.has_finished_once("step").unwrap());
        assert!(store.seconds().unwrap().is_empty());
    }

    #[test]
    fn another_format_is_refused() {
        let (folder, store) = store();
        store.lock().pragma_update(None, "user_version", 7).unwrap();
        drop(store);
        let error = Store::create(folder.path()).err().unwrap();
        let expected = "run.sqlite: written in format 7, this program knows format 1";
        assert!(error.message.ends_with(expected), "{error}");
    }
}
