//! Fits to published measurements, judged on rows that they did not see.
#![cfg(spacewright_tables)]

mod data;

use std::path::Path;

use spacewright_latency_model::{Accuracy, Settings, Split, held_out};

fn folder() -> &'static Path {
    Path::new(env!("SPACEWRIGHT_TABLES"))
}

/// The first folds of a split.
fn first(mut split: Split, folds: usize) -> Split {
    split.folds.truncate(folds);
    split
}

fn check(published: &data::Published, split: &Split, within_10: f64, median_error: f64) {
    let predicted = held_out(&published.rows, &Settings::default(), split).unwrap();
    let accuracy: Accuracy = predicted.accuracy();
    assert!(
        accuracy.within_10 >= within_10 && accuracy.median_error <= median_error,
        "{}: {accuracy:?}",
        split.how
    );
}

#[test]
fn vnni_blocks_that_were_never_seen() {
    let published = data::intel_vnni(folder()).unwrap();
    assert_eq!(published.rows.len(), 50_380);
    let rows = first(Split::rows(published.rows.len(), 5, 0), 1);
    check(&published, &rows, 0.92, 0.023);
}

#[test]
fn pixel_widths_that_were_never_seen() {
    let published = data::tables(folder(), "mobilew").unwrap();
    let widths = first(Split::keys("width", &published.widths, 8), 1);
    check(&published, &widths, 0.97, 0.02);
}

#[test]
fn pixel_rows_that_were_never_seen() {
    let published = data::tables(folder(), "mobilew").unwrap();
    assert_eq!(published.rows.len(), 178_232);
    let rows = first(Split::rows(published.rows.len(), 5, 0), 1);
    check(&published, &rows, 0.995, 0.005);
}
