//! Any ONNX file, to be measured: images, tokens, several inputs.

use ort::{
    session::Session,
    value::{DynTensor, Tensor, TensorElementType, ValueType},
};
use spacewright_core::target::TargetError;
use spacewright_measure::{Bench, Timed};

use crate::{
    error::OrtError,
    runtime::{OrtRuntime, session},
};

/// A model with a value for each input.
pub(crate) struct MeasuredFile {
    target: String,
    session: Session,
    inputs: Inputs,
}

impl MeasuredFile {
    /// Opens a file; gives also a sentence for sizes that it leaves open: they are taken as 1.
    pub(crate) fn open(
        runtime: &OrtRuntime,
        model: &[u8],
    ) -> Result<(Self, Option<String>), OrtError> {
        let session = session(runtime, model)?;
        let (inputs, free) = inputs(&session)?;
        Ok((Self { target: runtime.target().to_owned(), session, inputs }, free))
    }
}

impl Timed for MeasuredFile {
    fn run(&mut self) -> Result<(), TargetError> {
        let inputs = self.inputs.iter().map(|(name, value)| (name.as_str(), value));
        let outputs = self.session.run(inputs.collect::<Vec<_>>());
        outputs.map(drop).map_err(|error| TargetError::new(&self.target, error.to_string()))
    }
}

type Inputs = Vec<(String, DynTensor)>;

/// A value for each input, the same every time, and a sentence for sizes that the model leaves
/// open: they are taken as 1.
fn inputs(session: &Session) -> Result<(Inputs, Option<String>), OrtError> {
    let mut values = Vec::new();
    let mut open = Vec::new();
    for input in session.inputs() {
        let name = input.name();
        let ValueType::Tensor { ty, shape, .. } = input.dtype() else {
            let (input, found) = (name.to_owned(), Box::new(input.dtype().clone()));
            return Err(OrtError::NoTensor { input, found });
        };
        if shape.iter().any(|size| *size < 0) {
            open.push(format!("`{name}`"));
        }
        let shape: Vec<i64> = shape.iter().map(|size| (*size).max(1)).collect();
        values.push((name.to_owned(), value(name, *ty, &shape)?));
    }
    let names = open.join(", ");
    let free = (!open.is_empty()).then(|| format!("open sizes of {names} were taken as 1"));
    Ok((values, free))
}

/// Small numbers that every model can take: pixels in 0…1, and tokens and masks of 0 and 1.
fn value(input: &str, ty: TensorElementType, shape: &[i64]) -> Result<DynTensor, OrtError> {
    let count = shape.iter().product::<i64>() as usize;
    let pixel = |at: usize| ((at * 37 + 11) % 256) as f32 / 255.0;
    macro_rules! tensor {
        ($number:ty, $of:expr) => {
            Tensor::from_array((shape.to_vec(), (0..count).map($of).collect::<Vec<$number>>()))
                .map(|tensor| tensor.upcast())
        };
    }
    let made = match ty {
        TensorElementType::Float32 => tensor!(f32, pixel),
        TensorElementType::Float64 => tensor!(f64, |at| f64::from(pixel(at))),
        TensorElementType::Uint8 => tensor!(u8, |at| (at % 256) as u8),
        TensorElementType::Int8 => tensor!(i8, |at| (at % 128) as i8),
        TensorElementType::Int32 => tensor!(i32, |at| (at % 2) as i32),
        TensorElementType::Int64 => tensor!(i64, |at| (at % 2) as i64),
        TensorElementType::Bool => tensor!(bool, |at| at % 2 == 0),
        element => return Err(OrtError::Element { input: input.to_owned(), element }),
    };
    made.map_err(|source| OrtError::Tensor { input: input.to_owned(), source })
}
