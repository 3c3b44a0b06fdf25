//! Opening SQLite files of this program.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{EngineError, Result};

/// The tables of a data base, and how files of earlier versions become files of this one.
pub(crate) struct Schema {
    /// Makes all tables.
    pub tables: &'static str,
    /// What turns version 1 into 2, 2 into 3, and so on; the version is one more than there are.
    pub upgrades: &'static [&'static str],
}

impl Schema {
    fn version(&self) -> i64 {
        self.upgrades.len() as i64 + 1
    }

    /// Whether an earlier version of the program has made a file. One in which nothing stands yet is
    /// of no version.
    pub fn is_later_than(&self, path: &Path) -> Result<bool> {
        let found = connect(path).and_then(|connection| version(&connection));
        let found = found.map_err(|error| sqlite_error(path, error))?;
        Ok((1..self.version()).contains(&found))
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(30))?;
    Ok(connection)
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Opens a data base, makes its tables where it is new, brings one of an earlier version up to
/// date, and refuses one of a later version.
pub(crate) fn open(path: &Path, schema: &Schema) -> Result<Connection> {
    let failed = |error| sqlite_error(path, error);
    let mut connection = connect(path).map_err(failed)?;
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
        .map_err(failed)?;
    let known = schema.version();
    // Whoever only reads is not to wait for a writer.
    if version(&connection).map_err(failed)? == known {
        return Ok(connection);
    }
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    match version(&transaction).map_err(failed)? {
        0 => transaction.execute_batch(schema.tables).map_err(failed)?,
        found if (1..=known).contains(&found) => {
            for upgrade in &schema.upgrades[found as usize - 1..] {
                transaction.execute_batch(upgrade).map_err(failed)?;
            }
        }
        found => {
            let reason = format!("written in format {found}, this program knows format {known}");
            return Err(EngineError::file(path, reason)
                .with_hint("use the version of the program that wrote it, or move it away"));
        }
    }
    transaction.pragma_update(None, "user_version", known).map_err(failed)?;
    transaction.commit().map_err(failed)?;
    Ok(connection)
}

/// Names the file of a failed statement.
pub(crate) fn sqlite_error(path: &Path, error: rusqlite::Error) -> EngineError {
    EngineError::file(path, &error).with_source(error)
}
