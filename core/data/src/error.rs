//! What can be wrong with a set of images.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Serialize, Serializer};
use spacewright_core::data::TransformError;
use thiserror::Error;

use crate::{
    catalog::{LARGEST_FILE, LARGEST_LABEL},
    decode::LARGEST_PIXELS,
};

/// Why a set of images cannot be used.
#[derive(Debug, Error)]
pub enum DataError {
    /// A file or folder cannot be read.
    #[error("{}: {source}", path.display())]
    Storage {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or folder is not as its layout asks.
    #[error("{}: {reason}", path.display())]
    Layout {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
        /// What to do about it.
        hint: String,
    },
    /// Images cannot be changed as was asked for.
    #[error(transparent)]
    Transform(#[from] TransformError),
    /// A sheet of images cannot be written.
    #[error("the sheet cannot be written: {reason}")]
    Sheet {
        /// Why.
        reason: String,
    },
    /// An image cannot be used.
    #[error(transparent)]
    Image(#[from] BadImage),
}

/// An image that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Error)]
#[error("{file}{}: {problem}", class.as_ref().map(|class| format!(" (class {class})")).unwrap_or_default())]
pub struct BadImage {
    /// Where it is: a path from the set's folder, or an archive and what it is called there.
    pub file: String,
    /// Its class, where that is known.
    pub class: Option<String>,
    /// What is wrong; written as a text.
    #[serde(rename = "reason", serialize_with = "as_text")]
    pub problem: ImageProblem,
}

fn as_text<S: Serializer>(problem: &ImageProblem, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(problem)
}

/// What is wrong with an image.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ImageProblem {
    /// There are no bytes.
    #[error("is empty")]
    Empty,
    /// The content is of no format that is read.
    #[error("is {} JPEG, PNG, WebP or BMP", format.map_or("no".into(), |name| format!("{name}, not")))]
    NoImage {
        /// Which it is, where it is a known one.
        format: Option<&'static str>,
    },
    /// The header promises more pixels than are decoded.
    #[error("has {width}x{height} pixels, more than {} million: make it smaller", LARGEST_PIXELS / 1_000_000)]
    TooManyPixels {
        /// Columns.
        width: u64,
        /// Rows.
        height: u64,
    },
    /// The header promises no pixels.
    #[error("has no pixels")]
    NoPixels,
    /// The file is longer than is read.
    #[error("has {} MB, more than {} MB", bytes >> 20, LARGEST_FILE >> 20)]
    TooLong {
        /// Its length.
        bytes: u64,
    },
    /// The decoder refuses it.
    #[error("does not decode: {reason}")]
    Damaged {
        /// Why.
        reason: String,
    },
    /// The file ends before the image.
    #[error("does not decode: it ends before its last line")]
    Truncated,
    /// The file system fails to read it.
    #[error("cannot be read: {reason}")]
    Unreadable {
        /// Why.
        reason: String,
    },
    /// This user may not read it.
    #[error("cannot be read: {reason}")]
    Denied {
        /// Why.
        reason: String,
    },
    /// A link whose end is not there.
    #[error("is a link to nothing")]
    DanglingLink,
    /// A device, a socket or the like.
    #[error("is no file")]
    NoFile,
    /// A label names no class.
    #[error("has class {class}, which is not from 0 to {}", classes.saturating_sub(1))]
    ClassOutOfRange {
        /// What the label says.
        class: i64,
        /// How many classes there are, or may be.
        classes: u32,
    },
    /// A BMP file of a kind that is not read.
    #[error("is a BMP file of {bits} bits with compression {compression}: save it as PNG")]
    OtherBmp {
        /// Bits of a pixel.
        bits: u16,
        /// The number of its compression.
        compression: u32,
    },
    /// A BMP file with the header of OS/2.
    #[error("is a BMP file of OS/2: save it as PNG")]
    OldBmp,
    /// A label is no number.
    #[error("has a label that is no integer")]
    LabelNoInteger,
    /// An image in a shard has no label.
    #[error("has no label: no .cls, no .json of that name beside it")]
    NoLabel,
    /// A label in a shard has no image.
    #[error("has a label, but no image beside it")]
    LabelAlone,
    /// The file of a label in a shard is longer than is read.
    #[error("has a label of {bytes} bytes, more than {LARGEST_LABEL}")]
    LongLabel {
        /// Its length.
        bytes: u64,
    },
    /// `pad` is to less than the image has.
    #[error("has {width}x{height} pixels, more than `pad` to {to}")]
    LargerThanPad {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// Side of the square.
        to: usize,
    },
    /// A crop is to more than the image has.
    #[error(
        "has {width}x{height} pixels, fewer than a crop of {side}x{side}: resize or pad it first"
    )]
    SmallerThanCrop {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// Side of the square.
        side: usize,
    },
    /// The transforms do not lead to the network's input.
    #[error(
        "has {width}x{height} pixels after all transforms, the network takes {side}x{side}: add `resize` \
         and `center-crop`, or `pad`"
    )]
    AnotherSize {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// Side of the network's input.
        side: usize,
    },
    /// A rectangle of it cannot be resized.
    #[error("cannot be resized: {reason}")]
    Resizing {
        /// Why.
        reason: String,
    },
}

impl ImageProblem {
    /// What is wrong with an image that cannot be read.
    pub(crate) fn unreadable(error: &io::Error) -> Self {
        let reason = error.to_string();
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::Denied { reason },
            _ => Self::Unreadable { reason },
        }
    }
}

impl DataError {
    /// What is wrong with a file or folder, and what to do about it.
    pub(crate) fn layout(path: &Path, reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Layout { path: path.to_owned(), reason: reason.into(), hint: hint.into() }
    }

    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Layout { hint, .. } => Some(hint),
            Self::Storage { .. } | Self::Transform(_) | Self::Sheet { .. } | Self::Image(_) => None,
        }
    }
}

/// Names the file of an input or output error.
pub(crate) trait AtPath<T> {
    fn at(self, path: &Path) -> Result<T, DataError>;
}

impl<T> AtPath<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T, DataError> {
        self.map_err(|source| DataError::Storage { path: path.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_be_read_is_told_from_what_fails() {
        let of = |kind: io::ErrorKind| ImageProblem::unreadable(&kind.into());
        assert!(matches!(of(io::ErrorKind::PermissionDenied), ImageProblem::Denied { .. }));
        assert!(matches!(of(io::ErrorKind::TimedOut), ImageProblem::Unreadable { .. }));
    }
}
