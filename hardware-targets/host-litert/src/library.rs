//! Finds and loads the LiteRT library, once per process.

use std::{
    fs,
    sync::{Once, OnceLock},
};

use spacewright_core::{
    graph::{ActivationKind, GraphBuilder, Shape},
    quant::{FloatNetwork, FloatWeights},
    random::fnv1a,
    target::ModelInfo,
};
use spacewright_measure::library::{RuntimeLibrary, version};
use spacewright_tflite::write_float;

use crate::{
    error::LiteRtError,
    ffi::{CompiledModel, CpuOptions, Kernels, LiteRt, ModelSpec, TensorSpec},
    stderr::logged,
};

/// Names the library file itself.
pub const VARIABLE: &str = "SPACEWRIGHT_LITERT";

const WANTED: RuntimeLibrary = RuntimeLibrary {
    runtime: "LiteRT",
    variable: VARIABLE,
    folder: ".deps/litert",
    package: "ai-edge-litert",
    packed: "ai_edge_litert",
    prefix: "libLiteRt.",
};

pub(crate) struct Library {
    pub(crate) litert: LiteRt,
    /// From the file's name, with a hash of its content, such as `2.3.0 (0f3a…)`: the library
    /// does not tell.
    pub(crate) version: String,
}

/// The library, which is looked for and loaded once.
pub(crate) fn library() -> Result<&'static Library, &'static LiteRtError> {
    static LIBRARY: OnceLock<Result<Library, LiteRtError>> = OnceLock::new();
    let load = || {
        let path = WANTED.find()?;
        let content = match fs::read(&path) {
            Ok(content) => content,
            Err(source) => return Err(LiteRtError::Read { file: path, source }),
        };
        let version = format!("{} ({:016x})", version(&path), fnv1a(&content));
        Ok(Library { litert: LiteRt::load(&path)?, version })
    };
    static SAID: Once = Once::new();
    let library = LIBRARY.get_or_init(load).as_ref()?;
    SAID.call_once(|| greet(library));
    Ok(library)
}

/// Compiles a model once: the first time, XNNPACK says so on standard error, whatever the log's
/// severity.
fn greet(library: &'static Library) {
    let mut b = GraphBuilder::new(Shape::square(1, 1));
    let y = b.act("y", b.input(), ActivationKind::Relu);
    let network = FloatNetwork { graph: b.finish(y), weights: FloatWeights::new() };
    let Ok(file) = write_float(&network, &ModelInfo::default()) else { return };
    let cpu = CpuOptions { kernels: Kernels::Xnnpack, threads: 1 };
    let tensor = || TensorSpec { element: "float32".into(), shape: vec![1; 4] };
    let mut spec = ModelSpec { inputs: vec![tensor()], outputs: vec![tensor()], resized: false };
    let compiled = logged(|| CompiledModel::new(&library.litert, file, cpu, &mut spec));
    if let Err(error) = compiled {
        tracing::debug!("{error}");
    }
}
