//! Training of teachers, in floating point.

use std::path::Path;

use spacewright_core::train::{
    Accuracies, Monitor, Phase, TeachJob, TeachReport, TeacherStart, TrainError,
};

use crate::{
    batches::{self, PendingBatch, Sampler, Views},
    classify::{EVALUATION_BATCH, classify},
    context::Context,
    fit::{Fit, Fitted},
    interpret::{Norm, Run, Statistics},
    layout::Layout,
    loader::{Ahead, STEPS_AHEAD},
    losses,
    optim::Rule,
    params::Params,
    plan::Plan,
    recalibrate::recalibrate,
    stopwatch::{Part, Stopwatch},
};

/// Images whose statistics the teacher's batch normalization keeps. Twice as many as supernets
/// take between phases: all features rest on them.
const STATISTICS_IMAGES: usize = 2048;

/// Trains the weights from what they are.
fn fit(
    context: &Context,
    (job, phase): (&TeachJob, &Phase),
    (layout, plan): (&Layout, &Plan),
    params: &mut Params,
    scratch: &Path,
    monitor: &dyn Monitor,
) -> Result<Fitted, TrainError> {
    let mut sampler = Sampler::new(context.images.train.to_vec(), context.seed, "teach");
    let views = Views::new(context, &job.augment, 0, "teach");
    let (side, mut ahead) = (job.graph.input.height, Ahead::new(phase.steps, STEPS_AHEAD));
    let rates = match &job.start {
        TeacherStart::Random => Default::default(),
        TeacherStart::Trained { rates, .. } => rates.clone(),
    };
    let watch = Stopwatch::new();
    let fit = Fit {
        what: "teacher",
        name: "fp32",
        phase,
        rule: Rule::Sgd,
        slower: 1.0,
        rates,
        seed: context.seed,
        group: context.group.as_deref(),
        checkpoint: &scratch.join("teacher.safetensors"),
        learns_quantizers: false,
        layout,
        offset: 0,
        total: phase.steps,
        watch: &watch,
    };
    let fitted = fit.run(params, monitor, |params, step, _| {
        let pending = ahead.take(step, |step| {
            let sampled = sampler.batch(step, phase.batch);
            Ok::<_, TrainError>(PendingBatch::new(context, &views, sampled, [side]))
        })?;
        let batch = watch.time(Part::Data, || pending.wait())?;
        let run = Run { params, quantized: false, dropout: true, factors: context.factors() };
        let loss = watch.time(Part::Forward, || {
            let logits = run.logits(plan, batch.inputs(side)?, &mut Norm::Batch)?;
            Ok::<_, TrainError>(losses::cross_entropy(&logits, &batch.labels, job.label_smoothing))
        })?;
        watch.time(Part::Backward, || loss.backward());
        Ok(loss.double_value(&[]))
    })?;
    watch.tell("teacher");
    Ok(fitted)
}

