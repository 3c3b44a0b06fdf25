//! Targets: a piece of hardware with its runtime.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    call::{ContractError, Reason},
    foreign::{MeasureMonitor, MeasuredInput, ModelFile, OpenSizes},
    graph::OpKind,
    kernel::FusionRules,
    latency::{HeldOut, LatencySource},
    model::ModelSummary,
    quant::{FloatNetwork, IntegerNetwork, Scheme, WeightRange},
};

/// How a target's latencies are known. Shown wherever they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LatencyKind {
    /// Measured on the hardware itself.
    Measured,
    /// Predicted by a model that was fitted on measurements.
    Fitted,
    /// Predicted by a model of the hardware.
    Modelled,
}

/// A target as data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetDescription {
    /// Name in study files.
    pub name: String,
    /// One sentence.
    pub summary: String,
    /// What quantization the hardware and its runtime allow.
    pub scheme: Scheme,
    /// Extension of model files, such as `onnx`.
    pub model_format: String,
    /// Which operators of an integer network its runtime computes together.
    pub fusion: FusionRules,
    /// Whether its runtime, if it has one, computes what files give. One that only writes and
    /// measures leaves that to another target with the same format.
    #[serde(default = "yes")]
    pub executes: bool,
    /// How latencies are known.
    pub latency: LatencyKind,
    /// How near predicted latencies come to measured ones; empty where nothing is predicted, or
    /// nothing is known.
    #[serde(default)]
    pub held_out: Vec<HeldOut>,
    /// Operators that it cannot run in integers; a study whose blocks have one is refused.
    #[serde(default)]
    pub unsupported: Vec<OpKind>,
}

fn yes() -> bool {
    true
}

impl TargetDescription {
    /// Hardware of which there is a model: the common scheme with dense weights of 7 bits, which
    /// the runtimes of all processors compute exactly.
    pub fn modelled(
        name: impl Into<String>,
        summary: impl Into<String>,
        model_format: impl Into<String>,
    ) -> Self {
        let name = name.into();
        let scheme = Scheme::common(format!("{name}-7bit"), WeightRange::Bits7);
        Self {
            fusion: FusionRules::of_scheme(&scheme),
            scheme,
            name,
            summary: summary.into(),
            model_format: model_format.into(),
            executes: true,
            latency: LatencyKind::Modelled,
            held_out: Vec::new(),
            unsupported: Vec::new(),
        }
    }
}

/// Why a target cannot do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("target `{target}`: {reason}")]
pub struct TargetError {
    /// Name of the target.
    pub target: String,
    /// What went wrong, and what to do.
    pub reason: Reason,
}

impl TargetError {
    /// An error of the target of this name, from a sentence.
    pub fn new(target: impl Into<String>, reason: impl Into<Reason>) -> Self {
        Self { target: target.into(), reason: reason.into() }
    }

    /// The error of [`Target::runtime`] where the target brings none.
    pub fn no_runtime(target: impl Into<String>) -> Self {
        Self::new(target, "it has no runtime of its own")
    }
}

impl ContractError for TargetError {
    fn reason_mut(&mut self) -> Option<&mut Reason> {
        Some(&mut self.reason)
    }
}

/// A piece of hardware with its runtime.
pub trait Target: Send + Sync {
    /// Who it is.
    fn description(&self) -> TargetDescription;

    /// Where its latencies come from.
    fn latency_source(&self) -> Result<Arc<dyn LatencySource>, TargetError>;

    /// What writes and runs its models. A target without one, or with one that does not execute
    /// files, borrows that of a target with the same model format; the files are then verified
    /// there.
    fn runtime(&self) -> Result<Arc<dyn Runtime>, TargetError> {
        Err(TargetError::no_runtime(self.description().name))
    }

    /// Whether [`runtime`](Self::runtime) is more than an error.
    fn has_runtime(&self) -> bool {
        false
    }

    /// What a file of its format holds, whoever wrote it; needs no runtime. Only built-in targets
    /// are asked.
    fn inspect(&self, file: &ModelFile<'_>) -> Result<ModelSummary, TargetError> {
        let _ = file;
        Err(TargetError::new(self.description().name, "it reads no model files"))
    }

    /// With how many threads latencies and files are measured; those of a predictor hold for as
    /// many.
    fn threads(&self) -> usize {
        1
    }

    /// The same target, measured with so many threads; an error where its latencies are known for
    /// another number only.
    fn with_threads(&self, threads: usize) -> Result<Arc<dyn Target>, TargetError> {
        let known = self.threads();
        let reason =
            format!("its latencies are known with {known} thread(s) only, not with {threads}");
        Err(TargetError::new(self.description().name, reason))
    }
}

