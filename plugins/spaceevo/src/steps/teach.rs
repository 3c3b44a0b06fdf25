//! The teacher: a network that the study trains, or one from outside.

use std::{collections::BTreeMap, fs};

use serde::{Deserialize, Serialize};
use spacewright_core::{
    graph::{Graph, Shape},
    import::{GRAPH, WEIGHTS},
    operators::BlockConfig,
    space::{BlockChoice, Candidate, ElasticStage, SubStage, Subnet, network, subnet_segments},
    study::{
        Artifact, FieldError, FileError, Section, Step, StepContext, StepError, StepNeeds,
        StudyContext, Task,
    },
    train::{Accuracies, Phase, TeachJob, TeachReport, Teacher, TeacherStart},
};

use super::outside;
use crate::{
    settings::TeachSettings,
    stage_ends::{check_sizes, stage_ends, with_classes},
};

/// Folder of a run that holds the teacher as a network from outside is kept.
const FOLDER: &str = "teacher";

/// A trained teacher, all but its weights.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaughtTeacher {
    /// What it achieves.
    pub report: TeachReport,
    /// See [`Teacher::graph`].
    pub graph: Graph,
    /// See [`Teacher::ends`].
    pub ends: Vec<String>,
}

/// What the teacher achieves. Shares are fractions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Taught {
    /// Of held-out images that it classifies correctly.
    pub held_out_accuracy: f64,
    /// Of test images that it classifies correctly.
    pub test_accuracy: f64,
    /// Before the study trained it, where it is one from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Accuracies>,
}

/// Trains the teacher.
pub struct Teach;

impl Teach {
    /// The training of the teacher; its file holds the weights.
    pub const TEACHER: Artifact<TaughtTeacher> = Artifact::new(Self::NAME, "teacher");

    /// The teacher of a study, for other steps.
    pub(crate) fn teacher(context: &dyn StepContext) -> Result<Teacher, StepError> {
        let TaughtTeacher { graph, ends, .. } = context.get(&Self::TEACHER)?;
        Ok(Teacher { graph, ends, weights: context.file(&Self::TEACHER)? })
    }

    /// Images that the study trains its teacher on.
    pub(crate) fn images(
        study: &StudyContext,
        settings: &TeachSettings,
    ) -> Result<usize, StepError> {
        let (job, _) = job(study, settings)?;
        Ok(job.phase.as_ref().map_or(0, crate::settings::images))
    }
}

impl Step for Teach {
    const NAME: &'static str = "teach";
    const SUMMARY: &'static str = "train the teacher";
    const READS: &'static [&'static str] = &[];
    const NEEDS: StepNeeds = StepNeeds::TRAINING;
    const SHARED: bool = true;

    type Settings = TeachSettings;
    type Output = Taught;

    fn check(&self, study: &StudyContext, settings: &TeachSettings) -> Result<(), FieldError> {
        job(study, settings).map(drop)
    }

    fn run(&self, context: &dyn StepContext, settings: TeachSettings) -> Result<Taught, StepError> {
        let trainer = super::trainer(context)?;
        let train = context.train_context()?;
        let (job, ends) = job(context.study(), &settings)?;
        let macs = job.graph.macs().map_err(StepError::method)? as f64 / 1e6;
        context.say(&format!("the teacher computes {macs:.1} million multiply-adds per image"));
        if !settings.model.is_empty() {
            context.say(&format!("its stem and stages end with {}", ends.join(", ")));
        }
        let TaughtTeacher { report, graph, .. } =
            context.task(Task::new(Self::TEACHER.task(), |files, monitor| {
                let report = trainer.teach(&train, &job, &files.output, &files.scratch, monitor)?;
                Ok(TaughtTeacher { report, graph: job.graph.clone(), ends: ends.clone() })
            }))?;
        let say = |accuracies: Accuracies, when: &str| {
            let Accuracies { held_out, test } = accuracies;
            context.say(&format!("teacher{when}: {:.2} % of held-out images", 100.0 * held_out));
            context.say(&format!("teacher{when}: {:.2} % of test images", 100.0 * test));
        };
        let before = report.before.filter(|_| job.phase.is_some());
        if let Some(before) = before {
            say(before, " before fine-tuning");
        }
        say(report.accuracies, "");
        let weights = context.file(&Self::TEACHER)?;
        let weights = fs::read(&weights).map_err(FileError::at(&weights))?;
        let graph = serde_json::to_vec_pretty(&graph).map_err(StepError::method)?;
        context.publish(&format!("{FOLDER}/{GRAPH}"), &graph)?;
        context.publish(&format!("{FOLDER}/{WEIGHTS}"), &weights)?;
        let Accuracies { held_out, test } = report.accuracies;
        Ok(Taught { held_out_accuracy: held_out, test_accuracy: test, before })
    }
}

