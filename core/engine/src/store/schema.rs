//! The tables of a run.

use crate::database::{Schema, Table};

/// A step's row is `superseded` once another key of the step has run; times are seconds since 1970.
pub(super) const SCHEMA: Schema = Schema {
    version: 4,
    tables: &[
        Table {
            name: "steps",
            columns: &[
                ("step", "TEXT NOT NULL"),
                ("key", "TEXT NOT NULL PRIMARY KEY"),
                ("state", "TEXT NOT NULL CHECK (state IN ('running', 'done', 'superseded'))"),
                ("started", "INTEGER NOT NULL"),
                ("seconds", "REAL NOT NULL"),
                // None where version 1 has run the step.
                ("ingredients", "TEXT"),
                // How many tasks and published files it has when it is done, so that a lost row is
                // noticed; none where version 2 has run the step.
                ("results", "INTEGER"),
            ],
            constraint: None,
        },
        Table {
            name: "tasks",
            columns: &[
                ("step_key", "TEXT NOT NULL"),
                ("task", "TEXT NOT NULL"),
                ("result", "TEXT NOT NULL"),
                ("object", "TEXT"),
                ("seconds", "REAL NOT NULL"),
            ],
            constraint: Some("PRIMARY KEY (step_key, task)"),
        },
        Table {
            name: "published",
            columns: &[
                ("step_key", "TEXT NOT NULL"),
                ("name", "TEXT NOT NULL"),
                // None where version 2 has published the file.
                ("hash", "TEXT"),
            ],
            constraint: Some("PRIMARY KEY (step_key, name)"),
        },
        Table {
            name: "attempts",
            columns: &[
                ("id", "INTEGER PRIMARY KEY"),
                ("step_key", "TEXT NOT NULL"),
                ("started", "REAL NOT NULL"),
                ("ended", "REAL NOT NULL"),
                ("core_seconds", "REAL NOT NULL"),
                ("outcome", "TEXT NOT NULL"),
                // None where nothing was trained, or where version 3 has.
                ("peak_bytes", "INTEGER"),
            ],
            constraint: None,
        },
        Table {
            name: "curves",
            columns: &[
                ("step_key", "TEXT NOT NULL"),
                ("task", "TEXT NOT NULL"),
                ("phase", "TEXT NOT NULL"),
                ("step", "INTEGER NOT NULL"),
                ("loss", "REAL"),
                ("learning_rate", "REAL NOT NULL"),
                ("held_out_accuracy", "REAL"),
            ],
            constraint: Some("PRIMARY KEY (step_key, task, phase, step)"),
        },
        Table {
            name: "events",
            columns: &[
                ("id", "INTEGER PRIMARY KEY"),
                ("step_key", "TEXT NOT NULL"),
                ("time", "REAL NOT NULL"),
                ("event", "TEXT NOT NULL"),
            ],
            constraint: None,
        },
        Table {
            name: "origin",
            columns: &[("study", "TEXT NOT NULL PRIMARY KEY")],
            constraint: None,
        },
    ],
};
