use std::{fs, io::Write};

use rusqlite::params;

use super::*;

const SCHEMA: Schema = Schema {
    version: 2,
    tables: &[
        Table {
            name: "numbers",
            columns: &[("name", "TEXT NOT NULL PRIMARY KEY"), ("value", "REAL"), ("note", "TEXT")],
            constraint: None,
        },
        Table {
            name: "pairs",
            columns: &[("a", "INTEGER NOT NULL"), ("b", "BLOB")],
            constraint: Some("PRIMARY KEY (a, b)"),
        },
    ],
};

/// A folder in memory, where there is such a thing: syncing costs nothing there.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A data base with some hundred rows, closed.
fn filled() -> (TempDir, PathBuf) {
    let folder = folder();
    let path = folder.path().join("test.sqlite");
    let connection = open(&path, &SCHEMA).unwrap();
    for index in 0..300i64 {
        let (name, value) = (format!("name {index}"), index as f64 / 8.0);
        let insert = "INSERT INTO numbers VALUES (?1, ?2, ?3)";
        connection.execute(insert, params![name, value, format!("note {index}")]).unwrap();
        let insert = "INSERT INTO pairs VALUES (?1, ?2)";
        connection.execute(insert, params![index, [7u8, index as u8]]).unwrap();
    }
    (folder, path)
}

fn numbers(connection: &Connection) -> Vec<(String, f64)> {
    let mut select = connection.prepare("SELECT name, value FROM numbers ORDER BY value").unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

/// The rows that [`filled`] makes.
fn right((name, value): &(String, f64)) -> bool {
    *name == format!("name {}", value * 8.0)
}

fn overwrite(path: &Path, find: &[u8], replacement: &[u8]) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.windows(find.len()).rposition(|window| window == find).unwrap();
    bytes[at..at + replacement.len()].copy_from_slice(replacement);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_wrong_bit_in_a_value_costs_its_row() {
    let (_folder, path) = filled();
    overwrite(&path, b"note 17", b"note 71");
    let read = open_for_reading(&path, &SCHEMA).unwrap();
    assert_eq!(numbers(&read.connection).len(), 299);
    drop(read);
    let connection = open(&path, &SCHEMA).unwrap();
    let rows = numbers(&connection);
    assert!(rows.len() == 299 && rows.iter().all(right));
}

/// Whatever bit is wrong: what is still there is right, and the file can be worked with.
#[test]
fn no_wrong_bit_is_believed_or_in_the_way() {
    let (folder, path) = filled();
    let good = fs::read(&path).unwrap();
    let mut set_aside = 0;
    // Bytes of the header, with those of its versions and formats, and places all over the pages.
    let header = (0..100).step_by(4).chain([18, 19, 47, 59, 63]);
    let header = header.map(|byte| 8 * byte + byte * 5 % 8);
    let bits = header.chain((800..8 * good.len()).step_by(8 * 499 + 3));
    for bit in bits {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, bad).unwrap();
        let read = numbers(&open_for_reading(&path, &SCHEMA).unwrap().connection);
        assert!(read.iter().all(right), "bit {bit}");
        let connection = open(&path, &SCHEMA).unwrap();
        assert!(numbers(&connection).iter().all(right), "bit {bit}");
        let insert = "INSERT OR REPLACE INTO numbers VALUES ('name 8', 1.0, 'new')";
        connection.execute(insert, []).unwrap_or_else(|error| panic!("bit {bit}: {error}"));
        drop(connection);
        for entry in fs::read_dir(folder.path()).unwrap() {
            let other = entry.unwrap().path();
            set_aside += usize::from(other.to_string_lossy().contains(".damaged-"));
            fs::remove_file(other).unwrap();
        }
    }
    assert!(set_aside > 10);
}

#[test]
fn what_is_no_data_base_is_set_aside() {
    let (folder, path) = filled();
    let good = fs::read(&path).unwrap();
    fs::write(&path, "no data base").unwrap();
    assert!(numbers(&open(&path, &SCHEMA).unwrap()).is_empty());
    let aside = folder.path().join("test.sqlite.damaged-1");
    assert_eq!(fs::read(aside).unwrap(), b"no data base");
    // Cut in the middle: what can be read is kept.
    fs::write(&path, &good[..good.len() / 2]).unwrap();
    let rows = numbers(&open(&path, &SCHEMA).unwrap());
    assert!(rows.iter().all(right));
}

#[test]
fn one_of_an_earlier_version_is_brought_up_to_date() {
    let folder = folder();
    let path = folder.path().join("test.sqlite");
    let earlier = Connection::open(&path).unwrap();
    let tables = "CREATE TABLE numbers (name TEXT NOT NULL PRIMARY KEY, value REAL) STRICT;
        INSERT INTO numbers VALUES ('name 4', 0.5);
        PRAGMA user_version = 1;";
    earlier.execute_batch(tables).unwrap();
    drop(earlier);
    let before = fs::read(&path).unwrap();
    let read = open_for_reading(&path, &SCHEMA).unwrap();
    assert_eq!(numbers(&read.connection), [("name 4".to_owned(), 0.5)]);
    assert_eq!(fs::read(&path).unwrap(), before);
    let connection = open(&path, &SCHEMA).unwrap();
    assert_eq!(numbers(&connection), [("name 4".to_owned(), 0.5)]);
    connection.execute("INSERT INTO pairs VALUES (1, x'00')", []).unwrap();
}

#[test]
fn one_of_a_later_version_is_refused() {
    let folder = folder();
    let path = folder.path().join("test.sqlite");
    let later = Connection::open(&path).unwrap();
    later.execute_batch("CREATE TABLE other (x TEXT); PRAGMA user_version = 9;").unwrap();
    drop(later);
    for error in [open(&path, &SCHEMA).err(), open_for_reading(&path, &SCHEMA).err()] {
        let error = error.unwrap().to_string();
        assert!(error.starts_with(&format!("{}: ", path.display())), "{error}");
        assert!(error.ends_with("written in format 9, this program knows format 2"), "{error}");
    }
    assert!(fs::read(&path).unwrap().len() > 100);
}

#[test]
fn unfinished_transactions_of_a_killed_process_are_read() {
    let (_folder, path) = filled();
    let writer = open(&path, &SCHEMA).unwrap();
    writer.execute("INSERT INTO numbers VALUES ('name 4000', 500.0, NULL)", []).unwrap();
    // As it lies there while a process works on it, or after it was killed.
    let copy = tempfile::tempdir().unwrap();
    let copied = copy.path().join("test.sqlite");
    for suffix in ["", "-wal"] {
        fs::copy(with_suffix(&path, suffix), with_suffix(&copied, suffix)).unwrap();
    }
    let mut file = fs::File::options().append(true).open(with_suffix(&copied, "-wal")).unwrap();
    file.write_all(b"torn").unwrap();
    let read = open_for_reading(&copied, &SCHEMA).unwrap();
    assert_eq!(numbers(&read.connection).last().unwrap().0, "name 4000");
}
