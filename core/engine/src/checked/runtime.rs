use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use spacewright_core::{
    call::CallError,
    foreign::{MeasureMonitor, ModelFile, OpenSizes},
    graph::{Graph, GraphError},
    quant::{FloatNetwork, IntegerNetwork},
    target::{LoadedModel, Measurement, ModelInfo, ModelOutputs, Runtime, TargetError},
};

use super::{Watch, latency::LONGEST_MS};
use crate::hash;

/// A runtime whose files are not empty, whose models give as many finite numbers as their networks
/// say, and whose measurements are positive and in order.
pub(super) struct CheckedRuntime {
    runtime: Arc<dyn Runtime>,
    culprit: Culprit,
    /// What files give that were written here, by their SHA-256.
    written: Mutex<HashMap<String, Lengths>>,
}

/// Which target of which plugin.
#[derive(Clone)]
struct Culprit {
    target: String,
    watch: Arc<Watch>,
}

/// How many numbers a model gives for one image, as far as that is known.
#[derive(Debug, Clone, Default)]
struct Lengths {
    output: Option<usize>,
    /// By the names of quantized values.
    integers: Option<BTreeMap<String, usize>>,
}

impl Culprit {
    /// An error of the plugin, which need not know under which name it is used.
    fn told<T>(&self, call: &str, answer: Result<T, TargetError>) -> Result<T, TargetError> {
        answer.map_err(|mut error| {
            if error.target.is_empty() {
                error.target.clone_from(&self.target);
            }
            self.watch.with_origin(call, error)
        })
    }

    fn wrong(&self, error: CallError) -> TargetError {
        TargetError::new(&self.target, error)
    }

    fn bad(&self, call: &str, item: &str, reason: String) -> TargetError {
        self.wrong(self.watch.bad(call, item, reason))
    }

    fn length(
        &self,
        call: &str,
        item: &str,
        found: usize,
        expected: usize,
    ) -> Result<(), TargetError> {
        if found == expected {
            return Ok(());
        }
        Err(self.bad(call, item, format!("{found} numbers, expected are {expected}")))
    }
}

impl CheckedRuntime {
    pub fn new(target: String, runtime: Arc<dyn Runtime>, watch: Arc<Watch>) -> Self {
        let culprit = Culprit { target, watch };
        Self { runtime, culprit, written: Mutex::default() }
    }

    /// Remembers what a file has to give; a graph that is wrong is found by others.
    fn keep(
        &self,
        call: &str,
        name: &str,
        file: Vec<u8>,
        lengths: Result<Lengths, GraphError>,
    ) -> Result<Vec<u8>, TargetError> {
        if file.is_empty() {
            return Err(self.culprit.bad(
                call,
                &format!("network `{name}`"),
                "an empty file".into(),
            ));
        }
        if let Ok(lengths) = lengths {
            let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            written.insert(hash::of_bytes(&file), lengths);
        }
        Ok(file)
    }
}

fn output(graph: &Graph) -> Result<Lengths, GraphError> {
    Ok(Lengths { output: Some(graph.output_shape()?.elements()), integers: None })
}

fn integers(network: &IntegerNetwork) -> Result<Lengths, GraphError> {
    let IntegerNetwork { graph, values, .. } = network;
    let quantized = graph.shapes()?.into_iter().zip(values).enumerate();
    let lengths = quantized.filter(|(_, (_, params))| params.is_some()).map(|(at, (shape, _))| {
        let name = match at.checked_sub(1) {
            Some(node) => &graph.nodes[node].name,
            None => "input",
        };
        (name.to_owned(), shape.elements())
    });
    Ok(Lengths { output: None, integers: Some(lengths.collect()) })
}

impl Runtime for CheckedRuntime {
    fn fingerprint(&self) -> String {
        self.runtime.fingerprint()
    }

    fn write_float(
        &self,
        network: &FloatNetwork,
        info: &ModelInfo,
    ) -> Result<Vec<u8>, TargetError> {
        const CALL: &str = "write-float";
        let file = self.culprit.told(CALL, self.runtime.write_float(network, info))?;
        self.keep(CALL, &info.name, file, output(&network.graph))
    }

    fn write_integer(
        &self,
        network: &IntegerNetwork,
        info: &ModelInfo,
        outputs: ModelOutputs,
    ) -> Result<Vec<u8>, TargetError> {
        const CALL: &str = "write-integer";
        let file = self.culprit.told(CALL, self.runtime.write_integer(network, info, outputs))?;
        let lengths = match outputs {
            ModelOutputs::Result => output(&network.graph),
            ModelOutputs::Integers => integers(network),
        };
        self.keep(CALL, &info.name, file, lengths)
    }

