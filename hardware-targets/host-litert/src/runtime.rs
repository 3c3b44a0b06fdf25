//! Runs TFLite files with LiteRT: XNNPACK's kernels; one thread unless more are asked for.

use std::collections::BTreeMap;

use half::f16;
use spacewright_core::{
    foreign::{MeasureMonitor, MeasuredInput, ModelFile, OpenSizes, ResolvedInputs, check_size},
    model::{ModelSummary, TensorSummary},
    quant::{FloatNetwork, IntegerNetwork, QParams},
    target::{LoadedModel, Measurement, ModelInfo, ModelOutputs, Runtime, TargetError},
};
use spacewright_measure::{Bench, Timed};
use spacewright_tflite::{read, scheme, write_float, write_integer};

use crate::{
    error::LiteRtError,
    ffi::{CompiledModel, CpuOptions, Kernels, ModelSpec, TensorSpec},
    library::{Library, library},
};

/// LiteRT on this machine.
#[derive(Clone)]
pub struct LiteRtRuntime {
    target: String,
    library: &'static Library,
    cpu: CpuOptions,
}

impl LiteRtRuntime {
    /// The runtime of the target of this name, with one thread; an error where the library cannot
    /// be loaded.
    pub fn new(target: &str) -> Result<Self, TargetError> {
        let target = target.to_owned();
        match library() {
            Ok(library) => {
                let cpu = CpuOptions { kernels: Kernels::Xnnpack, threads: 1 };
                Ok(Self { target, library, cpu })
            }
            Err(error) => Err(TargetError::new(target, error.to_string())),
        }
    }

    /// The same with other kernels.
    pub fn with(self, kernels: Kernels) -> Self {
        Self { cpu: CpuOptions { kernels, ..self.cpu }, ..self }
    }

    /// The same with so many threads.
    pub fn with_threads(self, threads: usize) -> Self {
        Self { cpu: CpuOptions { threads, ..self.cpu }, ..self }
    }

    fn error(&self, reason: impl ToString) -> TargetError {
        TargetError::new(&self.target, reason.to_string())
    }

    /// Reads a file, checks its sizes, and compiles it; nothing is allocated before.
    fn open(&self, file: &[u8], sizes: &OpenSizes) -> Result<OpenedModel, LiteRtError> {
        let summary = read(file)?;
        if !summary.custom_operators.is_empty() {
            return Err(LiteRtError::Custom { operators: summary.custom_operators.join("`, `") });
        }
        for tensor in &summary.tensors {
            check_size("tensor", &tensor.name, &tensor.element, &tensor.shape)?;
        }
        let measured = ResolvedInputs::new(&summary.inputs, sizes)?;
        let input = |input: &MeasuredInput| TensorSpec {
            element: input.element.clone(),
            shape: input.shape.clone(),
        };
        let output = |output: &TensorSummary| TensorSpec {
            element: output.element.clone(),
            shape: output.shape.iter().map(|size| (*size).max(1)).collect(),
        };
        let is_open = |tensor: &TensorSummary| tensor.shape.iter().any(|size| *size < 0);
        let mut spec = ModelSpec {
            inputs: measured.inputs.iter().map(input).collect(),
            outputs: summary.outputs.iter().map(output).collect(),
            resized: summary.inputs.iter().any(is_open),
        };
        let litert = &self.library.litert;
        let compiled = CompiledModel::new(litert, file.to_vec(), self.cpu, &mut spec)?;
        let (target, ModelSpec { inputs, outputs, .. }) = (self.target.clone(), spec);
        Ok(OpenedModel { target, compiled, summary, measured, inputs, outputs })
    }

    fn timed(&self, file: &[u8], sizes: &OpenSizes) -> Result<OpenedModel, TargetError> {
        let mut opened = self.open(file, sizes).map_err(|error| self.error(error))?;
        opened.fill().map_err(|error| self.error(error))?;
        Ok(opened)
    }
}

impl Runtime for LiteRtRuntime {
    fn fingerprint(&self) -> String {
        self.runtime()
    }

    fn write_float(
        &self,
        network: &FloatNetwork,
        info: &ModelInfo,
    ) -> Result<Vec<u8>, TargetError> {
        write_float(network, info).map_err(|error| self.error(error))
    }

    fn write_integer(
        &self,
        network: &IntegerNetwork,
        info: &ModelInfo,
        outputs: ModelOutputs,
    ) -> Result<Vec<u8>, TargetError> {
        write_integer(network, info, outputs).map_err(|error| self.error(error))
    }

