//! The tables of a run.

use crate::database::Schema;

/// What is kept of how steps went. Times are seconds since 1970.
macro_rules! history {
    () => {
        "CREATE TABLE attempts (
            id INTEGER PRIMARY KEY,
            step_key TEXT NOT NULL,
            started REAL NOT NULL,
            ended REAL NOT NULL,
            core_seconds REAL NOT NULL,
            outcome TEXT NOT NULL
        ) STRICT;
        CREATE TABLE curves (
            step_key TEXT NOT NULL,
            task TEXT NOT NULL,
            phase TEXT NOT NULL,
            step INTEGER NOT NULL,
            loss REAL,
            learning_rate REAL NOT NULL,
            held_out_accuracy REAL,
            PRIMARY KEY (step_key, task, phase, step)
        ) STRICT;
        CREATE TABLE events (
            id INTEGER PRIMARY KEY,
            step_key TEXT NOT NULL,
            time REAL NOT NULL,
            event TEXT NOT NULL
        ) STRICT;"
    };
}

/// A step's row is `superseded` once another key of the step has run.
pub(super) const SCHEMA: Schema = Schema {
    tables: concat!(
        "CREATE TABLE steps (
            step TEXT NOT NULL,
            key TEXT NOT NULL PRIMARY KEY,
            state TEXT NOT NULL CHECK (state IN ('running', 'done', 'superseded')),
            started INTEGER NOT NULL,
            seconds REAL NOT NULL,
            ingredients TEXT
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
        ) STRICT;",
        history!()
    ),
    upgrades: &[concat!("ALTER TABLE steps ADD COLUMN ingredients TEXT;", history!())],
};