    fn load(&self, model: &[u8]) -> Result<Box<dyn LoadedModel>, TargetError> {
        self.loaded(model, self.runtime.load(model))
    }

    fn load_file(
        &self,
        file: &ModelFile<'_>,
        sizes: &OpenSizes,
    ) -> Result<Box<dyn LoadedModel>, TargetError> {
        self.loaded(file.content, self.runtime.load_file(file, sizes))
    }

    fn measure(&self, model: &[u8]) -> Result<Measurement, TargetError> {
        self.measured(self.runtime.measure(model))
    }

    fn measure_file(
        &self,
        file: &ModelFile<'_>,
        sizes: &OpenSizes,
        monitor: &dyn MeasureMonitor,
    ) -> Result<Measurement, TargetError> {
        self.measured(self.runtime.measure_file(file, sizes, monitor))
    }

    fn float_operators(&self, file: &ModelFile<'_>) -> Result<Option<Vec<String>>, TargetError> {
        self.culprit.told("float-operators", self.runtime.float_operators(file))
    }
}

impl CheckedRuntime {
    fn loaded(
        &self,
        model: &[u8],
        answer: Result<Box<dyn LoadedModel>, TargetError>,
    ) -> Result<Box<dyn LoadedModel>, TargetError> {
        let loaded = self.culprit.told("load", answer)?;
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let known = written.get(&hash::of_bytes(model)).cloned();
        let (culprit, is_own) = (self.culprit.clone(), known.is_some());
        let lengths = known.unwrap_or_default();
        Ok(Box::new(CheckedModel { model: loaded, culprit, is_own, lengths }))
    }

    fn measured(
        &self,
        answer: Result<Measurement, TargetError>,
    ) -> Result<Measurement, TargetError> {
        const CALL: &str = "measure";
        let measured = self.culprit.told(CALL, answer)?;
        let Measurement { min_ms, p10_ms, median_ms, runs, drift, .. } = measured;
        if !(0.0 < min_ms && min_ms <= p10_ms && p10_ms <= median_ms && median_ms <= LONGEST_MS) {
            let reason = format!(
                "minimum {min_ms} ms, p10 {p10_ms} ms, median {median_ms} ms: needed are positive \
                 numbers, none below the one before"
            );
            return Err(self.culprit.bad(CALL, "times", reason));
        }
        if runs == 0 || !(drift > 0.0 && drift.is_finite()) {
            let reason = format!("{runs} runs with a drift of {drift}");
            return Err(self.culprit.bad(CALL, "times", reason));
        }
        Ok(measured)
    }
}

/// A model whose answers are checked. A file that was written elsewhere gives every time as many numbers as for the
/// first image; that one is none may be its own doing.
struct CheckedModel {
    model: Box<dyn LoadedModel>,
    culprit: Culprit,
    /// Whether the runtime has written it.
    is_own: bool,
    lengths: Lengths,
}

impl LoadedModel for CheckedModel {
    fn run(&mut self, image: &[f32]) -> Result<Vec<f32>, TargetError> {
        const CALL: &str = "run";
        let output = self.culprit.told(CALL, self.model.run(image))?;
        let expected = *self.lengths.output.get_or_insert(output.len());
        self.culprit.length(CALL, "output", output.len(), expected)?;
        match output.iter().position(|number| !number.is_finite()) {
            Some(at) if self.is_own => {
                Err(self.culprit.bad(CALL, &format!("output {at}"), output[at].to_string()))
            }
            _ => Ok(output),
        }
    }

    fn run_integers(&mut self, image: &[f32]) -> Result<BTreeMap<String, Vec<u8>>, TargetError> {
        const CALL: &str = "run-integers";
        let values = self.culprit.told(CALL, self.model.run_integers(image))?;
        let found = || values.iter().map(|(name, codes)| (name.clone(), codes.len())).collect();
        let expected = self.lengths.integers.get_or_insert_with(found);
        for (name, codes) in &values {
            if let Some(expected) = expected.get(name) {
                self.culprit.length(CALL, &format!("value `{name}`"), codes.len(), *expected)?;
            }
        }
        Ok(values)
    }

    fn float_operators(&mut self) -> Result<Vec<String>, TargetError> {
        self.culprit.told("float-operators", self.model.float_operators())
    }
}

#[cfg(test)]
mod tests;
