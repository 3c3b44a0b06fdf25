//! Model files of the chosen subnets, verified by the target's runtime on the whole test set.

mod network;

use std::{fs, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spacewright_core::{
    data::label_lines,
    graph::Graph,
    import::{GRAPH, WEIGHTS},
    latency::{Latency, Position, Precision},
    network_files::QUANTIZATION,
    space::{ElasticStage, Subnet},
    study::{
        Artifact, FieldError, FileError, FlagValue, OtherFormat, Section, Step, StepContext,
        StepError, StepFlag, StepNeeds, StudyContext, Task,
    },
    train::EvaluateJob,
};

use network::{Candidate, OtherRuntime, Verifier};
pub use network::{TranslatedNetwork, VerifiedNetwork};

use super::{
    evolve::Evolve,
    finetune::{Finetune, FinetunedNetwork, OfferedNetwork},
    on_runtime::OnRuntime,
    search::ChosenSubnet,
    train::{self, Train},
};
use crate::{
    network_parts::{self, PartLatencies},
    settings::ExportSettings,
};

/// Latency of a whole network as the target's source gives it, in milliseconds for one image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkLatency {
    /// INT8 latency of the whole network, in milliseconds.
    pub int8_ms: f64,
    /// Half of the measured runs in INT8 take at most this much longer, in milliseconds.
    pub int8_spread_ms: f64,
    /// FP32 latency of the whole network, in milliseconds; none where the target's latencies are known in INT8 only.
    pub fp32_ms: Option<f64>,
    /// Half of the measured runs in FP32 take at most this much longer, in milliseconds; none where `fp32_ms` is.
    pub fp32_spread_ms: Option<f64>,
}

impl NetworkLatency {
    /// Latencies of whole networks at the precisions that the target's latencies are known at.
    pub(crate) fn of(context: &dyn StepContext, graphs: &[Graph]) -> Result<Vec<Self>, StepError> {
        let known = context.study().target.latency_source()?.precisions();
        let mut precisions = vec![Precision::Int8];
        precisions.extend(known.contains(&Precision::Fp32).then_some(Precision::Fp32));
        let mut queries = Vec::new();
        for graph in graphs {
            for &precision in &precisions {
                queries.push(network_parts::query(graph.clone(), Position::Whole, precision));
            }
        }
        let latencies = context.latencies(&queries)?;
        let of_network = |latencies: &[Latency]| Self {
            int8_ms: latencies[0].ms,
            int8_spread_ms: latencies[0].spread_ms,
            fp32_ms: latencies.get(1).map(|fp32| fp32.ms),
            fp32_spread_ms: latencies.get(1).map(|fp32| fp32.spread_ms),
        };
        Ok(latencies.chunks_exact(precisions.len()).map(of_network).collect())
    }

    /// FP32 latency over INT8 latency; `None` where the former is not known.
    pub fn speed_up(&self) -> Option<f64> {
        self.fp32_ms.map(|fp32_ms| fp32_ms / self.int8_ms)
    }
}

/// Latency of one block of a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerLatency {
    /// Stage and index of the block within it, or the name of the head block.
    pub layer: String,
    /// In integers, in milliseconds, as a part of the sum that predicts the whole.
    pub int8_ms: f64,
}

/// A network with its files and latencies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExportedNetwork {
    /// Position of its budget among all budgets.
    pub budget: usize,
    /// As it was searched.
    pub chosen: ChosenSubnet,
    /// What training it alone gave; `None` where it has the supernet's weights.
    pub finetuned: Option<FinetunedNetwork>,
    /// As its runtime computes it.
    pub verified: VerifiedNetwork,
    /// Of the whole.
    pub latency: NetworkLatency,
    /// Of its blocks, from the input to the output.
    pub layers: Vec<LayerLatency>,
}

/// Writes and verifies model files.
pub struct Export;

impl Export {
    /// The verified network of one budget; its folder holds the model files.
    fn network(index: usize) -> Artifact<VerifiedNetwork> {
        Artifact::of_task(Self::NAME, format!("network-{index}"))
    }
}

