//! Networks from outside beside those of a study: quantized, measured and judged alike.

use std::{fs, path::PathBuf, sync::Arc};

use spacewright_core::{
    data::StudyImages,
    graph::{Graph, Shape},
    import::{GRAPH, WEIGHTS, graph_of},
    quant::place,
    quantize::{
        QuantizeJob, QuantizeReport, ScaleTraining, no_space, outputs_of_classes, quantize,
    },
    study::{FieldError, Referred, Section, StepContext, StepError, StudyContext, Task},
    train::{LearnScalesJob, TrainContext, TrainError},
};

use super::{export::NetworkLatency, rivals::LeftOut};
use crate::{
    error::SpaceEvoError,
    settings::{ExportSettings, ReportSettings},
};

/// A network from outside that a study names.
pub(crate) struct Outside {
    /// As the study names it.
    pub name: String,
    /// The network.
    pub graph: Graph,
    /// The file of its weights.
    pub weights: PathBuf,
}

/// What a network from outside achieves.
pub(crate) struct JudgedOutside {
    /// As the study names it.
    pub name: String,
    /// After quantization.
    pub quantized: QuantizeReport,
    /// Of the whole network.
    pub latency: NetworkLatency,
}

/// The graph in a folder that a field of a section names.
pub(crate) fn graph(
    study: &StudyContext,
    (section, field): (&str, &str),
    folder: &str,
) -> Result<Graph, FieldError> {
    let path = study.folder.join(folder).join(GRAPH);
    let unread = |error: &dyn ToString| {
        let reason = format!("{}: {}", path.display(), error.to_string());
        let hint = "import it anew with `spacewright model import`";
        FieldError::refused(section, field, reason, hint)
    };
    let content = fs::read(&path).map_err(|error| unread(&error))?;
    let graph = graph_of(&content).map_err(|error| unread(&error))?;
    let (channels, wanted) = (graph.input.channels, study.hyperspace.input_channels);
    if channels != wanted {
        let reason = format!("{folder}: its images have {channels} channels, the study's {wanted}");
        let hint = "`channels` of `[data]` says how images are read";
        return Err(FieldError::refused(section, field, reason, hint));
    }
    Ok(graph)
}

/// The rivals of a study, if they can be judged as its networks are.
pub(crate) fn rivals(
    study: &StudyContext,
    settings: &ReportSettings,
) -> Result<Vec<Outside>, FieldError> {
    let rival = |name: &String| {
        let refused = |reason: String, hint: &str| {
            let reason = format!("{name}: {reason}");
            Err(FieldError::refused(ReportSettings::NAME, "rivals", reason, hint))
        };
        let graph = graph(study, (ReportSettings::NAME, "rivals"), name)?;
        if graph.input.height != graph.input.width {
            let reason = format!("images of {}", graph.input);
            return refused(reason, "square images are known: import it with others by `--size`");
        }
        let classes = study.hyperspace.classes;
        match graph.output_shape() {
            Ok(given) if given == Shape::new(classes, 1, 1) => {}
            Ok(given) => {
                let reason = format!("it gives {given} for {classes} classes");
                return refused(reason, "a rival has to be trained for the study's classes");
            }
            Err(error) => return refused(error.to_string(), "import it anew"),
        }
        if let Err(error) = place(&graph, &study.target.description().scheme) {
            return refused(error.to_string(), "it cannot be quantized for the study's target");
        }
        let weights = study.folder.join(name).join(WEIGHTS);
        Ok(Outside { name: name.clone(), graph, weights })
    };
    settings.rivals.iter().map(rival).collect()
}

/// Quantizes the rivals, runs them on the test images, and measures them, one after the other: a training uses all
/// threads. One that cannot be judged is no reason for a study to have no report.
pub(crate) fn judge(
    context: &dyn StepContext,
    settings: &ReportSettings,
    exported: &ExportSettings,
) -> Result<(Vec<JudgedOutside>, Vec<LeftOut>), StepError> {
    let (mut judged, mut left_out) = (Vec::new(), Vec::new());
    for (index, rival) in rivals(context.study(), settings)?.iter().enumerate() {
        match judge_one(context, settings, exported, (index, rival)) {
            Ok(rival) => judged.push(rival),
            Err(error) if may_pass(&error) => return Err(error),
            Err(error) => {
                let (name, reason) = (rival.name.clone(), error.to_string());
                context.say(&format!("warning: the rival {name} is left out: {reason}"));
                left_out.push(LeftOut { name, reason });
            }
        }
    }
    Ok((judged, left_out))
}

/// Whether an error says nothing of the network, so that the next run may not have it: a trainer that is gone, mostly for
/// want of memory. Others may be about a file or a latency of this network.
fn may_pass(error: &StepError) -> bool {
    match error {
        StepError::Task { source, .. } => may_pass(source),
        StepError::Train(TrainError::Device { .. } | TrainError::Worker { .. })
        | StepError::Cancelled => true,
        _ => false,
    }
}

fn judge_one(
    context: &dyn StepContext,
    settings: &ReportSettings,
    exported: &ExportSettings,
    (index, rival): (usize, &Outside),
) -> Result<JudgedOutside, StepError> {
    let study = context.study();
    let trainer = super::trainer(context)?;
    let train = context.train_context()?;
    let quantizer = study.quantizers.get(&exported.post_training).cloned();
    let not_there = || SpaceEvoError::NotThere(Referred::Quantizer(exported.post_training.clone()));
    let quantizer = quantizer.ok_or_else(not_there)?;
    let own = TrainContext {
        images: images(&train.images, settings),
        hyperspace: no_space(&rival.graph, study.hyperspace.classes),
        quantizer: quantizer.clone(),
        ..train
    };
    let training = settings.rival_training.as_ref().map(|phase| LearnScalesJob {
        graph: rival.graph.clone(),
        weights: rival.weights.clone(),
        phase: phase.clone(),
        calibration_images: exported.calibration_images,
        augment: Vec::new(),
    });
    let outputs = outputs_of_classes(&study.labels, None, study.hyperspace.classes);
    let quantized = context.task(Task::new(format!("rival-{index}"), |files, monitor| {
        let job = QuantizeJob {
            graph: &rival.graph,
            weights: &rival.weights,
            name: &rival.name,
            target: &*study.target,
            trainer: &*trainer,
            context: &own,
            quantizer: &*quantizer,
            calibration_images: exported.calibration_images,
            check_images: exported.check_images,
            labels: &study.labels,
            outputs: outputs.as_deref(),
            training: training.as_ref().map(|job| ScaleTraining {
                job,
                output: &files.output,
                scratch: &files.scratch,
            }),
        };
        Ok(quantize(&job, monitor)?.report)
    }))?;
    let latency = || NetworkLatency::of(context, std::slice::from_ref(&rival.graph));
    let name = format!("rival-{index}-latency");
    let latencies = context.task(Task::new(name, |_, _| latency()))?;
    Ok(JudgedOutside { name: rival.name.clone(), quantized, latency: latencies[0] })
}

/// The study's images as the rivals get them.
fn images(images: &StudyImages, settings: &ReportSettings) -> StudyImages {
    match &settings.rival_transforms[..] {
        [] => images.clone(),
        own => StudyImages { judging: Arc::from(own), ..images.clone() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_fails_at_is_not_the_networks_fault() {
        let dead = TrainError::Worker { source: "killed".into(), hint: "".into() };
        assert!(may_pass(&StepError::from(dead).in_task("rival-0")));
        let wide = TrainError::MissingTensor { name: "stem".into() };
        assert!(!may_pass(&StepError::from(wide).in_task("rival-0")));
    }
}
