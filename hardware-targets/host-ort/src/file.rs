//! Any ONNX file, to be measured: images, tokens, several inputs.

use half::{bf16, f16};
use ort::{
    session::Session,
    value::{DynTensor, Tensor, TensorElementType, ValueType},
};
use spacewright_core::{
    foreign::{MeasuredInput, ModelFile, OpenSizes, ResolvedInputs},
    target::TargetError,
};
use spacewright_measure::{Bench, Timed};

use crate::{
    error::OrtError,
    reader,
    runtime::{OrtRuntime, Source},
};

/// A file in a session of its own.
pub(crate) struct OpenedFile {
    pub(crate) session: Session,
    /// What goes in.
    pub(crate) inputs: ResolvedInputs,
}

impl OpenedFile {
    /// Reads a file, checks the sizes of its inputs, and opens it; nothing is allocated before.
    pub(crate) fn open(
        runtime: &OrtRuntime,
        file: &ModelFile<'_>,
        sizes: &OpenSizes,
    ) -> Result<Self, OrtError> {
        let summary = reader::read(file)?;
        let inputs = ResolvedInputs::new(&summary.inputs, sizes)?;
        let mut named = Vec::new();
        for (input, measured) in summary.inputs.iter().zip(&inputs.inputs) {
            let given = |(axis, name): (&usize, &String)| {
                let open = *input.shape.get(*axis)? < 0;
                open.then(|| (name.clone(), measured.shape[*axis]))
            };
            named.extend(input.size_names.iter().filter_map(given));
        }
        let source = Source::of(file);
        let session = runtime.session(source, &named).map_err(|error| {
            if summary.custom_operators.is_empty() {
                return OrtError::Refused(error);
            }
            let operators = summary.custom_operators.join("`, `");
            OrtError::Custom { operators, source: error }
        })?;
        Ok(Self { session, inputs })
    }
}

/// A model with a value for each input.
pub(crate) struct MeasuredFile {
    target: String,
    session: Session,
    values: Vec<(String, DynTensor)>,
    /// What it is measured with.
    pub(crate) inputs: ResolvedInputs,
}

impl MeasuredFile {
    /// Opens a file, and makes up values for its inputs.
    pub(crate) fn open(
        runtime: &OrtRuntime,
        file: &ModelFile<'_>,
        sizes: &OpenSizes,
    ) -> Result<Self, OrtError> {
        let OpenedFile { session, inputs } = OpenedFile::open(runtime, file, sizes)?;
        let values = inputs.inputs.iter().map(|input| value(&session, input));
        let values = values.collect::<Result<_, _>>()?;
        Ok(Self { target: runtime.target().to_owned(), session, values, inputs })
    }
}

impl Timed for MeasuredFile {
    fn run(&mut self) -> Result<(), TargetError> {
        let inputs = self.values.iter().map(|(name, value)| (name.as_str(), value));
        let outputs = self.session.run(inputs.collect::<Vec<_>>());
        let failed = |error| TargetError::new(&self.target, OrtError::Run(error).to_string());
        outputs.map(drop).map_err(failed)
    }
}

/// A value for an input: small numbers that every model can take, pixels in 0…1, and tokens and
/// masks of 0 and 1; the same every time.
fn value(session: &Session, input: &MeasuredInput) -> Result<(String, DynTensor), OrtError> {
    let name = input.name.clone();
    let known = session.inputs().iter().find(|known| known.name() == name);
    let kind = match known.map(|known| known.dtype()) {
        Some(ValueType::Tensor { ty, .. }) => *ty,
        Some(other) => {
            return Err(OrtError::NoTensor { input: name, found: Box::new(other.clone()) });
        }
        None => return Err(OrtError::NoInput { input: name }),
    };
    let (shape, count) = (&input.shape, input.elements());
    let pixel = |at: usize| ((at * 37 + 11) % 256) as f32 / 255.0;
    macro_rules! tensor {
        ($number:ty, $of:expr) => {
            Tensor::from_array((shape.to_vec(), (0..count).map($of).collect::<Vec<$number>>()))
                .map(|tensor| tensor.upcast())
        };
    }
    let made = match kind {
        TensorElementType::Float32 => tensor!(f32, pixel),
        TensorElementType::Float64 => tensor!(f64, |at| f64::from(pixel(at))),
        TensorElementType::Float16 => tensor!(f16, |at| f16::from_f32(pixel(at))),
        TensorElementType::Bfloat16 => tensor!(bf16, |at| bf16::from_f32(pixel(at))),
        TensorElementType::Uint8 => tensor!(u8, |at| (at % 256) as u8),
        TensorElementType::Int8 => tensor!(i8, |at| (at % 128) as i8),
        TensorElementType::Uint16 => tensor!(u16, |at| (at % 2) as u16),
        TensorElementType::Int16 => tensor!(i16, |at| (at % 2) as i16),
        TensorElementType::Uint32 => tensor!(u32, |at| (at % 2) as u32),
        TensorElementType::Int32 => tensor!(i32, |at| (at % 2) as i32),
        TensorElementType::Uint64 => tensor!(u64, |at| (at % 2) as u64),
        TensorElementType::Int64 => tensor!(i64, |at| (at % 2) as i64),
        TensorElementType::Bool => tensor!(bool, |at| at % 2 == 0),
        element => return Err(OrtError::Element { input: name, element }),
    };
    match made {
        Ok(value) => Ok((name, value)),
        Err(source) => Err(OrtError::Tensor { input: name, source }),
    }
}
