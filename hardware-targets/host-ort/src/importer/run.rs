//! What ONNX Runtime computes of a file, to compare an import with.

use ort::value::Tensor;
use spacewright_core::foreign::{ModelFile, OpenSizes};

use crate::{error::OrtError, file::OpenedFile, runtime::OrtRuntime};

/// The first output for images, each as many numbers as the file's input has.
pub(super) fn run(
    runtime: &OrtRuntime,
    file: &ModelFile<'_>,
    sizes: &OpenSizes,
    images: &[Vec<f32>],
) -> Result<Vec<Vec<f32>>, OrtError> {
    let OpenedFile { mut session, inputs } = OpenedFile::open(runtime, file, sizes)?;
    let shape = inputs.inputs.first().map(|input| input.shape.clone()).unwrap_or_default();
    let mut run = |image: &Vec<f32>| {
        let input = Tensor::from_array((shape.clone(), image.clone()))?;
        let outputs = session.run(ort::inputs![input])?;
        Ok(outputs[0].try_extract_tensor::<f32>()?.1.to_vec())
    };
    images.iter().map(|image| run(image).map_err(OrtError::Run)).collect()
}