impl Step for Export {
    const NAME: &'static str = "export";
    const SUMMARY: &'static str = "write and verify model files";
    const READS: &'static [&'static str] = &[Evolve::NAME, Train::NAME, Finetune::NAME];
    const NEEDS: StepNeeds = StepNeeds { training: true, latencies: true, runtime: true };
    const FLAGS: &'static [StepFlag] = &[StepFlag {
        flag: "format",
        value: FlagValue::Texts("FORMAT"),
        section: "export",
        field: "formats",
        help: "Formats besides that of the study's target: `onnx`, `tflite` or `all`; may be \
               given several times. For this call only: `formats` below [export] keeps them",
    }];

    type Settings = ExportSettings;
    /// The networks that were found, in the order of their budgets.
    type Output = Vec<ExportedNetwork>;

    fn check(&self, study: &StudyContext, settings: &ExportSettings) -> Result<(), FieldError> {
        for OtherFormat { format, target } in study.other_formats(&settings.formats) {
            if let Err(error) = target.runtime() {
                let reason = format!("nothing here writes and runs `{format}`: {error}");
                let hint = "install its runtime, or leave the format out";
                return Err(FieldError::refused(ExportSettings::NAME, "formats", reason, hint));
            }
        }
        Ok(())
    }

    fn run(
        &self,
        context: &dyn StepContext,
        settings: ExportSettings,
    ) -> Result<Vec<ExportedNetwork>, StepError> {
        let study = context.study();
        let trainer = super::trainer(context)?;
        let train = context.train_context()?;
        let runtime = study.target.runtime()?;
        let evolved = context.get(&Evolve::OUTPUT)?;
        let stages = evolved.space().elastic_stages(&study.hyperspace);
        let supernet = context.file(&Train::SUPERNET)?;
        let job = |weights: PathBuf, quantized| EvaluateJob {
            stages: stages.clone(),
            weights,
            quantized,
            calibration_images: settings.calibration_images,
            judge_images: 1,
        };
        let others = study.other_formats(&settings.formats);
        let other = |OtherFormat { format, target }: OtherFormat| {
            let name = target.description().name;
            Ok(OtherRuntime { format, target: name, runtime: target.runtime()? })
        };
        let verifier = &Verifier {
            on: OnRuntime { study, train: &train, runtime: runtime.as_ref() },
            settings: &settings,
            trainer: trainer.as_ref(),
            others: others.into_iter().map(other).collect::<Result<_, StepError>>()?,
            space: evolved.space().to_string(),
        };
        let offered = context.get(&Finetune::OUTPUT)?;
        let task = |network: &OfferedNetwork| {
            let own = network.finetuned.as_ref().map(|own| context.file(&own.weights()));
            let own = own.transpose()?;
            let weights = own.as_ref().unwrap_or(&supernet);
            let candidate = Candidate {
                index: network.budget,
                subnet: network.chosen.subnet.clone(),
                float: job(weights.join(train::FP32), false),
                quantized: job(weights.join(train::INT8), true),
                as_searched: own.as_ref().map(|_| job(supernet.join(train::INT8), true)),
            };
            Ok(Task::new(Self::network(network.budget).task(), move |files, monitor| {
                verifier.verify(&candidate, files, monitor)
            }))
        };
        let tasks = offered.iter().map(task).collect::<Result<Vec<_>, StepError>>()?;
        let verified = context.tasks(tasks, study.threads)?;
        let subnets: Vec<&Subnet> = offered.iter().map(|network| &network.chosen.subnet).collect();
        let latencies =
            context.task(Task::new("latency", |_, _| latencies(context, &stages, &subnets)))?;
        let layers =
            context.task(Task::new("layers", |_, _| layers(context, &stages, &subnets)))?;
        let networks = offered.into_iter().zip(verified).zip(latencies).zip(layers);
        let networks: Vec<ExportedNetwork> = networks
            .map(|(((offered, verified), latency), layers)| ExportedNetwork {
                budget: offered.budget,
                chosen: offered.chosen,
                finetuned: offered.finetuned,
                verified,
                latency,
                layers,
            })
            .collect();
        for network in &networks {
            publish(context, network)?;
        }
        let labels = label_lines(&context.study().labels);
        context.publish(CLASSES, format!("{labels}\n").as_bytes())?;
        Ok(networks)
    }
}

