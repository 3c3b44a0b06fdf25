//! The checksum of a row, as a function of SQL.

use blake3::Hasher;
use rusqlite::{Connection, functions::FunctionFlags, types::ValueRef};

/// Length of a checksum in bytes: no two rows that ever were have the same by chance.
const BYTES: usize = 16;

/// Makes `row_sum(…)` known: the checksum of any number of values.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("row_sum", -1, flags, |context| {
        let values = (0..context.len()).map(|index| context.get_raw(index));
        Ok(row_sum(values).to_vec())
    })
}

/// The checksum of the values of a row.
pub(super) fn row_sum<'v>(values: impl Iterator<Item = ValueRef<'v>>) -> [u8; BYTES] {
    let mut hasher = Hasher::new();
    for value in values {
        let (kind, bytes): (u8, &[u8]) = match &value {
            ValueRef::Null => (0, &[]),
            ValueRef::Integer(number) => (1, &number.to_le_bytes()),
            ValueRef::Real(number) => (2, &number.to_bits().to_le_bytes()),
            ValueRef::Text(text) => (3, text),
            ValueRef::Blob(blob) => (4, blob),
        };
        // With its length: values of a row cannot flow into each other.
        hasher.update(&[kind]).update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    }
    let mut sum = [0; BYTES];
    sum.copy_from_slice(&hasher.finalize().as_bytes()[..BYTES]);
    sum
}
