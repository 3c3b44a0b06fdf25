//! Pickles of tensors, read without running anything.
//!
//! A pickle is a program for a stack machine. This one knows the operations that dictionaries of tensors
//! are written with, and nothing can be called but two names: the ordered dictionary, and what makes a
//! tensor of a part of a storage. What is called becomes plain data here. Every operation takes its bytes
//! from the file before it makes anything of them, and makes at most one value, so that what a
//! pickle becomes grows with its length; that and the number of operations are limited.

mod machine;
mod operation;
mod value;

use thiserror::Error;

pub(crate) use machine::{Pickle, load};
pub(crate) use value::{StorageSpec, TensorSpec, Value};

/// Most operations of a pickle: a network of two hundred layers takes some ten thousand.
pub(crate) const MOST_OPERATIONS: usize = 1 << 20;

/// Most dimensions of a tensor; kernels of convolutions have four.
const MOST_DIMENSIONS: usize = 8;

/// Why a pickle is not read, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("byte {at}: {problem}")]
pub(crate) struct PickleError {
    /// Position in the file of the operation.
    pub at: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with an operation of a pickle.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Problem {
    #[error("the file ends within a pickle")]
    End,
    #[error("{length} bytes are announced, {left} are left in the file")]
    Length { length: u64, left: usize },
    #[error("the operation {0:#04x} does not occur in files of tensors, and is not read")]
    Operation(u8),
    #[error("protocol {0} is not read; files of torch have 2")]
    Protocol(u8),
    #[error("more than {MOST_OPERATIONS} operations")]
    Operations,
    #[error("a text is not in UTF-8")]
    Text,
    #[error("`{0}` is nothing that files of tensors need, and is not looked up")]
    Global(String),
    #[error("the stack is empty")]
    Stack,
    #[error("there is no mark on the stack")]
    Mark,
    #[error("nothing is remembered as {0}")]
    Memo(u32),
    #[error("expected {expected}, found {found}")]
    Kind { expected: &'static str, found: &'static str },
    #[error("a tensor of {0} dimensions; at most {MOST_DIMENSIONS} are read")]
    Dimensions(usize),
    #[error("a dictionary has a key without a value")]
    OddItems,
}

#[cfg(test)]
mod tests;