    fn load(&self, model: &[u8]) -> Result<Box<dyn LoadedModel>, TargetError> {
        self.load_file(&ModelFile::in_memory(model), &OpenSizes::new())
    }

    fn load_file(
        &self,
        file: &ModelFile<'_>,
        sizes: &OpenSizes,
    ) -> Result<Box<dyn LoadedModel>, TargetError> {
        let opened = self.open(file.content, sizes);
        let opened = opened.map_err(|error| self.error(error))?;
        let input = match &opened.summary.inputs[..] {
            [input] => input,
            inputs => {
                return Err(self.error(format!("the model has {} inputs, not one", inputs.len())));
            }
        };
        let (shape, element) = (&input.shape, &input.element);
        // An open number of images is taken as 1.
        if shape.len() != 4 || ![1, -1].contains(&shape[0]) {
            return Err(self.error(format!("the model's input is {shape:?}, not one image")));
        }
        if element != "float32" && params(input).is_none() {
            let reason =
                format!("the model's input is {element}, not float32 or int8 with a scale");
            return Err(self.error(reason));
        }
        if opened.summary.outputs.is_empty() {
            return Err(self.error("the model has no output"));
        }
        Ok(Box::new(opened))
    }

    fn measure(&self, model: &[u8]) -> Result<Measurement, TargetError> {
        self.measure_file(&ModelFile::in_memory(model), &OpenSizes::new(), &())
    }

    fn measure_file(
        &self,
        file: &ModelFile<'_>,
        sizes: &OpenSizes,
        monitor: &dyn MeasureMonitor,
    ) -> Result<Measurement, TargetError> {
        let mut opened = self.timed(file.content, sizes)?;
        let (inputs, open) = (opened.measured.inputs.clone(), opened.measured.warning());
        let measured =
            spacewright_measure::file(self.clone(), &mut opened, scheme(), inputs, monitor);
        let mut measurement = measured?;
        measurement.warnings.extend(open);
        Ok(measurement)
    }
}

impl Bench for LiteRtRuntime {
    fn target(&self) -> &str {
        &self.target
    }

    fn runtime(&self) -> String {
        format!("LiteRT {} with XNNPACK", self.library.version)
    }

    fn threads(&self) -> usize {
        self.cpu.threads
    }

    fn float(&self, network: &FloatNetwork) -> Result<Box<dyn Timed>, TargetError> {
        let file = self.write_float(network, &ModelInfo::default())?;
        Ok(Box::new(self.timed(&file, &OpenSizes::new())?))
    }

    fn integer(&self, network: &IntegerNetwork) -> Result<Box<dyn Timed>, TargetError> {
        let info = ModelInfo::default();
        let file = self.write_integer(network, &info, ModelOutputs::Result)?;
        Ok(Box::new(self.timed(&file, &OpenSizes::new())?))
    }
}

/// A file that is ready to run.
struct OpenedModel {
    target: String,
    compiled: CompiledModel,
    summary: ModelSummary,
    measured: ResolvedInputs,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
}

impl OpenedModel {
    fn error(&self, reason: impl ToString) -> TargetError {
        TargetError::new(&self.target, reason.to_string())
    }

    /// Fills inputs with numbers that every model can take: pixels in 0…1, tokens and masks of 0
    /// and 1; the same every time.
    fn fill(&mut self) -> Result<(), LiteRtError> {
        for (index, tensor) in self.inputs.iter().enumerate() {
            let count = tensor.elements();
            let pixel = |at: usize| ((at * 37 + 11) % 256) as u8;
            let bit = |at: usize| (at % 2) as u8;
            let bytes = match tensor.element.as_str() {
                "float32" => {
                    let real = |at| (f32::from(pixel(at)) / 255.0).to_le_bytes();
                    (0..count).flat_map(real).collect()
                }
                "float64" => {
                    let real = |at| (f64::from(pixel(at)) / 255.0).to_le_bytes();
                    (0..count).flat_map(real).collect()
                }
                "float16" => {
                    let real = |at| f16::from_f32(f32::from(pixel(at)) / 255.0).to_le_bytes();
                    (0..count).flat_map(real).collect()
                }
                "int8" | "uint8" => (0..count).map(pixel).collect(),
                _ => {
                    let size = tensor.bytes() / count.max(1);
                    let first =
                        |at: usize| if at.is_multiple_of(size) { bit(at / size) } else { 0 };
                    (0..tensor.bytes()).map(first).collect::<Vec<u8>>()
                }
            };
            self.compiled.write(index, &bytes)?;
        }
        Ok(())
    }