/// The file of the names of all classes, a line each, beside the networks.
const CLASSES: &str = "classes.txt";

/// Puts the files of a network where people look for them, and says what it achieves.
fn publish(context: &dyn StepContext, network: &ExportedNetwork) -> Result<(), StepError> {
    let (study, index) = (context.study(), network.budget);
    let folder = context.file(&Export::network(index))?;
    let translated = &network.verified.translated;
    let own = [Precision::Int8, Precision::Fp32].map(|p| file_name(study, index, p));
    let others = translated.iter().map(|other| integer_file_name(index, &other.format));
    let kept = [
        (Precision::Int8, &[GRAPH, WEIGHTS, QUANTIZATION][..]),
        (Precision::Fp32, &[GRAPH, WEIGHTS]),
    ];
    let kept = kept.into_iter().flat_map(|(precision, names)| {
        names.iter().map(move |name| format!("{}/{name}", folder_name(index, precision)))
    });
    for name in own.into_iter().chain(others).chain(kept) {
        let path = folder.join(&name);
        let bytes = fs::read(&path).map_err(FileError::at(&path))?;
        context.publish(&name, &bytes)?;
    }
    context.say(&format!(
        "{}: {:.2} % of test images on the runtime, {:.2} % in training, {:.2} % identical",
        file_name(study, index, Precision::Int8),
        100.0 * network.verified.int8_accuracy,
        100.0 * network.verified.fake_quant_accuracy,
        100.0 * network.verified.identical_predictions
    ));
    for other in translated {
        context.say(&format!(
            "{}: {:.2} % of test images on {}, {:.2} % identical to training",
            integer_file_name(index, &other.format),
            100.0 * other.int8_accuracy,
            other.target,
            100.0 * other.identical_predictions
        ));
    }
    Ok(())
}

/// Name of a model file in the format of the study's target.
pub fn file_name(study: &StudyContext, index: usize, precision: Precision) -> String {
    let format = study.target.description().model_format;
    format!("network-{index}.{}.{format}", precision.name())
}

/// Name of the folder that holds graph, weights and quantizers of a network.
pub fn folder_name(index: usize, precision: Precision) -> String {
    format!("network-{index}.{}", precision.name())
}

fn integer_file_name(index: usize, format: &str) -> String {
    format!("network-{index}.{}.{format}", Precision::Int8.name())
}

/// Latencies of whole networks.
fn latencies(
    context: &dyn StepContext,
    stages: &[ElasticStage],
    subnets: &[&Subnet],
) -> Result<Vec<NetworkLatency>, StepError> {
    let graph = |subnet: &&Subnet| network_parts::whole_network(context.study(), stages, subnet);
    let graphs = subnets.iter().map(graph).collect::<Result<Vec<_>, _>>()?;
    NetworkLatency::of(context, &graphs)
}

/// Latencies of the blocks of networks; the search has asked for them before.
fn layers(
    context: &dyn StepContext,
    stages: &[ElasticStage],
    subnets: &[&Subnet],
) -> Result<Vec<Vec<LayerLatency>>, StepError> {
    let mut known = PartLatencies::default();
    let of_network = |subnet: &&Subnet| {
        let parts = network_parts::subnet_parts(context.study(), stages, subnet)?;
        known.ask(context, &parts)?;
        let layer = |part: &network_parts::NetworkPart| {
            Ok(LayerLatency { layer: part.name.clone(), int8_ms: known.part(part)? })
        };
        parts.iter().map(layer).collect()
    };
    subnets.iter().map(of_network).collect()
}