/// How the teacher is trained, and the nodes at which its stem and stages end.
fn job(
    study: &StudyContext,
    settings: &TeachSettings,
) -> Result<(TeachJob, Vec<String>), FieldError> {
    if settings.model.is_empty() { own(study, settings) } else { from_outside(study, settings) }
}

/// Side of the images that the teacher is trained on.
fn side(study: &StudyContext) -> usize {
    let hyperspace = &study.hyperspace;
    let resolutions = hyperspace.resolutions.iter().chain(&hyperspace.table_resolutions);
    resolutions.max().copied().unwrap_or(1)
}

/// A trained network, with a new last layer where its classes are not those of the images.
fn from_outside(
    study: &StudyContext,
    settings: &TeachSettings,
) -> Result<(TeachJob, Vec<String>), FieldError> {
    let refused = |field: &str, reason: String, hint: &str| {
        FieldError::refused(TeachSettings::NAME, field, reason, hint)
    };
    let mut graph = outside::graph(study, (TeachSettings::NAME, "model"), &settings.model)?;
    let hyperspace = &study.hyperspace;
    let (channels, classes) = (graph.input.channels, hyperspace.classes);
    graph.input = Shape::square(channels, side(study));
    let unfit = |error: &dyn ToString| {
        refused("model", error.to_string(), "take a network for images of such a size")
    };
    let given = graph.output_shape().map_err(|error| unfit(&error))?;
    let mut new_nodes = Vec::new();
    if given != Shape::new(classes, 1, 1) {
        let (with, node) = with_classes(graph, classes).ok_or_else(|| {
            let reason = format!(
                "it gives {given} for {classes} classes, and its last node is no linear layer"
            );
            refused("model", reason, "take a network that ends with its logits")
        })?;
        graph = with;
        let given = graph.output_shape().map_err(|error| unfit(&error))?;
        if given != Shape::new(classes, 1, 1) {
            let reason = format!("with a new last layer it gives {given} for {classes} classes");
            return Err(refused(
                "model",
                reason,
                "take a network that gives one value for each class",
            ));
        }
        new_nodes.push(node);
    }
    let stem = hyperspace.stem.iter().map(|stage| stage.stride).product();
    let strides: Vec<usize> =
        std::iter::once(stem).chain(hyperspace.stages.iter().map(|stage| stage.stride)).collect();
    let stages = "name the nodes at which its stem and each of its stages end, as its `graph.json` calls them";
    let ends = stage_ends(&graph, &strides, &settings.stages)
        .map_err(|error| refused("stages", error.to_string(), stages))?;
    for &resolution in &hyperspace.table_resolutions {
        let graph = Graph { input: Shape::square(channels, resolution), ..graph.clone() };
        check_sizes(&graph, &strides, &ends)
            .map_err(|error| refused("stages", error.to_string(), stages))?;
    }
    let phase = settings.finetuned(!new_nodes.is_empty());
    let rates = rates(&graph, &ends, settings.stage_rate);
    let weights = study.folder.join(&settings.model).join(WEIGHTS);
    let start = TeacherStart::Trained { weights, new_nodes, rates };
    Ok((whole_job(graph, start, phase, settings), ends))
}

