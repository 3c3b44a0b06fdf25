//! Fits the models of published measurements and writes them to the targets of their names.
//!
//! `cargo run --release --no-default-features --example fit_published -- DATA` reads
//! `vnni-block-latency.csv` (nn-Meter's public history, MIT licence) and `spaceevo-block-lut`
//! (SpaceEvo's public repository microsoft/Moonlit, MIT licence) from the folder DATA. The models
//! hold fitted parameters only.

#[path = "../tests/latency/published.rs"]
mod published;

use std::{
    env,
    error::Error,
    fs,
    io::{Write, stdout},
    path::Path,
    time::Instant,
};

use spacewright_core::{
    kernel::FusionRules,
    latency::{Accuracy, Precision},
};
use spacewright_latency_model::{
    HeldOutPredictions, Model, ModelDescription, Predictor, Settings, Split, fit_model, held_out,
};

use published::Published;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args().nth(1).ok_or("needs the folder of the published measurements")?;
    let folder = Path::new(&folder);
    let start = Instant::now();
    let vnni = published::intel_vnni(folder)?;
    say(&format!("intel-vnni: {} rows read in {:.1?}", vnni.rows.len(), start.elapsed()))?;
    let model = write(
        &vnni,
        ModelDescription {
            name: "intel-vnni".into(),
            summary: "INT8 blocks on an Intel CPU with VNNI, ONNX Runtime, one thread".into(),
            source: "INT8 latencies of 50,380 blocks in nn-Meter's public history (branch \
                     dev/quantize-predictor, MIT licence), measured for SpaceEvo (arXiv \
                     2303.08308); outliers are kept and weigh less (Cauchy loss)"
                .into(),
            fingerprint: "Intel CPU with VNNI (model not published), ONNX Runtime (version not \
                          published), INT8, one thread"
                .into(),
            precision: Precision::Int8,
        },
    )?;
    let accuracy = elsewhere(&model, &published::tables(folder, "onnxw")?)?;
    report("onnxw tables, sums of several blocks", &accuracy)?;
    let start = Instant::now();
    let pixel = published::tables(folder, "mobilew")?;
    say(&format!("pixel-arm: {} rows read in {:.1?}", pixel.rows.len(), start.elapsed()))?;
    write(
        &pixel,
        ModelDescription {
            name: "pixel-arm".into(),
            summary: "INT8 stages on the CPU of a Pixel 4, TFLite, one thread".into(),
            source: "INT8 latencies of 178,232 parts of networks in SpaceEvo's block-wise tables \
                     (public repository microsoft/Moonlit, MIT licence; arXiv 2303.08308). They \
                     are themselves sums of nn-Meter's predictions for kernels, not measurements"
                .into(),
            fingerprint: "Pixel 4 CPU, TFLite 2.7, INT8, one thread, as predicted by nn-Meter"
                .into(),
            precision: Precision::Int8,
        },
    )?;
    Ok(())
}

fn write(published: &Published, statement: ModelDescription) -> Result<Model, Box<dyn Error>> {
    let Published { rows, widths, blocks } = published;
    let settings = Settings::default();
    let name = statement.name.clone();
    let splits = [Split::rows(rows.len(), 5, 0), Split::keys("width", widths, 8)];
    let mut all = Vec::new();
    for split in &splits {
        let start = Instant::now();
        let predicted = held_out(rows, &settings, split)?;
        say(&format!("{name}, {} ({:.1?})", split.how, start.elapsed()))?;
        report("all", &predicted.accuracy())?;
        for (fold, accuracy) in folds(&predicted, split).iter().enumerate() {
            report(&format!("fold {fold}"), accuracy)?;
        }
        let named = predicted.rows.iter().zip(&predicted.pairs);
        let named = named.map(|(row, (predicted, ms))| (blocks[*row].as_str(), *predicted, *ms));
        for (block, accuracy) in Accuracy::by_name(named) {
            report(&block, &accuracy)?;
        }
        all.push(predicted);
    }
    let start = Instant::now();
    let model = fit_model(rows, &settings, &FusionRules::common(), statement, &all)?;
    let json = model.to_json()?;
    say(&format!("{name}: fitted to all rows in {:.1?}, {} bytes", start.elapsed(), json.len()))?;
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("hardware-targets")
        .join(&name)
        .join("model.json");
    fs::write(file, json)?;
    Ok(model)
}

/// How well a model predicts other rows than those of its fit.
fn elsewhere(model: &Model, published: &Published) -> Result<Accuracy, Box<dyn Error>> {
    let predictor = Predictor::new(model.clone())?;
    let mut ms = vec![0.0; published.rows.kernels().len()];
    predictor.kernels(published.rows.kernels(), &mut ms);
    Ok(Accuracy::of(published.rows.iter().map(|row| (row.sum(&ms), row.ms))))
}

/// The accuracy of each fold: predictions stand in the order of folds.
fn folds(predicted: &HeldOutPredictions, split: &Split) -> Vec<Accuracy> {
    let mut rest = predicted.pairs.as_slice();
    let fold = |held: &Vec<bool>| {
        let (of, after) = rest.split_at(held.iter().filter(|held| **held).count());
        rest = after;
        Accuracy::of(of.iter().copied())
    };
    split.folds.iter().map(fold).collect()
}

fn report(what: &str, accuracy: &Accuracy) -> Result<(), Box<dyn Error>> {
    let Accuracy { rows, within_5, within_10, median_error, mape } = accuracy;
    let [w5, w10, median, mape] =
        [within_5, within_10, median_error, mape].map(|share| 100.0 * share);
    say(&format!(
        "  {what:<22}{rows:>7} rows, {w5:6.2} % within 5 %, {w10:6.2} % within 10 %, \
         median {median:.3} %, mean {mape:.2} %"
    ))
}

fn say(line: &str) -> Result<(), Box<dyn Error>> {
    Ok(writeln!(stdout().lock(), "{line}")?)
}
