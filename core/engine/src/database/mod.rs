//! Opening SQLite files of this program: none is believed before it is checked.
//!
//! SQLite's own check finds damage to the structure of a file. A bit that is wrong inside of a value
//! it cannot see: each row ends in a checksum of its other columns, `sum`, which SQLite computes when
//! it writes the row.

mod checksum;
mod repair;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, Row, TransactionBehavior};
use tempfile::TempDir;

use crate::{
    error::{AtPath, EngineError, Result},
    files::is_writable,
};

/// The tables of a data base.
pub(crate) struct Schema {
    /// Higher than that of all versions with other tables. Columns that are new in a version must allow
    /// `NULL`, which they are in rows of earlier ones.
    pub version: i64,
    /// All tables.
    pub tables: &'static [Table],
}

/// A table. Behind its columns there is one more, the checksum of their values.
pub(crate) struct Table {
    /// Its name.
    pub name: &'static str,
    /// Names and definitions of the columns.
    pub columns: &'static [(&'static str, &'static str)],
    /// What the table as a whole has to keep to.
    pub constraint: Option<&'static str>,
}

/// A connection, perhaps to a copy, which goes with it.
pub(crate) struct Database {
    pub connection: Connection,
    _copy: Option<TempDir>,
}

impl From<Connection> for Database {
    fn from(connection: Connection) -> Self {
        Self { connection, _copy: None }
    }
}

/// Why a data base cannot be used as it is.
enum Unusable {
    /// It is not what this program has written; why.
    Damaged(String),
    /// Something else.
    Failed(EngineError),
}

/// Name of the column that holds the checksum of a row's other columns.
const SUM: &str = "sum";

impl Table {
    fn names(&self) -> Vec<&'static str> {
        self.columns.iter().map(|(name, _)| *name).collect()
    }

    /// The statement that makes a view of the rows whose checksum is right.
    fn sound_view(&self) -> String {
        let (table, columns) = (self.name, self.names().join(", "));
        // A table's own `id` is the number of its rows already.
        let row = if columns.starts_with("id,") { "" } else { "rowid, " };
        format!(
            "CREATE TEMP VIEW {table} AS SELECT {row}{columns} FROM main.{table}
             WHERE {SUM} IS row_sum({columns});"
        )
    }

    /// The statement that makes the table.
    fn definition(&self) -> String {
        let columns = self.columns.iter().map(|(name, kind)| format!("{name} {kind}"));
        let names = self.names().join(", ");
        let sum = format!("{SUM} BLOB NOT NULL GENERATED ALWAYS AS (row_sum({names})) STORED");
        let parts = columns.chain([sum]).chain(self.constraint.map(str::to_owned));
        format!("CREATE TABLE {} ({}) STRICT", self.name, parts.collect::<Vec<_>>().join(", "))
    }
}

/// Opens a data base to work with it, makes its tables where it is new, brings one of an earlier
/// version up to date, and refuses one of a later version. Damaged rows are left out; a file whose
/// structure is damaged is set aside, and what can be verified of it is taken over. Of both there is a
/// warning.
pub(crate) fn open(path: &Path, schema: &Schema) -> Result<Connection> {
    opened(path, path, schema)
}

/// Opens a data base, or a copy of the `original`, which stays as it is and is what messages are about.
fn opened(path: &Path, original: &Path, schema: &Schema) -> Result<Connection> {
    let connection = match usable(path, original, schema) {
        Ok(connection) => connection,
        Err(Unusable::Failed(error)) => return Err(error),
        Err(Unusable::Damaged(reason)) => repair::replace(path, original, schema, &reason)?,
    };
    let lost = repair::drop_damaged_rows(&connection, schema)
        .map_err(|error| sqlite_error(original, error))?;
    if lost > 0 {
        let remedy = repair::remedy(path != original);
        tracing::warn!("{}: {}; {remedy}", original.display(), left_out(lost));
    }
    Ok(connection)
}

fn left_out(rows: usize) -> String {
    let rows =
        if rows == 1 { "a damaged row is".into() } else { format!("{rows} damaged rows are") };
    format!("{rows} left out")
}

/// Opens a data base that exists, to read it. One that cannot be written, is of an earlier version or
/// damaged, stays as it is: what is read is a copy, brought up to date.
pub(crate) fn open_for_reading(path: &Path, schema: &Schema) -> Result<Database> {
    if let Some(connection) = sound(path, schema) {
        return Ok(connection.into());
    }
    let folder = tempfile::tempdir().at(path)?;
    let copy = folder.path().join(path.file_name().unwrap_or_default());
    for suffix in ["", "-wal"] {
        let (from, to) = (with_suffix(path, suffix), with_suffix(&copy, suffix));
        if suffix.is_empty() || from.exists() {
            fs::copy(&from, &to).at(&from)?;
            // The copy of a file that cannot be written could not be either.
            make_writable(&to)?;
        }
    }
    let connection = opened(&copy, path, schema)?;
    Ok(Database { connection, _copy: Some(folder) })
}

/// Opens a data base that somebody may be writing, to look at some of its rows: those whose checksum is wrong
/// are not seen, and nothing else is checked, nor written. None where it is of another version, or cannot be
/// read in this way.
pub(crate) fn open_to_glance(path: &Path, schema: &Schema) -> Option<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).ok()?;
    connection.busy_timeout(Duration::from_secs(5)).ok()?;
    checksum::register(&connection).ok()?;
    if version(&connection).ok()? != schema.version {
        return None;
    }
    // A view of the connection hides the table of its name.
    let views: String = schema.tables.iter().map(Table::sound_view).collect();
    connection.execute_batch(&views).ok()?;
    Some(connection)
}

