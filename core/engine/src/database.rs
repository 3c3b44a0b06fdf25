//! Opening SQLite files of this program.

use std::{path::Path, time::Duration};

use rusqlite::Connection;

use crate::error::{EngineError, ErrorKind, Result};

/// Opens a data base, makes its tables where it is new, and refuses one of another version.
pub(crate) fn open(path: &Path, version: i64, tables: &str) -> Result<Connection> {
    let wrong = |error| sqlite_error(path, &error);
    let mut connection = Connection::open(path).map_err(wrong)?;
    connection.busy_timeout(Duration::from_secs(30)).map_err(wrong)?;
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
        .map_err(wrong)?;
    let transaction = connection
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .map_err(wrong)?;
    let found: i64 =
        transaction.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(wrong)?;
    if found == 0 {
        transaction.execute_batch(tables).map_err(wrong)?;
        transaction.pragma_update(None, "user_version", version).map_err(wrong)?;
    } else if found != version {
        let reason = format!("written in format {found}, this program knows format {version}");
        return Err(EngineError::file(path, reason)
            .with_hint("use the version of the program that wrote it, or move it away"));
    }
    transaction.commit().map_err(wrong)?;
    Ok(connection)
}

/// Names the file of a failed statement.
pub(crate) fn sqlite_error(path: &Path, error: &rusqlite::Error) -> EngineError {
    EngineError::new(ErrorKind::Storage, format!("{}: {error}", path.display()))
}