/// Trains a teacher, or judges one that is trained; its file has the statistics of its batch normalization, too.
/// Of several processes the first one judges it, and writes it.
pub fn teach(
    context: &Context,
    job: &TeachJob,
    output: &Path,
    scratch: &Path,
    monitor: &dyn Monitor,
) -> Result<TeachReport, TrainError> {
    let mut layout = Layout::default();
    layout.include(&job.graph, &context.scheme)?;
    let plan = Plan::new(&job.graph, &context.scheme)?;
    let mut params = Params::init(&layout, context.seed).on(context.device);
    let mut given = None;
    if let TeacherStart::Trained { weights, new_nodes, .. } = &job.start {
        params.replace_from(weights, new_nodes)?;
        given = Some(Statistics::in_file(&Params::load(weights)?.on(context.device)));
    }
    let side = job.graph.input.height;
    let judge = |params: &Params, statistics: &Statistics| {
        let run = Run { params, quantized: false, dropout: false, factors: context.factors() };
        let accuracy = |images: &[usize]| {
            let predictions = classify(context, &run, &plan, statistics, images, side)?;
            Ok::<_, TrainError>(predictions.accuracy(&context.images.labels(images)))
        };
        let held_out = accuracy(&context.images.held_out)?;
        Ok::<_, TrainError>(Accuracies { held_out, test: accuracy(&context.images.test)? })
    };
    let mut before = None;
    if let Some(given) = given.as_ref().filter(|_| context.is_first()) {
        before = Some(judge(&params, given)?);
    }
    let fitted = match &job.phase {
        Some(phase) => {
            let planned = (&layout, &plan);
            Some(fit(context, (job, phase), planned, &mut params, scratch, monitor)?)
        }
        None => None,
    };
    let loss = fitted.as_ref().map(|fitted| fitted.loss);
    if !context.is_first() {
        let accuracies = Accuracies { held_out: f64::NAN, test: f64::NAN };
        return Ok(TeachReport { accuracies, before, loss });
    }

    let statistics = match given.filter(|_| fitted.is_none()) {
        Some(given) => given,
        None => {
            let calibration = batches::fixed_sample(context, "teacher", STATISTICS_IMAGES);
            let inputs = batches::judged(context, &calibration, EVALUATION_BATCH, side);
            let factors = context.factors();
            let run = Run { params: &params, quantized: false, dropout: false, factors };
            recalibrate(&run, &plan, inputs)?
        }
    };
    let accuracies = judge(&params, &statistics)?;
    if let Some(fitted) = &fitted {
        fitted.judged(monitor, accuracies.held_out);
    }
    for (node, (mean, var)) in statistics.values {
        params.insert(format!("{node}.mean"), mean);
        params.insert(format!("{node}.var"), var);
    }
    params.save(output)?;
    Ok(TeachReport { accuracies, before, loss })
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use spacewright_core::space::{Space, Subnet};

    use super::*;
    use crate::{
        plan::subnet_graph,
        testing::{self, Unwatched},
    };

    /// A teacher that was trained for two steps: its job, and what the file at `path` achieves.
    fn trained(context: &Context, folder: &Path, path: &Path) -> (TeachJob, TeachReport) {
        let name = context.hyperspace.name.clone();
        let space = Space { hyperspace: name, blocks: vec![1, 3], windows: vec![0, 0] };
        let stages = space.elastic_stages(&context.hyperspace);
        let job = TeachJob {
            graph: subnet_graph(context, &stages, &Subnet::largest(&stages, &[16])).unwrap(),
            start: TeacherStart::Random,
            phase: Some(testing::phase(2)),
            augment: Vec::new(),
            label_smoothing: 0.0,
        };
        let report = teach(context, &job, path, &folder.join("scratch"), &Unwatched).unwrap();
        (job, report)
    }

    #[test]
    fn a_trained_network_teaches_as_it_is() {
        let context = testing::context();
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (job, report) = trained(&context, folder.path(), &path("first"));
        let (weights, new_nodes, rates) = (path("first"), Vec::new(), BTreeMap::new());
        let start = TeacherStart::Trained { weights, new_nodes, rates };
        let again = TeachJob { start, phase: None, ..job };
        let taken = teach(&context, &again, &path("second"), &path("none"), &Unwatched).unwrap();
        assert_eq!(taken.accuracies, report.accuracies);
        assert_eq!((taken.before, taken.loss), (Some(report.accuracies), None));
        assert_eq!(fs::read(path("first")).unwrap(), fs::read(path("second")).unwrap());
    }

    #[test]
    fn a_new_last_layer_starts_at_random_and_others_keep_their_rates() {
        let context = testing::context();
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (job, _) = trained(&context, folder.path(), &path("first"));
        let last = job.graph.value_name(job.graph.output).to_owned();
        let frozen = job.graph.nodes.iter().filter(|node| node.name != last);
        let rates = frozen.map(|node| (node.name.clone(), 0.0)).collect();
        let (weights, new_nodes) = (path("first"), vec![last.clone()]);
        let start = TeacherStart::Trained { weights, new_nodes, rates };
        let again = TeachJob { start, ..job };
        teach(&context, &again, &path("second"), &path("scratch 2"), &Unwatched).unwrap();
        let [first, second] = ["first", "second"].map(|name| Params::load(&path(name)).unwrap());
        for (name, tensor) in &first.0 {
            let is_new = name.starts_with(&format!("{last}."));
            let is_statistic = name.ends_with(".mean") || name.ends_with(".var");
            assert!(is_statistic || tensor.equal(&second.0[name]) != is_new, "{name}");
        }
    }
}
