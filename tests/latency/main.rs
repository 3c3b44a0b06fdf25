//! Fitted latency models: those that come with targets, and fits to published measurements, judged
//! on rows that they did not see.

mod models;
mod published;

use std::path::Path;

use spacewright_core::{
    kernel::{FusionRules, Kernel},
    latency::{Accuracy, Precision},
};
use spacewright_latency_model::{
    KernelSum, ModelDescription, Predictor, Settings, Split, fit_model, held_out,
};

use published::Published;

fn folder() -> &'static Path {
    Path::new(option_env!("SPACEWRIGHT_TABLES").unwrap_or_default())
}

/// The first folds of a split.
fn first(mut split: Split, folds: usize) -> Split {
    split.folds.truncate(folds);
    split
}

fn check(published: &Published, split: &Split, within_10: f64, median_error: f64) {
    let predicted = held_out(&published.rows, &Settings::default(), split).unwrap();
    let accuracy: Accuracy = predicted.accuracy();
    assert!(
        accuracy.within_10 >= within_10 && accuracy.median_error <= median_error,
        "{}: {accuracy:?}",
        split.how
    );
}

#[test]
#[cfg_attr(
    not(spacewright_vnni_latencies),
    ignore = "SPACEWRIGHT_TABLES does not name the folder that holds vnni-block-latency.csv"
)]
fn vnni_blocks_that_were_never_seen() {
    let published = published::intel_vnni(folder()).unwrap();
    assert_eq!(published.rows.len(), 50_380);
    let rows = first(Split::rows(published.rows.len(), 5, 0), 1);
    check(&published, &rows, 0.92, 0.023);
}

#[test]
#[cfg_attr(
    not(spacewright_tables),
    ignore = "SPACEWRIGHT_TABLES does not name the folder that holds spaceevo-block-lut"
)]
fn pixel_widths_that_were_never_seen() {
    let published = published::tables(folder(), "mobilew").unwrap();
    let widths = first(Split::keys("width", &published.widths, 8), 1);
    check(&published, &widths, 0.97, 0.02);
}

#[test]
#[cfg_attr(
    not(spacewright_tables),
    ignore = "SPACEWRIGHT_TABLES does not name the folder that holds spaceevo-block-lut"
)]
fn pixel_rows_that_were_never_seen() {
    let published = published::tables(folder(), "mobilew").unwrap();
    assert_eq!(published.rows.len(), 178_232);
    let rows = first(Split::rows(published.rows.len(), 5, 0), 1);
    check(&published, &rows, 0.995, 0.005);
}

#[test]
#[cfg_attr(
    not(spacewright_vnni_latencies),
    ignore = "SPACEWRIGHT_TABLES does not name the folder that holds vnni-block-latency.csv"
)]
fn nine_of_ten_vnni_blocks_lie_in_their_interval() {
    let rows = published::intel_vnni(folder()).unwrap().rows;
    let held = &Split::rows(rows.len(), 5, 0).folds[0];
    let seen = rows.subset(|index| !held[index]);
    let (settings, rules) = (Settings::default(), FusionRules::common());
    let errors = held_out(&seen, &settings, &Split::rows(seen.len(), 4, 1)).unwrap();
    let [name, summary, source, fingerprint] = ["x", "", "", ""].map(str::to_owned);
    let statement =
        ModelDescription { name, summary, source, fingerprint, precision: Precision::Int8 };
    let model = fit_model(&seen, &settings, &rules, statement, &[errors]).unwrap();
    let predictor = Predictor::new(model).unwrap();
    let lies_within = |row: KernelSum| {
        let repeated = |(kernel, count): &(u32, f32)| {
            std::iter::repeat_n(rows.kernels()[*kernel as usize], *count as usize)
        };
        let kernels: Vec<Kernel> = row.counts.iter().flat_map(repeated).collect();
        let mut ms = vec![0.0; kernels.len()];
        predictor.kernels(&kernels, &mut ms);
        let predicted = predictor.sum(&kernels, &ms);
        (predicted.low_ms..=predicted.high_ms).contains(&row.ms)
    };
    let test: Vec<KernelSum> =
        rows.iter().enumerate().filter(|(index, _)| held[*index]).map(|(_, row)| row).collect();
    let within = test.iter().filter(|row| lies_within(**row)).count() as f64 / test.len() as f64;
    assert!((0.885..=0.915).contains(&within), "{within}");
}
