//! The cache of latencies on disk, shared by all studies of a user.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension, params};
use spacewright_core::{
    latency::{Latency, LatencyQuery, LatencySource, Position},
    train::Monitor,
};

use crate::{
    database::{open, sqlite_error},
    error::{AtPath, EngineError, ErrorKind, Result},
    lock::Lock,
};

const VERSION: i64 = 1;
const TABLES: &str = "
    CREATE TABLE latencies (
        graph TEXT NOT NULL,
        precision TEXT NOT NULL,
        position TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        ms REAL NOT NULL,
        spread_ms REAL NOT NULL,
        runs INTEGER NOT NULL,
        PRIMARY KEY (graph, precision, position, fingerprint)
    ) STRICT, WITHOUT ROWID;
";

/// Questions that are asked and recorded together: as many are lost at most when killed.
const CHUNK: usize = 8;

/// Latencies by graph, precision, position and fingerprint of the source.
pub struct LatencyCache {
    path: PathBuf,
    connection: Mutex<Connection>,
    asking: Mutex<()>,
}

/// What makes two questions the same.
type Key = (String, &'static str, &'static str);

impl LatencyCache {
    /// Opens `latency.sqlite` in the folder `home`, making both where they do not exist.
    pub fn open(home: &Path) -> Result<Self> {
        fs::create_dir_all(home).at(home)?;
        let path = home.join("latency.sqlite");
        let connection = Mutex::new(open(&path, VERSION, TABLES)?);
        Ok(Self { path, connection, asking: Mutex::new(()) })
    }

    /// Latencies in the order of the queries; the source is asked for those that are not known.
    /// Intervals are not kept.
    /// One process asks at a time, as measurements disturb each other.
    pub fn latencies(
        &self,
        source: &dyn LatencySource,
        queries: &[LatencyQuery],
        monitor: &dyn Monitor,
    ) -> Result<Vec<Latency>> {
        let fingerprint = source.fingerprint();
        let keys: Vec<Key> = queries.iter().map(key).collect();
        if !self.missing(&keys, &fingerprint)?.is_empty() {
            self.ask(source, queries, &keys, &fingerprint, monitor)?;
        }
        let known = |key: &Key| {
            self.get(key, &fingerprint)?.ok_or_else(|| {
                EngineError::file(&self.path, format!("lost the latency of graph {}", key.0))
            })
        };
        keys.iter().map(known).collect()
    }

    fn ask(
        &self,
        source: &dyn LatencySource,
        queries: &[LatencyQuery],
        keys: &[Key],
        fingerprint: &str,
        monitor: &dyn Monitor,
    ) -> Result<()> {
        let _here = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let _everywhere = self.wait_for_turn(monitor)?;
        let missing = self.missing(keys, fingerprint)?;
        for (index, chunk) in missing.chunks(CHUNK).enumerate() {
            if monitor.cancelled() {
                return Err(EngineError::cancelled());
            }
            monitor.progress(index * CHUNK, missing.len(), "latencies");
            let batch: Vec<LatencyQuery> = chunk.iter().map(|&i| queries[i].clone()).collect();
            let answers = source
                .latencies(&batch)
                .map_err(|error| EngineError::new(ErrorKind::Step, error.to_string()))?;
            self.put(chunk.iter().map(|&i| &keys[i]).zip(&answers), fingerprint)?;
        }
        monitor.progress(missing.len(), missing.len(), "latencies");
        Ok(())
    }

    fn wait_for_turn(&self, monitor: &dyn Monitor) -> Result<Lock> {
        let path = self.path.with_extension("lock");
        loop {
            if let Some(lock) = Lock::try_take(&path)? {
                return Ok(lock);
            }
            if monitor.cancelled() {
                return Err(EngineError::cancelled());
            }
            monitor.progress(0, 1, "waiting for another process that measures");
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Positions of the first occurrence of each unknown question.
    fn missing(&self, keys: &[Key], fingerprint: &str) -> Result<Vec<usize>> {
        let mut seen = HashSet::new();
        let mut missing = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            if seen.insert(key) && self.get(key, fingerprint)?.is_none() {
                missing.push(index);
            }
        }
        Ok(missing)
    }

    fn get(&self, key: &Key, fingerprint: &str) -> Result<Option<Latency>> {
        let query = "SELECT ms, spread_ms, runs FROM latencies
            WHERE graph = ?1 AND precision = ?2 AND position = ?3 AND fingerprint = ?4";
        let connection = self.lock();
        let get = || {
            let latency = |row: &rusqlite::Row<'_>| {
                Ok(Latency::measured(row.get(0)?, row.get(1)?, row.get(2)?))
            };
            connection
                .prepare_cached(query)?
                .query_row(params![key.0, key.1, key.2, fingerprint], latency)
                .optional()
        };
        get().map_err(|error| sqlite_error(&self.path, &error))
    }

    /// Records answers at once. What another process was faster to record stays.
    fn put<'a>(
        &self,
        answers: impl Iterator<Item = (&'a Key, &'a Latency)>,
        fingerprint: &str,
    ) -> Result<()> {
        let mut connection = self.lock();
        let put = || {
            let transaction = connection.transaction()?;
            for ((graph, precision, position), latency) in answers {
                let Latency { ms, spread_ms, runs, .. } = latency;
                transaction.execute(
                    "INSERT OR IGNORE INTO latencies VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    params![graph, precision, position, fingerprint, ms, spread_ms, runs],
                )?;
            }
            transaction.commit()
        };
        put().map_err(|error| sqlite_error(&self.path, &error))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(query: &LatencyQuery) -> Key {
    let position = match query.position {
        Position::Whole => "whole",
        Position::First => "first",
        Position::Inside => "inside",
        Position::Last => "last",
    };
    (query.graph.hash().0, query.precision.name(), position)
}
