//! Runs models with ONNX Runtime: sequential, no spinning, all optimizations; with one thread unless
//! more are asked for.

use std::{collections::BTreeMap, path::Path};

use ort::{
    session::{
        Session,
        builder::{GraphOptimizationLevel, SessionBuilder},
    },
    value::Tensor,
};
use prost::Message;
use spacewright_core::{
    foreign::{ModelFile, OpenSizes},
    quant::{FloatNetwork, IntegerNetwork},
    target::{LoadedModel, ModelInfo, ModelOutputs, Runtime, TargetError},
};
use spacewright_measure::{Bench, Timed};

use crate::{
    error::OrtError,
    file::OpenedFile,
    library::{Library, library},
    proto,
    reader::float::float_operators,
};

/// ONNX Runtime on this machine.
#[derive(Clone)]
pub struct OrtRuntime {
    target: String,
    library: &'static Library,
    threads: usize,
}

impl OrtRuntime {
    /// The runtime of the target of this name, with one thread; an error where the library cannot
    /// be loaded.
    pub fn new(target: &str) -> Result<Self, TargetError> {
        let target = target.to_owned();
        match library() {
            Ok(library) => Ok(Self { target, library, threads: 1 }),
            Err(error) => Err(TargetError::new(target, error.to_string())),
        }
    }

    /// The same with so many threads within an operator.
    pub fn with_threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    pub(crate) fn error(&self, reason: impl ToString) -> TargetError {
        TargetError::new(&self.target, reason.to_string())
    }

    /// The graph that ONNX Runtime makes of a model, with the kernels that it chose.
    pub fn optimized(&self, model: &[u8]) -> Result<proto::GraphProto, TargetError> {
        optimized(self, Source::Memory(model)).map_err(|error| self.error(error))
    }

    /// A session of a model with any inputs, with these sizes for dimensions that have a name.
    pub(crate) fn session(
        &self,
        source: Source<'_>,
        sizes: &[(String, i64)],
    ) -> ort::Result<Session> {
        let mut builder = self.builder()?;
        for (name, size) in sizes {
            builder = builder.with_dimension_override(name, *size)?;
        }
        source.commit(&mut builder)
    }

    fn builder(&self) -> ort::Result<SessionBuilder> {
        Ok(Session::builder(&self.library.environment)?
            .with_intra_threads(self.threads)?
            .with_inter_threads(1)?
            .with_parallel_execution(false)?
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?
            .with_deterministic_compute(true)?
            .with_optimization_level(GraphOptimizationLevel::All)?)
    }

    pub(crate) fn open(&self, model: &[u8]) -> Result<OrtModel, TargetError> {
        let opened = OpenedFile::open(self, &ModelFile::in_memory(model), &OpenSizes::new());
        self.model(opened.map_err(|error| self.error(error))?, model)
    }

    /// A file that takes one image.
    pub(crate) fn model(&self, opened: OpenedFile, model: &[u8]) -> Result<OrtModel, TargetError> {
        let OpenedFile { session, inputs } = opened;
        let shape = match &inputs.inputs[..] {
            [input] => input.shape.clone(),
            inputs => {
                return Err(self.error(format!("the model has {} inputs, not one", inputs.len())));
            }
        };
        Ok(OrtModel { runtime: self.clone(), model: model.to_vec(), session, shape })
    }
}

/// Where a model is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source<'a> {
    Memory(&'a [u8]),
    /// Files beside it are found.
    File(&'a Path),
}

impl<'a> Source<'a> {
    pub(crate) fn of(file: &ModelFile<'a>) -> Self {
        file.path.map_or(Self::Memory(file.content), Self::File)
    }

    fn commit(self, builder: &mut SessionBuilder) -> ort::Result<Session> {
        match self {
            Self::Memory(model) => builder.commit_from_memory(model),
            Self::File(path) => builder.commit_from_file(path),
        }
    }
}

/// The graph that the runtime makes of a model, with the kernels that it chose.
pub(crate) fn optimized(
    runtime: &OrtRuntime,
    source: Source<'_>,
) -> Result<proto::GraphProto, OrtError> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("optimized.onnx");
    let dump = || -> ort::Result<Session> {
        source.commit(&mut runtime.builder()?.with_optimized_model_path(&file)?)
    };
    dump().map_err(OrtError::Optimize)?;
    let bytes = std::fs::read(&file)?;
    let model = proto::ModelProto::decode(bytes.as_slice())?;
    Ok(model.graph.unwrap_or_default())
}

