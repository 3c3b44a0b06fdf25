//! Windows as TFLite describes them (`Padding` of its schema; its documentation of `tf.nn` has the rule of SAME).

use spacewright_core::graph::{KernelSize, Padding, Shape};

use crate::operators::Border;

/// A window that moves over a map, rows first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    pub border: i8,
}

/// Rows and columns, as options say them.
pub(super) fn pixels(sizes: [Option<i32>; 2]) -> Result<[usize; 2], String> {
    let size = |size: Option<i32>| {
        let size = size.unwrap_or(0);
        usize::try_from(size).map_err(|_| format!("a window or stride of {size}"))
    };
    let [rows, columns] = sizes;
    Ok([size(rows)?, size(columns)?])
}

impl Window {
    /// As options say it; dilations that they leave out are 1.
    pub(super) fn of(
        kernel: [usize; 2],
        strides: [Option<i32>; 2],
        dilations: [Option<i32>; 2],
        border: Option<i8>,
    ) -> Result<Self, String> {
        Ok(Self {
            kernel,
            stride: pixels(strides)?,
            dilation: pixels(dilations.map(|dilation| dilation.or(Some(1))))?,
            border: border.unwrap_or(0),
        })
    }

    /// Stride and dilation, which are the same for rows and columns.
    pub(super) fn steps(&self) -> Result<(usize, usize), String> {
        let Self { kernel: [rows, columns], stride, dilation, .. } = *self;
        if stride[0] != stride[1] {
            return Err(format!("strides {} and {}; equal ones are known", stride[0], stride[1]));
        }
        let Some(dilation) = KernelSize { rows, columns }.common_dilation(dilation) else {
            let [down, right] = dilation;
            return Err(format!("dilations {down} and {right}; equal ones are known"));
        };
        if rows.min(columns) == 0 || stride[0] == 0 || dilation == 0 {
            return Err(format!(
                "a window of {rows}×{columns} pixels with stride {} and dilation {dilation}",
                stride[0]
            ));
        }
        Ok((stride[0], dilation))
    }

    /// Side and stride of a pool's window.
    pub(super) fn square(&self) -> Result<(usize, usize), String> {
        let [rows, columns] = self.kernel;
        if rows != columns {
            return Err(format!("a window of {rows}×{columns}; square ones are known for pools"));
        }
        Ok((rows, self.steps()?.0))
    }

    /// The zeros around a map of this shape.
    pub(super) fn padding(&self, map: Shape) -> Result<Padding, String> {
        if self.border == Border::Valid as i8 {
            return Ok(Padding::default());
        }
        if self.border != Border::Same as i8 {
            return Err(format!("padding of kind {}", self.border));
        }
        let sides = |size: usize, kernel: usize, stride: usize| {
            let count = size.div_ceil(stride.max(1));
            let covered = count.saturating_sub(1).saturating_mul(stride).saturating_add(kernel);
            let total = covered.saturating_sub(size);
            [total / 2, total - total / 2]
        };
        let span =
            |axis: usize| KernelSize::from(self.kernel[axis]).dilated(self.dilation[axis]).rows;
        let [top, bottom] = sides(map.height, span(0), self.stride[0]);
        let [left, right] = sides(map.width, span(1), self.stride[1]);
        Ok(Padding { top, left, bottom, right })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_puts_the_smaller_half_first() {
        let window = |kernel, stride, size| {
            let window = Window {
                kernel: [kernel; 2],
                stride: [stride; 2],
                dilation: [1; 2],
                border: Border::Same as i8,
            };
            let Padding { top, bottom, .. } = window.padding(Shape::square(1, size)).unwrap();
            (top, bottom)
        };
        assert_eq!(window(3, 1, 8), (1, 1));
        assert_eq!(window(3, 2, 8), (0, 1));
        assert_eq!(window(3, 2, 7), (1, 1));
        assert_eq!(window(5, 2, 8), (1, 2));
        assert_eq!(window(1, 2, 8), (0, 0));
    }
}
