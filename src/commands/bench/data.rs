//! How fast the images of a study become network inputs.

use std::time::{Duration, Instant};

use rand::seq::SliceRandom;
use serde::Serialize;
use spacewright_core::{
    data::{Draw, StudyImages, Transform},
    random,
};
use spacewright_data::Catalog;

use crate::{
    cli::{Global, StudyArgs},
    commands::run::open,
    progress::Shown,
    render::{Failure, Output, Table, grouped},
};

/// How long each way is measured.
const LASTING: Duration = Duration::from_secs(2);

/// Images that are asked for at once.
const AT_ONCE: usize = 16;

#[derive(Serialize)]
struct DataReport {
    /// Side of the network's input, in pixels: the hyperspace's largest.
    side: usize,
    /// Images that are trained on.
    train_images: usize,
    /// Bytes of decoded images that are kept.
    kept_bytes: u64,
    /// From the set's own files, per second on one thread.
    decoded_per_second: f64,
    /// As they are judged, per second on one thread.
    judged_per_second: f64,
    /// As they are trained on, per second on one thread.
    augmented_per_second: f64,
}

pub fn run(args: &StudyArgs, global: &Global) -> Result<Output, Failure> {
    let engine = open(args, Vec::new(), global)?;
    let shown = Shown::new(global.quiet);
    let context = engine.train_context(|done, total| shown.goes_on(done, total));
    drop(shown);
    let images = context?.images;
    let side = engine.context().hyperspace.resolutions.iter().max().copied().unwrap_or(1);
    let (catalog, kept_bytes) = (engine.data().catalog()?, engine.data().kept_bytes()?);
    let training = images.training_with(&[]);
    let report = DataReport {
        side,
        train_images: images.train.len(),
        kept_bytes,
        decoded_per_second: per_second(&images, |draws| decode(&catalog, draws))?,
        judged_per_second: per_second(&images, |draws| {
            inputs(&images, draws, &images.judging, side)
        })?,
        augmented_per_second: per_second(&images, |draws| inputs(&images, draws, &training, side))?,
    };
    Output::new(text(&report), &report)
}

fn decode(catalog: &Catalog, draws: &[Draw]) -> Result<(), Failure> {
    for draw in draws {
        catalog.decode(&catalog.samples[draw.image]).map_err(Failure::input)?;
    }
    Ok(())
}

fn inputs(
    images: &StudyImages,
    draws: &[Draw],
    transforms: &[Transform],
    side: usize,
) -> Result<(), Failure> {
    images.all.inputs(draws, transforms, side).map(drop).map_err(Failure::input)
}

/// Images per second, in random order, as training sees them; what is read for the first time does not count.
fn per_second(
    images: &StudyImages,
    mut work: impl FnMut(&[Draw]) -> Result<(), Failure>,
) -> Result<f64, Failure> {
    let mut order = images.train.to_vec();
    order.shuffle(&mut random::generator(0, &["bench", "order"]));
    let draws: Vec<Draw> =
        order.into_iter().map(|image| Draw::of_view(image, 0, 0, "bench")).collect();
    let (mut done, mut start, mut warm) = (0, Instant::now(), false);
    for chunk in draws.chunks(AT_ONCE).cycle() {
        work(chunk)?;
        done += chunk.len();
        match (warm, start.elapsed() > LASTING) {
            (true, true) => break,
            (false, true) => (done, start, warm) = (0, Instant::now(), true),
            _ => {}
        }
    }
    Ok(done as f64 / start.elapsed().as_secs_f64())
}

fn text(report: &DataReport) -> String {
    let DataReport { side, train_images, kept_bytes, .. } = *report;
    let mut table = Table::new(&["one thread", "images/s"]);
    for (name, rate) in [
        ("decoded, from the set's files", report.decoded_per_second),
        ("judged", report.judged_per_second),
        ("augmented", report.augmented_per_second),
    ] {
        table.row([name.to_owned(), grouped(&format!("{rate:.0}"))]);
    }
    let kept = match kept_bytes {
        0 => "none kept decoded".to_owned(),
        bytes => format!("{:.2} GB kept decoded", bytes as f64 / 1e9),
    };
    format!(
        "{} images to train on, inputs of {side}x{side} pixels, {kept}\n\n{}",
        grouped(&train_images.to_string()),
        table.render()
    )
}
