//! The cache of latencies on disk, shared by all studies of a user.

use std::{
    collections::HashSet,
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
    database::{Schema, Table, open, sqlite_error},
    error::{EngineError, ErrorKind, Result},
    home,
    lock::Lock,
};

const SCHEMA: Schema = Schema {
    version: 2,
    tables: &[Table {
        name: "latencies",
        columns: &[
            ("graph", "TEXT NOT NULL"),
            ("precision", "TEXT NOT NULL"),
            ("position", "TEXT NOT NULL"),
            ("fingerprint", "TEXT NOT NULL"),
            ("ms", "REAL NOT NULL"),
            ("spread_ms", "REAL NOT NULL"),
            ("runs", "INTEGER NOT NULL"),
        ],
        constraint: Some("PRIMARY KEY (graph, precision, position, fingerprint)"),
    }],
};

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
        let path = home::file(home, "latency.sqlite")?;
        let connection = Mutex::new(open(&path, &SCHEMA)?);
        Ok(Self { path, connection, asking: Mutex::new(()) })
    }

    /// Latencies in the order of the queries. A source that predicts is asked for all of them at
    /// once; nothing of it is kept. A source that measures is asked for those that are not known,
    /// by one process at a time, as measurements disturb each other; they are kept without
    /// intervals, which measurements do not have.
    pub fn latencies(
        &self,
        source: &dyn LatencySource,
        queries: &[LatencyQuery],
        monitor: &dyn Monitor,
    ) -> Result<Vec<Latency>> {
        match source.measures() {
            true => self.measured(source, queries, monitor),
            false => predicted(source, queries, monitor),
        }
    }

    fn measured(
        &self,
        source: &dyn LatencySource,
        queries: &[LatencyQuery],
        monitor: &dyn Monitor,
    ) -> Result<Vec<Latency>> {
        let fingerprint = source.fingerprint();
        let keys: Vec<Key> = queries.iter().map(key).collect();
        if !self.missing(&keys, &fingerprint)?.is_empty() {
            self.measure_missing(source, queries, &keys, &fingerprint, monitor)?;
        }
        let known = |key: &Key| {
            self.get(key, &fingerprint)?.ok_or_else(|| {
                EngineError::file(&self.path, format!("lost the latency of graph {}", key.0))
            })
        };
        keys.iter().map(known).collect()
    }

    fn measure_missing(
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
            let answers = ask(source, &batch)?;
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
        get().map_err(|error| sqlite_error(&self.path, error))
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
        put().map_err(|error| sqlite_error(&self.path, error))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn predicted(
    source: &dyn LatencySource,
    queries: &[LatencyQuery],
    monitor: &dyn Monitor,
) -> Result<Vec<Latency>> {
    if queries.is_empty() {
        return Ok(Vec::new());
    }
    if monitor.cancelled() {
        return Err(EngineError::cancelled());
    }
    let answers = ask(source, queries)?;
    monitor.progress(queries.len(), queries.len(), "latencies");
    Ok(answers)
}

fn ask(source: &dyn LatencySource, queries: &[LatencyQuery]) -> Result<Vec<Latency>> {
    let answers = source.latencies(queries);
    answers.map_err(|error| EngineError::new(ErrorKind::Step, error.to_string()))
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use spacewright_core::{
        graph::{ConvSpec, GraphBuilder, Shape},
        latency::{LatencyError, Precision},
    };

    use super::*;

    /// Counts how often it is asked, and how many graphs at once.
    struct Counting {
        measures: bool,
        batches: Mutex<Vec<usize>>,
    }

    impl LatencySource for Counting {
        fn name(&self) -> &str {
            "counting"
        }
        fn fingerprint(&self) -> String {
            "counting".into()
        }
        fn measures(&self) -> bool {
            self.measures
        }
        fn latencies(&self, queries: &[LatencyQuery]) -> Result<Vec<Latency>, LatencyError> {
            self.batches.lock().unwrap().push(queries.len());
            Ok(vec![Latency::predicted(2.0).between(1.5, 2.5); queries.len()])
        }
    }

    /// Cancels when it is looked at for the second time.
    #[derive(Default)]
    struct Impatient(AtomicUsize);

    impl Monitor for Impatient {
        fn progress(&self, _: usize, _: usize, _: &str) {}
        fn cancelled(&self) -> bool {
            self.0.fetch_add(1, Ordering::Relaxed) > 0
        }
    }

    fn queries() -> Vec<LatencyQuery> {
        let query = |width: usize| {
            let mut b = GraphBuilder::new(Shape::square(3, 8));
            let x = b.conv("c", b.input(), ConvSpec::new(width, 3));
            let graph = b.finish(x);
            LatencyQuery { graph, precision: Precision::Int8, position: Position::Inside }
        };
        (1..=20).map(query).collect()
    }

    fn counting(measures: bool) -> Counting {
        Counting { measures, batches: Mutex::default() }
    }

    #[test]
    fn predictions_are_asked_at_once_and_not_kept() {
        let home = tempfile::tempdir().unwrap();
        let cache = LatencyCache::open(home.path()).unwrap();
        // Somebody else measures.
        let _lock = Lock::try_take(&cache.path.with_extension("lock")).unwrap().unwrap();
        let source = counting(false);
        for _ in 0..2 {
            let answers = cache.latencies(&source, &queries(), &Impatient::default()).unwrap();
            assert_eq!(answers, vec![Latency::predicted(2.0).between(1.5, 2.5); 20]);
        }
        assert_eq!(*source.batches.lock().unwrap(), [20, 20]);
        let rows = cache.lock().query_row("SELECT count(*) FROM latencies", [], |row| row.get(0));
        assert_eq!(rows, Ok(0));
        assert_eq!(cache.latencies(&source, &[], &Impatient::default()), Ok(Vec::new()));
        assert_eq!(source.batches.lock().unwrap().len(), 2);
    }

    #[test]
    fn measurements_wait_for_their_turn_and_are_kept() {
        let home = tempfile::tempdir().unwrap();
        let cache = LatencyCache::open(home.path()).unwrap();
        let source = counting(true);
        let lock = Lock::try_take(&cache.path.with_extension("lock")).unwrap().unwrap();
        let waiting = cache.latencies(&source, &queries(), &Impatient::default());
        assert_eq!(waiting.unwrap_err().kind, ErrorKind::Cancelled);
        drop(lock);
        for _ in 0..2 {
            let answers = cache.latencies(&source, &queries(), &crate::events::Silent).unwrap();
            assert_eq!(answers, vec![Latency::predicted(2.0); 20]);
        }
        assert_eq!(*source.batches.lock().unwrap(), [8, 8, 4]);
    }
}