fn whole_job(
    graph: Graph,
    start: TeacherStart,
    phase: Option<Phase>,
    settings: &TeachSettings,
) -> TeachJob {
    let (augment, label_smoothing) = (settings.augment.clone(), settings.label_smoothing);
    TeachJob { graph, start, phase, augment, label_smoothing }
}

/// Learning rates of nodes as shares: 1 behind the last stage, and `share` times as much in each part before
/// (discriminative fine-tuning, arXiv 1801.06146).
fn rates(graph: &Graph, ends: &[String], share: f64) -> BTreeMap<String, f64> {
    let mut rates = BTreeMap::new();
    let mut left = ends.len();
    for node in &graph.nodes {
        if left > 0 {
            rates.insert(node.name.clone(), share.powi(left as i32));
        }
        let passed = |end: &String| *end == node.name;
        left -= usize::from(left > 0 && ends.get(ends.len() - left).is_some_and(passed));
    }
    rates
}

/// The teacher as the only subnet of stages that have one choice each; names and strides are the
/// hyperspace's.
fn own(
    study: &StudyContext,
    settings: &TeachSettings,
) -> Result<(TeachJob, Vec<String>), FieldError> {
    let hyperspace = &study.hyperspace;
    let count = hyperspace.stages.len();
    let per_stage = |field: &str, given: &[usize], default: Vec<usize>| match given.len() {
        0 => Ok(default),
        length if length == count && !given.contains(&0) => Ok(given.to_vec()),
        length => Err(FieldError::refused(
            TeachSettings::NAME,
            field,
            format!("has {length} entries, or a zero among them"),
            format!("give one positive number for each of the {count} stages, or leave it empty"),
        )),
    };
    let largest = |widths: &[usize]| widths.iter().max().copied().unwrap_or_default();
    let widths = hyperspace.stages.iter().map(|stage| 2 * largest(&stage.widths)).collect();
    let widths = per_stage("widths", &settings.widths, widths)?;
    let depths = hyperspace.stages.iter().map(|stage| stage.depths[1]).collect();
    let depths = per_stage("depths", &settings.depths, depths)?;

    let mut stages = hyperspace.stem_stages();
    for stage in &mut stages {
        let width =
            if settings.stem_width > 0 { settings.stem_width } else { largest(&stage.widths) };
        stage.widths = vec![width];
        stage.depths = [1, 1];
    }
    let choices =
        settings.config.iter().map(|(axis, value)| (axis.clone(), vec![*value])).collect();
    let candidate =
        Candidate { block: settings.block.clone(), activation: settings.activation, choices };
    for ((stage, width), depth) in hyperspace.stages.iter().zip(widths).zip(depths) {
        stages.push(ElasticStage {
            name: stage.name.clone(),
            stride: stage.stride,
            widths: vec![width],
            depths: [depth, depth],
            candidate: candidate.clone(),
        });
    }
    let block = |stage: &ElasticStage| BlockChoice {
        width: stage.widths[0],
        config: BlockConfig(
            stage.candidate.choices.iter().map(|(a, v)| (a.clone(), v[v.len() - 1])).collect(),
        ),
    };
    let sub_stage = |stage: &ElasticStage| SubStage { blocks: vec![block(stage); stage.depths[1]] };
    let subnet = Subnet { stages: stages.iter().map(sub_stage).collect(), resolution: side(study) };
    let hint = "`block` and `config` must be a block type with a value for each of its axes";
    let unfit = |error: &dyn ToString| {
        FieldError::refused(TeachSettings::NAME, "block", error.to_string(), hint)
    };
    let segments = subnet_segments(&study.operators, hyperspace, &stages, &subnet)
        .map_err(|error| unfit(&error))?;
    // What leaves the stem is what the first choice stage reads.
    let choices = segments.iter().take(stages.len()).skip(hyperspace.stem.len() - 1);
    let ends = choices.map(|part| part.graph.value_name(part.graph.output).to_owned()).collect();
    let graph = network(segments).map_err(|error| unfit(&error))?;
    let phase = Some(settings.phase.clone());
    Ok((whole_job(graph, TeacherStart::Random, phase, settings), ends))
}
