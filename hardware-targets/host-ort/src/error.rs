//! What can go wrong between this crate and the ONNX Runtime library.

use std::io;

use ort::value::{TensorElementType, ValueType};
use spacewright_measure::library::LibraryError;
use thiserror::Error;

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
    /// The model is damaged, or has operators that this version does not know.
    #[error("ONNX Runtime refused the model: {0}")]
    Refused(#[source] ort::Error),
    /// An input of a file that is to be measured is no tensor.
    #[error("input `{input}` is {found:?}; tensors are measured")]
    NoTensor { input: String, found: Box<ValueType> },
    /// An input of a file that is to be measured has elements for which no values are made up.
    #[error("input `{input}`: no values of type {element} are made up")]
    Element { input: String, element: TensorElementType },
    /// ONNX Runtime cannot make a tensor for an input.
    #[error("input `{input}`: {source}")]
    Tensor { input: String, source: ort::Error },
    /// ONNX Runtime cannot write the model that it optimized.
    #[error("no optimized model: {0}")]
    Optimize(#[source] ort::Error),
    /// The file of the optimized model cannot be made or read.
    #[error("no optimized model: {0}")]
    OptimizedFile(#[from] io::Error),
    /// The file of the optimized model cannot be decoded.
    #[error("no optimized model: {0}")]
    OptimizedModel(#[from] prost::DecodeError),
}
