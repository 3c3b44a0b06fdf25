//! Sizes of windows.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Rows and columns of a convolution's window. In text `3` where it is square, else `1x7`; in JSON a number, or
/// a list of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct KernelSize {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
}

impl KernelSize {
    /// A single pixel.
    pub const ONE: Self = Self { rows: 1, columns: 1 };

    /// Number of pixels.
    pub fn taps(self) -> usize {
        self.rows.saturating_mul(self.columns)
    }

    /// Whether there are as many rows as columns.
    pub fn is_square(self) -> bool {
        self.rows == self.columns
    }

    /// The dilation that does what these of rows and columns do: along a single pixel there is nothing to move
    /// apart. `None` where the two differ.
    pub fn common_dilation(self, [down, right]: [usize; 2]) -> Option<usize> {
        match (self.rows > 1, self.columns > 1) {
            (true, true) => (down == right).then_some(down),
            (true, false) => Some(down),
            (false, true) => Some(right),
            (false, false) => Some(1),
        }
    }

    /// The rows and columns that the window spans where neighbouring pixels of it lie `dilation` apart.
    pub fn dilated(self, dilation: usize) -> Self {
        let span = |pixels: usize| match pixels.checked_sub(1) {
            Some(steps) => steps.saturating_mul(dilation).saturating_add(1),
            None => 0,
        };
        Self { rows: span(self.rows), columns: span(self.columns) }
    }
}

impl From<usize> for KernelSize {
    fn from(side: usize) -> Self {
        Self { rows: side, columns: side }
    }
}

impl From<[usize; 2]> for KernelSize {
    fn from([rows, columns]: [usize; 2]) -> Self {
        Self { rows, columns }
    }
}

impl From<KernelSize> for [usize; 2] {
    fn from(kernel: KernelSize) -> Self {
        [kernel.rows, kernel.columns]
    }
}

impl fmt::Display for KernelSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_square() {
            true => write!(f, "{}", self.rows),
            false => write!(f, "{}x{}", self.rows, self.columns),
        }
    }
}

/// A text that is no size of a window.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is neither a whole number nor two like 1x7")]
pub struct ParseKernelSizeError {
    /// The text.
    pub text: String,
}

impl FromStr for KernelSize {
    type Err = ParseKernelSizeError;

    fn from_str(text: &str) -> Result<Self, ParseKernelSizeError> {
        let number = |text: &str| text.parse::<usize>().ok();
        let size = match text.split_once('x') {
            None => number(text).map(Self::from),
            Some((rows, columns)) => {
                number(rows).zip(number(columns)).map(|(rows, columns)| Self { rows, columns })
            }
        };
        size.ok_or_else(|| ParseKernelSizeError { text: text.to_owned() })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Square(usize),
    Pair([usize; 2]),
}

impl From<Written> for KernelSize {
    fn from(written: Written) -> Self {
        match written {
            Written::Square(side) => side.into(),
            Written::Pair(pair) => pair.into(),
        }
    }
}

impl From<KernelSize> for Written {
    fn from(kernel: KernelSize) -> Self {
        match kernel.is_square() {
            true => Self::Square(kernel.rows),
            false => Self::Pair(kernel.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_is_written_as_one_number() {
        for (size, text, json) in
            [(KernelSize::from(3), "3", "3"), (KernelSize::from([1, 7]), "1x7", "[1,7]")]
        {
            assert_eq!(size.to_string(), text);
            assert_eq!(text.parse(), Ok(size));
            assert_eq!(serde_json::to_string(&size).unwrap(), json);
            assert_eq!(serde_json::from_str::<KernelSize>(json).unwrap(), size);
        }
        for wrong in ["", "x", "3x", "1x7x1", "-1"] {
            assert!(wrong.parse::<KernelSize>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn dilation_moves_pixels_apart() {
        assert_eq!(KernelSize::from([3, 1]).dilated(2), [5, 1].into());
        assert_eq!(KernelSize::from(5).dilated(1), 5.into());
        assert_eq!(KernelSize::from(3).dilated(usize::MAX), usize::MAX.into());
        for (kernel, dilations, common) in [
            ([3, 3], [2, 2], Some(2)),
            ([3, 3], [2, 1], None),
            ([1, 7], [5, 2], Some(2)),
            ([7, 1], [5, 2], Some(5)),
            ([1, 1], [5, 2], Some(1)),
        ] {
            assert_eq!(KernelSize::from(kernel).common_dilation(dilations), common);
        }
    }
}
