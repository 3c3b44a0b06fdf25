//! What can go wrong between this crate and the LiteRT library.

use std::{ffi::c_int, io, path::PathBuf};

use spacewright_core::foreign::{Escaped, SizeError};
use spacewright_measure::library::LibraryError;
use spacewright_tflite::ReadError;
use thiserror::Error;

/// Why LiteRT does not do what it is asked for.
#[derive(Debug, Error)]
pub(crate) enum LiteRtError {
    /// There is no library.
    #[error(transparent)]
    NotFound(#[from] LibraryError),
    /// The file of the library cannot be read.
    #[error("{}: {source}", .file.display())]
    Read { file: PathBuf, source: io::Error },
    /// The system's loader refused the library.
    #[error("cannot load LiteRT: {0}")]
    Load(#[source] libloading::Error),
    /// The library lacks a function.
    #[error("this LiteRT is another version than 2.3: {0}")]
    Version(#[source] libloading::Error),
    /// One of its functions failed, with a status that LiteRT's headers name.
    #[error("LiteRT cannot {task}: status {status}")]
    Call { task: &'static str, status: c_int },
    /// An input or output has elements of a type that LiteRT's C interface does not know.
    #[error("tensors of {element} are not supported")]
    Element { element: String },
    /// An input or output has more than 8 dimensions, or a size of 2³¹ and more.
    #[error("LiteRT has no tensors of shape {shape}: it takes 8 dimensions below 2³¹")]
    TensorSize { shape: String },
    /// The file of a model is damaged.
    #[error(transparent)]
    Damaged(#[from] ReadError),
    /// The file has sizes with which it cannot be run.
    #[error(transparent)]
    Size(#[from] SizeError),
    /// The model has operators of other libraries.
    #[error(
        "LiteRT does not know `{}`: operators of other libraries cannot be run",
        Escaped(operators)
    )]
    Custom { operators: String },
    /// An input was given another number of bytes than it has.
    #[error("an input takes {needed} bytes, got {found}")]
    InputSize { needed: usize, found: usize },
}
