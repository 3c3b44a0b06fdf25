//! How fast supernets are trained, on images of noise.

use std::sync::Arc;

use rand::Rng;
use serde::Serialize;
use spacewright_core::{
    data::{Flip, Interpolation, Resize, StudyImages, Transform},
    random,
    space::Hyperspace,
    train::{
        BenchmarkJob, BenchmarkReport, Device, Precision, SUBNETS_PER_STEP, TrainContext,
        TrainingPhases,
    },
};
use spacewright_data::{Catalog, CatalogImages, Part};
use spacewright_engine::{Chosen, EngineError, Threads};

use crate::{
    catalog,
    cli::{BenchTrainArgs, Global},
    progress::Shown,
    render::{Failure, Output, Table},
};

/// Images that there are; few, as it does not matter which are seen.
const IMAGES: usize = 512;

#[derive(Serialize)]
struct TrainingReport {
    space: String,
    /// Side of the input images, in pixels.
    side: usize,
    /// Images of each of the four subnets of a step.
    batch: usize,
    steps: usize,
    threads: usize,
    processes: usize,
    device: Device,
    /// How exactly convolutions and linear layers multiply.
    precision: Precision,
    /// Who trains.
    trainer: String,
    /// An image counts once for each subnet that sees it.
    fp32_images_per_second: f64,
    int8_images_per_second: f64,
    /// Without quantizers, while sizes of layers come for the first time: on GPUs, where that matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    fp32_images_per_second_of_new_sizes: Option<f64>,
    /// The time of a step with quantizers over that of one without.
    int8_over_fp32: f64,
    /// Shares of the time; on a GPU, of the time to tell it what to compute, and waiting for it is overhead.
    phases: Phases,
}

#[derive(Serialize)]
struct Phases {
    fp32: TrainingPhases,
    int8: TrainingPhases,
}

pub fn run(args: &BenchTrainArgs, global: &Global) -> Result<Output, Failure> {
    let registry = catalog::registry()?;
    let (hyperspace, space) = catalog::space(&args.space, args.hyperspace.as_deref())?;
    let threads = global.threads.map_or_else(rayon::current_num_threads, Into::into);
    let chosen = args.compute.settings().choose(&registry, Threads::InAll(threads));
    let Chosen { compute, trainer } = chosen.map_err(EngineError::from)?;
    let trainer = trainer.ok_or_else(|| Failure::failed("this program has no trainer"))?;
    trainer.prepare()?;
    let side = hyperspace.resolutions.iter().max().copied().unwrap_or(1);
    let job = BenchmarkJob {
        stages: space.elastic_stages(&hyperspace),
        batch: args.batch.into(),
        micro_batch: args.micro_batch.into(),
        steps: args.steps.into(),
        plan: args.plan.clone(),
    };
    let context = TrainContext {
        operators: registry.operators(),
        images: noise(&hyperspace, side),
        scheme: catalog::target(&registry, &args.target)?.description().scheme,
        quantizer: registry.quantizer("lsq-plus")?,
        hyperspace,
        seed: global.seed.unwrap_or_default(),
    };
    let shown = Shown::new(global.quiet);
    let measured = trainer.benchmark(&context, &job, &shown);
    drop(shown);
    let BenchmarkReport { fp32, int8 } = measured?;
    let report = TrainingReport {
        space: args.space.clone(),
        side,
        batch: job.batch,
        steps: job.steps,
        threads,
        processes: compute.processes,
        device: compute.device,
        precision: compute.precision,
        trainer: trainer.fingerprint(),
        fp32_images_per_second: fp32.images_per_second,
        int8_images_per_second: int8.images_per_second,
        fp32_images_per_second_of_new_sizes: fp32.images_per_second_of_new_sizes,
        int8_over_fp32: int8.seconds_per_step / fp32.seconds_per_step,
        phases: Phases { fp32: fp32.phases, int8: int8.phases },
    };
    Output::new(text(&report), &report)
}

/// Images of noise as large as the inputs of networks.
fn noise(hyperspace: &Hyperspace, side: usize) -> StudyImages {
    let (channels, classes) = (hyperspace.input_channels, hyperspace.classes);
    let mut rng = random::generator(0, &["bench", "noise"]);
    let pixels = (0..IMAGES * channels * side * side).map(|_| rng.random()).collect();
    let labels = (0..IMAGES).map(|image| (image % classes) as u32).collect();
    let names = (0..classes).map(|class| class.to_string()).collect();
    let parts = vec![(Part::Train, pixels, labels)];
    // Subnets may have smaller inputs.
    let resize =
        Transform::Resize(Resize { crop_share: 1.0, interpolation: Interpolation::Bilinear });
    let catalog = Catalog::in_memory("noise", names, [channels, side, side], parts);
    StudyImages {
        all: Arc::new(CatalogImages::new(Arc::new(catalog), None, channels)),
        train: (0..IMAGES).collect(),
        held_out: [0].into(),
        test: [0].into(),
        judging: [resize.clone()].into(),
        training: [resize, Transform::Flip(Flip::default())].into(),
    }
}

fn text(report: &TrainingReport) -> String {
    let mut table =
        Table::new(&["", "images/s", "data", "forward", "backward", "optimizer", "all else"]);
    let rates = [report.fp32_images_per_second, report.int8_images_per_second];
    let phases = [report.phases.fp32, report.phases.int8];
    for ((name, rate), phases) in ["FP32", "INT8"].into_iter().zip(rates).zip(phases) {
        let TrainingPhases { data, forward, backward, optimizer, overhead } = phases;
        let shares = [data, forward, backward, optimizer, overhead];
        let shares = shares.map(|share| format!("{:.1} %", 100.0 * share));
        let cells = [name.to_owned(), format!("{rate:.0}")].into_iter().chain(shares);
        table.cells(cells.collect());
    }
    let new_sizes = report.fp32_images_per_second_of_new_sizes.map(|rate| {
        format!(
            "; {rate:.0} images/s while sizes come for the first time\n\
             shares are of the time to tell the GPU what to compute; all else is waiting for it"
        )
    });
    format!(
        "{}: {SUBNETS_PER_STEP} subnets a step, {} images each of {}x{} pixels; {}\n\n{}\n\n\
         a step with quantizers takes {:.2} times as long{}",
        report.space,
        report.batch,
        report.side,
        report.side,
        report.trainer,
        table.render(),
        report.int8_over_fp32,
        new_sizes.unwrap_or_default()
    )
}