    /// Puts an image in, channels last; gives the integers where the model takes these.
    fn put(&mut self, image: &[f32]) -> Result<Vec<u8>, TargetError> {
        let input = &self.summary.inputs[0];
        let elements = self.inputs[0].elements();
        if image.len() != elements {
            let (shape, found) = (&input.shape, image.len());
            return Err(self.error(format!("the model takes {shape:?}, got {found} numbers")));
        }
        let order = channels_last(&self.inputs[0].shape);
        let params = params(input);
        let integers: Vec<u8> = match params {
            Some(params) => image.iter().map(|&x| params.quantize(x)).collect(),
            None => Vec::new(),
        };
        let bytes: Vec<u8> = if params.is_some() {
            order.iter().map(|&place| integers[place].wrapping_sub(128)).collect()
        } else {
            order.iter().flat_map(|&place| image[place].to_le_bytes()).collect()
        };
        self.compiled.write(0, &bytes).map_err(|error| self.error(error))?;
        Ok(integers)
    }

    /// An output in the order of channels first, as bytes of one or four.
    fn output(&mut self, index: usize) -> Result<(Vec<u8>, usize), TargetError> {
        let bytes = self.compiled.read(index).map_err(|error| self.error(error))?;
        let order = channels_last(&self.outputs[index].shape);
        let size = bytes.len() / order.len().max(1);
        let mut first = vec![0; bytes.len()];
        for (from, &to) in order.iter().enumerate() {
            first[to * size..][..size].copy_from_slice(&bytes[from * size..][..size]);
        }
        Ok((first, size))
    }
}

impl Timed for OpenedModel {
    fn run(&mut self) -> Result<(), TargetError> {
        self.compiled.run().map_err(|error| self.error(error))
    }
}

impl LoadedModel for OpenedModel {
    fn run(&mut self, image: &[f32]) -> Result<Vec<f32>, TargetError> {
        self.put(image)?;
        Timed::run(self)?;
        let (bytes, size) = self.output(0)?;
        match (params(&self.summary.outputs[0]), size) {
            (Some(params), 1) => {
                Ok(bytes.iter().map(|q| params.dequantize(q.wrapping_add(128))).collect())
            }
            (None, 4) => {
                let real = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
                Ok(bytes.chunks_exact(4).map(real).collect())
            }
            _ => {
                let element = &self.summary.outputs[0].element;
                Err(self.error(format!("the model's output is {element}, not int8 or float32")))
            }
        }
    }

    fn run_integers(&mut self, image: &[f32]) -> Result<BTreeMap<String, Vec<u8>>, TargetError> {
        let input = self.put(image)?;
        Timed::run(self)?;
        if self.summary.outputs.iter().any(|output| output.name == spacewright_core::model::OUTPUT)
            || input.is_empty()
        {
            return Err(self.error("the model was written without the integers of its values"));
        }
        let mut values = BTreeMap::from([("input".to_owned(), input)]);
        for index in 0..self.summary.outputs.len() {
            let (bytes, _) = self.output(index)?;
            let integers = bytes.into_iter().map(|q| q.wrapping_add(128)).collect();
            values.insert(self.summary.outputs[index].name.clone(), integers);
        }
        Ok(values)
    }

    /// The file's own: LiteRT runs operators on the types that they have there.
    fn float_operators(&mut self) -> Result<Vec<String>, TargetError> {
        Ok(self.summary.float_operators.clone())
    }
}

/// A tensor's parameters as unsigned integers, if it is `int8` with one scale.
fn params(tensor: &TensorSummary) -> Option<QParams> {
    let zero_point = u8::try_from(tensor.zero_point.unwrap_or(0).checked_add(128)?).ok()?;
    let scales = tensor.scales.filter(|scales| scales.count == 1 && tensor.element == "int8")?;
    Some(QParams { scale: scales.smallest, zero_point })
}

/// For each element of a tensor with channels last, its place with channels first.
fn channels_last(shape: &[i64]) -> Vec<usize> {
    let count = shape.iter().product::<i64>().max(0) as usize;
    let &[_, height, width, channels] = shape else { return (0..count).collect() };
    let (area, channels) = ((height * width) as usize, channels as usize);
    (0..count).map(|i| (i % channels) * area + i / channels).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_move_to_the_front() {
        // Two channels of 1×3 pixels: a0 b0 a1 b1 a2 b2.
        assert_eq!(channels_last(&[1, 1, 3, 2]), [0, 3, 1, 4, 2, 5]);
        assert_eq!(channels_last(&[1, 4]), [0, 1, 2, 3]);
    }
}
