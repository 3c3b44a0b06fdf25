//! What crosses to WebAssembly components: conversions between the types of
//! [`core`](crate::core) and those that are generated from `wit/plugin.wit`, for both sides.

mod convert;
mod convert_target;

use thiserror::Error;

use crate::text::UnknownName;

/// Something that a component says, or is told, that has no counterpart.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConversionError {
    /// Columns of one record that differ in length.
    #[error("{record}: columns have the lengths {lengths:?}")]
    Lengths {
        /// Which record.
        record: &'static str,
        /// The length of each column, in the order of the record.
        lengths: Vec<usize>,
    },
    /// A name that nothing has.
    #[error(transparent)]
    Name(#[from] UnknownName),
    /// Choices of spaces that are no multiple of the number of stages.
    #[error("{choices} choices for {stages} stages")]
    Choices {
        /// Length of the columns.
        choices: usize,
        /// Stages of each space.
        stages: usize,
    },
    /// Not one part of a score for each space and latency limit.
    #[error("{spaces} spaces and {limits} limits need {needed} parts, got {lengths:?}")]
    Parts {
        /// Number of spaces.
        spaces: usize,
        /// Number of latency limits.
        limits: usize,
        /// Their product.
        needed: usize,
        /// The length of each column of parts.
        lengths: [usize; 4],
    },
    /// A hyperspace that is no JSON, or not that of a hyperspace.
    #[error("hyperspace: {0}")]
    Hyperspace(String),
}

/// That the columns of a record have one length.
#[doc(hidden)]
pub fn same_lengths(record: &'static str, lengths: &[usize]) -> Result<(), ConversionError> {
    match lengths.windows(2).all(|pair| pair[0] == pair[1]) {
        true => Ok(()),
        false => Err(ConversionError::Lengths { record, lengths: lengths.to_vec() }),
    }
}