/// What a model file says of itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Name of the network.
    pub name: String,
    /// Kept in the file: encoding, study, labels, normalization of the input.
    pub metadata: BTreeMap<String, String>,
}

/// What an integer model gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelOutputs {
    /// The network's output, in real numbers.
    Result,
    /// The 8-bit integers of every quantized value, for checks operator by operator.
    Integers,
}

/// How long a model file takes, measured on the machine itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Measurement {
    /// The shortest run in milliseconds: the estimate, as other work only adds to it.
    pub min_ms: f64,
    /// A tenth of the runs are shorter.
    pub p10_ms: f64,
    /// Half of the runs are shorter.
    pub median_ms: f64,
    /// Timed runs.
    pub runs: u32,
    /// How much slower an unchanging model was in its slowest round than in its fastest; 1 on a
    /// machine that does nothing else.
    pub drift: f64,
    /// What makes the figures doubtful, in sentences.
    pub warnings: Vec<String>,
    /// Processor, governor, threads and runtime: figures hold for these only.
    pub machine: BTreeMap<String, String>,
    /// What it was measured with, as far as the runtime tells.
    #[serde(default)]
    pub inputs: Vec<MeasuredInput>,
}

/// Writes and runs models.
pub trait Runtime: Send + Sync {
    /// Name and version of all that writes, runs and measures files, such as
    /// `ONNX Runtime 1.32.0`: what files are verified with another one has to be done again. Empty
    /// where that cannot be known.
    fn fingerprint(&self) -> String {
        String::new()
    }

    /// A model file of a network in floating point.
    fn write_float(&self, network: &FloatNetwork, info: &ModelInfo)
    -> Result<Vec<u8>, TargetError>;

    /// A model file of a network in integers.
    fn write_integer(
        &self,
        network: &IntegerNetwork,
        info: &ModelInfo,
        outputs: ModelOutputs,
    ) -> Result<Vec<u8>, TargetError>;

    /// Loads a model file.
    fn load(&self, model: &[u8]) -> Result<Box<dyn LoadedModel>, TargetError>;

    /// Loads a file that may lie beside others, with sizes for the dimensions that it leaves open. A runtime that does
    /// not say so itself takes no sizes, and finds no other file.
    fn load_file(
        &self,
        file: &ModelFile<'_>,
        sizes: &OpenSizes,
    ) -> Result<Box<dyn LoadedModel>, TargetError> {
        without_sizes(sizes)?;
        self.load(file.content)
    }

    /// Measures how long a model file takes; it may be another one than those that the runtime
    /// writes.
    fn measure(&self, model: &[u8]) -> Result<Measurement, TargetError> {
        let _ = model;
        Err(TargetError::new("", "its runtime measures no files"))
    }

    /// The same for a file that may lie beside others, with sizes for the dimensions that it leaves
    /// open. A runtime that does not say so itself takes no sizes, and tells nothing before it has
    /// measured.
    fn measure_file(
        &self,
        file: &ModelFile<'_>,
        sizes: &OpenSizes,
        monitor: &dyn MeasureMonitor,
    ) -> Result<Measurement, TargetError> {
        without_sizes(sizes)?;
        monitor.unwatched();
        self.measure(file.content)
    }

    /// Operators of a file that the runtime computes in real numbers after its own optimizations,
    /// as `kind (name)`; nothing where it runs what the file says, so that types in the file tell.
    fn float_operators(&self, file: &ModelFile<'_>) -> Result<Option<Vec<String>>, TargetError> {
        let _ = file;
        Ok(None)
    }
}

fn without_sizes(sizes: &OpenSizes) -> Result<(), TargetError> {
    match sizes.is_empty() {
        true => Ok(()),
        false => Err(TargetError::new("", "its runtime takes no sizes of open dimensions")),
    }
}

/// A model that is ready to run, one image at a time.
pub trait LoadedModel {
    /// The output for one image, `channels × height × width` in 0…1.
    fn run(&mut self, image: &[f32]) -> Result<Vec<f32>, TargetError>;

    /// The integers of every quantized value for one image, by the value's name; for models
    /// written with [`ModelOutputs::Integers`].
    fn run_integers(&mut self, image: &[f32]) -> Result<BTreeMap<String, Vec<u8>>, TargetError>;

    /// Operators that the runtime executes in floating point, after its own optimizations, as
    /// `operator (node)`; conversions at the network's input and output do not count.
    fn float_operators(&mut self) -> Result<Vec<String>, TargetError>;
}