/// A connection to a data base of this version that can be written and in which nothing is wrong.
fn sound(path: &Path, schema: &Schema) -> Option<Connection> {
    // SQLite makes files of its own beside it.
    if [path.parent()?, path].iter().any(|path| !is_writable(path)) {
        return None;
    }
    let connection = connect(path).ok()?;
    let current = version(&connection).ok()? == schema.version;
    let sound = current
        && wrong_with(&connection, schema).ok()?.is_none()
        && repair::count_damaged_rows(&connection, schema).ok()? == 0;
    sound.then_some(connection)
}

#[allow(clippy::permissions_set_readonly_false, reason = "a copy of our own")]
fn make_writable(path: &Path) -> Result<()> {
    let mut permissions = fs::metadata(path).at(path)?.permissions();
    permissions.set_readonly(false);
    fs::set_permissions(path, permissions).at(path)
}

/// SQLite names its further files so.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(30))?;
    checksum::register(&connection)?;
    Ok(connection)
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// The definitions of all tables, by name.
fn definitions(connection: &Connection) -> rusqlite::Result<BTreeMap<String, String>> {
    let query = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL";
    let entry = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    connection.prepare(query)?.query_map([], entry)?.collect()
}

/// The definitions of all tables of this version, by name.
fn expected(schema: &Schema) -> BTreeMap<String, String> {
    schema.tables.iter().map(|table| (table.name.to_owned(), table.definition())).collect()
}

/// What is wrong with the structure of a data base of this version.
fn wrong_with(connection: &Connection, schema: &Schema) -> rusqlite::Result<Option<String>> {
    if definitions(connection)? != expected(schema) {
        return Ok(Some("its tables are not those of this program".into()));
    }
    let verdict: String =
        connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    Ok((verdict != "ok").then_some(verdict))
}

fn usable(path: &Path, original: &Path, schema: &Schema) -> Result<Connection, Unusable> {
    let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            Unusable::Damaged(error.to_string())
        }
        // As the statements are right, the file is wrong: of an unknown format, without a table, with
        // text that is none.
        Some(ErrorCode::Unknown) | None => Unusable::Damaged(error.to_string()),
        // The file itself says so.
        Some(ErrorCode::ReadOnly) if is_writable(path) => Unusable::Damaged(error.to_string()),
        _ => Unusable::Failed(sqlite_error(original, error)),
    };
    let mut connection = connect(path).map_err(failed)?;
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
        .map_err(failed)?;
    let (found, known) = (version(&connection).map_err(failed)?, schema.version);
    // Whoever only reads is not to wait for a writer.
    if found != known {
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        update(&transaction, original, schema).map_err(|error| match error {
            Updating::Sqlite(error) => failed(error),
            Updating::Unknown(error) => Unusable::Failed(error),
        })?;
        transaction.commit().map_err(failed)?;
    }
    if let Some(reason) = wrong_with(&connection, schema).map_err(failed)? {
        return Err(Unusable::Damaged(reason));
    }
    // Whether it can be written shows when somebody writes.
    let attempt = format!("BEGIN IMMEDIATE; PRAGMA user_version = {known}; ROLLBACK");
    connection.execute_batch(&attempt).map_err(failed)?;
    Ok(connection)
}

enum Updating {
    Sqlite(rusqlite::Error),
    Unknown(EngineError),
}

impl From<rusqlite::Error> for Updating {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Makes the tables of a new file, or brings one of another version up to date.
fn update(connection: &Connection, path: &Path, schema: &Schema) -> Result<(), Updating> {
    let (found, known) = (version(connection)?, schema.version);
    // Otherwise only the number is wrong.
    if definitions(connection)? != expected(schema) {
        if found > known {
            let reason = format!("written in format {found}, this program knows format {known}");
            return Err(Updating::Unknown(
                EngineError::file(path, reason)
                    .with_hint("use the version of the program that wrote it, or move it away"),
            ));
        }
        for table in schema.tables {
            remake(connection, table)?;
        }
    }
    Ok(connection.pragma_update(None, "user_version", known)?)
}

/// Makes a table, with the rows of the one of its name that an earlier version has made.
fn remake(connection: &Connection, table: &Table) -> rusqlite::Result<()> {
    let (name, earlier) = (table.name, format!("earlier_{}", table.name));
    let existing = columns(connection, name)?;
    if existing.is_empty() {
        return connection.execute_batch(&table.definition());
    }
    let mut shared = table.names();
    shared.retain(|column| existing.iter().any(|existing| existing == column));
    let shared = shared.join(", ");
    connection.execute_batch(&format!(
        "ALTER TABLE {name} RENAME TO {earlier};
         {};
         INSERT INTO {name} ({shared}) SELECT {shared} FROM {earlier};
         DROP TABLE {earlier};",
        table.definition()
    ))
}

/// Names of the columns of a table; none where there is no such table.
fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let query = "SELECT name FROM pragma_table_xinfo(?1) ORDER BY cid";
    connection.prepare(query)?.query_map([table], |row| row.get(0))?.collect()
}

/// Names the file of a failed statement.
pub(crate) fn sqlite_error(path: &Path, error: rusqlite::Error) -> EngineError {
    EngineError::file(path, &error).with_source(error)
}

#[cfg(test)]
mod tests;
