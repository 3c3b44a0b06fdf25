//! Runs TFLite files with LiteRT: one thread, XNNPACK's kernels.

use std::collections::BTreeMap;

use spacewright_core::{
    model::{ModelSummary, TensorSummary},
    quant::{FloatNetwork, IntegerNetwork, QParams},
    target::{LoadedModel, Measurement, ModelInfo, ModelOutputs, Runtime, TargetError},
};
use spacewright_measure::{Bench, Timed};
use spacewright_tflite::{read, scheme, write_float, write_integer};

use crate::{
    error::LiteRtError,
    ffi::{CompiledModel, Kernels, TensorSpec},
    library::{Library, library},
};

/// LiteRT on this machine.
#[derive(Clone)]
pub struct LiteRtRuntime {
    target: String,
    library: &'static Library,
    kernels: Kernels,
}

impl LiteRtRuntime {
    /// The runtime of the target of this name; an error where the library cannot be loaded.
    pub fn new(target: &str) -> Result<Self, TargetError> {
        let target = target.to_owned();
        match library() {
            Ok(library) => Ok(Self { target, library, kernels: Kernels::Xnnpack }),
            Err(error) => Err(TargetError::new(target, error.to_string())),
        }
    }

    /// The same with other kernels.
    pub fn with(self, kernels: Kernels) -> Self {
        Self { kernels, ..self }
    }

    fn error(&self, reason: impl ToString) -> TargetError {
        TargetError::new(&self.target, reason.to_string())
    }

    fn open(&self, file: &[u8]) -> Result<OpenedModel, TargetError> {
        let summary = read(file).map_err(|error| self.error(error))?;
        let tensors = |tensors: &[TensorSummary]| -> Vec<TensorSpec> {
            let tensor = |tensor: &TensorSummary| TensorSpec {
                element: tensor.element.clone(),
                shape: tensor.shape.iter().map(|size| (*size).max(1)).collect(),
            };
            tensors.iter().map(tensor).collect()
        };
        let (inputs, outputs) = (tensors(&summary.inputs), tensors(&summary.outputs));
        let litert = &self.library.litert;
        let compiled = CompiledModel::new(litert, file.to_vec(), self.kernels, &inputs, &outputs)
            .map_err(|error| self.error(error))?;
        Ok(OpenedModel { target: self.target.clone(), compiled, summary, inputs, outputs })
    }

    fn timed(&self, file: &[u8]) -> Result<OpenedModel, TargetError> {
        let mut opened = self.open(file)?;
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
        let opened = self.open(model)?;
        let input = match &opened.summary.inputs[..] {
            [input] => input,
            inputs => {
                return Err(self.error(format!("the model has {} inputs, not one", inputs.len())));
            }
        };
        let (shape, element) = (&input.shape, &input.element);
        if shape.len() != 4 || shape[0] != 1 {
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
        let mut opened = self.timed(model)?;
        let mut measurement = spacewright_measure::file(self.clone(), &mut opened, scheme())?;
        let open = |tensor: &&TensorSummary| tensor.shape.iter().any(|size| *size < 0);
        let names: Vec<String> =
            opened.summary.inputs.iter().filter(open).map(|t| format!("`{}`", t.name)).collect();
        if !names.is_empty() {
            let names = names.join(", ");
            measurement.warnings.push(format!("open sizes of {names} were taken as 1"));
        }
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

    fn float(&self, network: &FloatNetwork) -> Result<Box<dyn Timed>, TargetError> {
        Ok(Box::new(self.timed(&self.write_float(network, &ModelInfo::default())?)?))
    }

    fn integer(&self, network: &IntegerNetwork) -> Result<Box<dyn Timed>, TargetError> {
        let info = ModelInfo::default();
        let file = self.write_integer(network, &info, ModelOutputs::Result)?;
        Ok(Box::new(self.timed(&file)?))
    }
}

/// A file that is ready to run.
struct OpenedModel {
    target: String,
    compiled: CompiledModel,
    summary: ModelSummary,
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
            let count = tensor.shape.iter().product::<i64>() as usize;
            let pixel = |at: usize| ((at * 37 + 11) % 256) as u8;
            let bit = |at: usize| (at % 2) as u8;
            let bytes = match tensor.element.as_str() {
                "float32" => {
                    let real = |at| (f32::from(pixel(at)) / 255.0).to_le_bytes();
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
        let elements = self.inputs[0].shape.iter().product::<i64>() as usize;
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
        Ok(self.summary.float_operators())
    }
}

/// A tensor's parameters as unsigned integers, if it is `int8` with one scale.
fn params(tensor: &TensorSummary) -> Option<QParams> {
    let zero_point = u8::try_from(tensor.zero_point.unwrap_or(0).checked_add(128)?).ok()?;
    match tensor.scales[..] {
        [scale] if tensor.element == "int8" => Some(QParams { scale, zero_point }),
        _ => None,
    }
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
