//! What is kept of a damaged data base.

use std::{fs, path::Path};

use rusqlite::{Connection, OpenFlags, params_from_iter, types::Value};

use super::{SUM, Schema, Table, checksum::row_sum, usable, with_suffix};
use crate::{
    error::{EngineError, Result},
    files::set_aside,
};

impl Table {
    fn damaged_rows(&self) -> String {
        format!("FROM {} WHERE {SUM} IS NOT row_sum({})", self.name, self.names().join(", "))
    }

    /// Copies those rows of a damaged file whose checksum is right, as far as they can be read; how
    /// many.
    fn salvage(&self, from: &Connection, to: &Connection) -> usize {
        let mut kept = 0;
        // Where a page cannot be read, what follows it is lost.
        let _ = self.copy_sound_rows(from, to, &mut kept);
        kept
    }

    fn copy_sound_rows(
        &self,
        from: &Connection,
        to: &Connection,
        kept: &mut usize,
    ) -> rusqlite::Result<()> {
        let columns = self.names().join(", ");
        let places = vec!["?"; self.columns.len()].join(", ");
        let insert = format!("INSERT OR IGNORE INTO {} ({columns}) VALUES ({places})", self.name);
        let mut insert = to.prepare(&insert)?;
        let mut select = from.prepare(&format!("SELECT {columns}, {SUM} FROM {}", self.name))?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let last = self.columns.len();
            let values: Vec<Value> = (0..last).map(|i| row.get(i)).collect::<Result<_, _>>()?;
            let sum: Vec<u8> = row.get(last)?;
            if sum == row_sum(values.iter().map(Into::into)) {
                *kept += insert.execute(params_from_iter(values))?;
            }
        }
        Ok(())
    }
}

/// Number of rows whose checksum is wrong.
pub(super) fn count_damaged_rows(
    connection: &Connection,
    schema: &Schema,
) -> rusqlite::Result<usize> {
    let mut found = 0;
    for table in schema.tables {
        let query = format!("SELECT count(*) {}", table.damaged_rows());
        found += connection.query_row(&query, [], |row| row.get::<_, i64>(0))? as usize;
    }
    Ok(found)
}

/// Removes rows whose checksum is wrong; how many.
pub(super) fn drop_damaged_rows(
    connection: &Connection,
    schema: &Schema,
) -> rusqlite::Result<usize> {
    // Where nothing is wrong, nothing is to be written.
    if count_damaged_rows(connection, schema)? == 0 {
        return Ok(0);
    }
    let mut dropped = 0;
    for table in schema.tables {
        dropped += connection.execute(&format!("DELETE {}", table.damaged_rows()), [])?;
    }
    Ok(dropped)
}

/// Sets a damaged file aside and puts one in its place with what can be verified of it. Where the file is a copy, that
/// is nothing to people: they are told of the `original`.
pub(super) fn replace(
    path: &Path,
    original: &Path,
    schema: &Schema,
    reason: &str,
) -> Result<Connection> {
    let aside = set_aside(path)?;
    for suffix in ["-wal", "-shm"] {
        // Where it cannot be moved it is not there.
        let _ = fs::rename(with_suffix(path, suffix), with_suffix(&aside, suffix));
    }
    let fresh = usable(path, original, schema)
        .map_err(|_| EngineError::file(original, "is damaged, and cannot be made anew"))?;
    let kept = salvage(&aside, &fresh, schema);
    let is_copy = path != original;
    let (what, remedy) = (became(&aside, kept, is_copy), remedy(is_copy));
    tracing::warn!("{}: damaged ({reason}), and {what}, {remedy}", original.display());
    Ok(fresh)
}

/// What has become of a damaged file, and of the rows of it that are kept.
fn became(aside: &Path, kept: usize, is_copy: bool) -> String {
    match is_copy {
        true => format!("left as it is; {kept} of its rows are sound and are read"),
        false => {
            let aside = aside.display();
            format!("set aside as {aside}; {kept} of its rows were sound and are kept")
        }
    }
}

/// What is done about what a damaged file lacks: nothing where only a copy of it is read.
pub(super) fn remedy(is_copy: bool) -> &'static str {
    match is_copy {
        true => "the next run makes anew what is lacking",
        false => "what is lacking is made anew",
    }
}

/// Copies what is sound; how many rows.
fn salvage(damaged: &Path, fresh: &Connection, schema: &Schema) -> usize {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let from = Connection::open_with_flags(damaged, flags);
    from.map_or(0, |from| schema.tables.iter().map(|table| table.salvage(&from, fresh)).sum())
}
