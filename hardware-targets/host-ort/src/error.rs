//! What can go wrong between this crate and the ONNX Runtime library. Text of models is escaped.

use std::io;

use ort::value::{TensorElementType, ValueType};
use spacewright_core::foreign::{Escaped, SizeError};
use spacewright_measure::library::LibraryError;
use thiserror::Error;

use crate::reader::ReadError;

/// Why ONNX Runtime does not do what it is asked for.
#[derive(Debug, Error)]
pub(crate) enum OrtError {
    /// There is no library.
    #[error(transparent)]
    NotFound(#[from] LibraryError),
    /// The library cannot be loaded, or is another version than it should be.
    #[error("cannot load ONNX Runtime: {0}")]
    Load(#[source] ort::LoadDynamicError),
    /// The library was loaded, but does not start.
    #[error("cannot load ONNX Runtime: {0}")]
    Start(#[source] ort::Error),
    /// The file of a model is damaged.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A model has sizes with which it cannot be measured.
    #[error(transparent)]
    Size(#[from] SizeError),
    /// The model is damaged, or has operators that this version does not know.
    #[error("ONNX Runtime refused the model: {}", said(.0))]
    Refused(#[source] ort::Error),
    /// The model has operators that neither it nor ONNX Runtime defines.
    #[error(
        "ONNX Runtime does not know `{}`: operators of other libraries cannot be measured ({})",
        Escaped(operators),
        said(source)
    )]
    Custom { operators: String, source: ort::Error },
    /// The model cannot be run.
    #[error("ONNX Runtime: {}", said(.0))]
    Run(#[source] ort::Error),
    /// An input of a file that is to be measured is no tensor.
    #[error("input `{}` is {found:?}; tensors are measured", Escaped(input))]
    NoTensor { input: String, found: Box<ValueType> },
    /// An input of a file is none in ONNX Runtime's view of it.
    #[error("ONNX Runtime has no input `{}`", Escaped(input))]
    NoInput { input: String },
    /// An input of a file that is to be measured has elements for which no values are made up.
    #[error("input `{}`: no values of type {element} are made up", Escaped(input))]
    Element { input: String, element: TensorElementType },
    /// ONNX Runtime cannot make a tensor for an input.
    #[error("input `{}`: {source}", Escaped(input))]
    Tensor { input: String, source: ort::Error },
    /// ONNX Runtime cannot write the model that it optimized.
    #[error("no optimized model: {}", said(.0))]
    Optimize(#[source] ort::Error),
    /// The file of the optimized model cannot be made or read.
    #[error("no optimized model: {0}")]
    OptimizedFile(#[from] io::Error),
    /// The file of the optimized model cannot be decoded.
    #[error("no optimized model: {0}")]
    OptimizedModel(#[from] prost::DecodeError),
}

/// What the library says, which may hold text of the model.
fn said(error: &ort::Error) -> String {
    Escaped(error.to_string().trim_end()).to_string()
}