/// A model in a session of its own.
pub(crate) struct OrtModel {
    runtime: OrtRuntime,
    model: Vec<u8>,
    session: Session,
    shape: Vec<i64>,
}

impl OrtModel {
    fn error(&self, reason: impl ToString) -> TargetError {
        self.runtime.error(reason)
    }

    fn input(&self, image: Vec<f32>) -> Result<Tensor<f32>, TargetError> {
        let elements = self.shape.iter().product::<i64>() as usize;
        if image.len() != elements {
            let (shape, found) = (&self.shape, image.len());
            return Err(self.error(format!("the model takes {shape:?}, got {found} numbers")));
        }
        Tensor::from_array((self.shape.clone(), image)).map_err(|error| self.error(error))
    }
}

/// A model with an image that is always the same.
struct TimedModel {
    model: OrtModel,
    input: Tensor<f32>,
}

impl TimedModel {
    fn new(model: OrtModel) -> Result<Self, TargetError> {
        let elements = model.shape.iter().product::<i64>();
        let image = (0..elements).map(|i| ((i * 37 + 11) % 256) as f32 / 255.0).collect();
        let input = model.input(image)?;
        Ok(Self { model, input })
    }
}

impl Timed for TimedModel {
    fn run(&mut self) -> Result<(), TargetError> {
        let outputs = self.model.session.run(ort::inputs![&self.input]).map(drop);
        outputs.map_err(|error| self.model.error(error))
    }
}

impl Bench for OrtRuntime {
    fn target(&self) -> &str {
        &self.target
    }

    fn runtime(&self) -> String {
        format!("ONNX Runtime {}", self.library.version)
    }

    fn threads(&self) -> usize {
        self.threads
    }

    fn float(&self, network: &FloatNetwork) -> Result<Box<dyn Timed>, TargetError> {
        let model = self.write_float(network, &ModelInfo::default())?;
        Ok(Box::new(TimedModel::new(self.open(&model)?)?))
    }

    fn integer(&self, network: &IntegerNetwork) -> Result<Box<dyn Timed>, TargetError> {
        let model = self.write_integer(network, &ModelInfo::default(), ModelOutputs::Result)?;
        Ok(Box::new(TimedModel::new(self.open(&model)?)?))
    }
}

impl LoadedModel for OrtModel {
    fn run(&mut self, image: &[f32]) -> Result<Vec<f32>, TargetError> {
        let input = self.input(image.to_vec())?;
        let run = |session: &mut Session| -> ort::Result<Vec<f32>> {
            let outputs = session.run(ort::inputs![input])?;
            Ok(outputs[0].try_extract_tensor::<f32>()?.1.to_vec())
        };
        run(&mut self.session).map_err(|error| self.error(error))
    }

    fn run_integers(&mut self, image: &[f32]) -> Result<BTreeMap<String, Vec<u8>>, TargetError> {
        let input = self.input(image.to_vec())?;
        let run = |session: &mut Session| -> ort::Result<BTreeMap<String, Vec<u8>>> {
            let outputs = session.run(ort::inputs![input])?;
            let integers = outputs.iter().filter_map(|(name, value)| {
                Some((name.to_owned(), value.try_extract_tensor::<u8>().ok()?.1.to_vec()))
            });
            Ok(integers.collect())
        };
        let values = run(&mut self.session).map_err(|error| self.error(error))?;
        if values.is_empty() {
            return Err(self.error("the model was written without the integers of its values"));
        }
        Ok(values)
    }

    fn float_operators(&mut self) -> Result<Vec<String>, TargetError> {
        self.runtime.optimized(&self.model).map(|graph| float_operators(&graph))
    }
}
