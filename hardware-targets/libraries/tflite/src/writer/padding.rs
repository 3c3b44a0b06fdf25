//! Padding: TFLite has two kinds; everything else is an operator of its own.

use spacewright_core::graph::{KernelSize, Padding, Shape};

use crate::operators::Border;

/// A window that moves over an image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// Rows and columns that it spans, those between its pixels included.
    pub span: KernelSize,
    pub stride: usize,
    pub padding: Padding,
}

/// Rows above and below, then columns to the left and to the right, that must be added first.
pub(super) type Added = [[usize; 2]; 2];

impl Window {
    /// How TFLite pads for the same result, and what must be added first, if anything.
    pub(super) fn border(&self, input: Shape, output: Shape) -> (Border, Option<Added>) {
        let Self { span, stride, padding } = *self;
        let rows = Line {
            size: input.height,
            count: output.height,
            before: padding.top,
            covered: (output.height - 1) * stride + span.rows,
        };
        let columns = Line {
            size: input.width,
            count: output.width,
            before: padding.left,
            covered: (output.width - 1) * stride + span.columns,
        };
        let both = [rows, columns];
        if both.iter().all(|line| line.is_same(stride)) {
            return (Border::Same, None);
        }
        let added = both.map(|line| [line.before, line.after()]);
        (Border::Valid, (added != [[0; 2]; 2]).then_some(added))
    }
}

/// What happens along rows, or along columns.
struct Line {
    /// Pixels of the image.
    size: usize,
    /// Positions of the window.
    count: usize,
    /// Pixels added before the image.
    before: usize,
    /// Pixels from the beginning of the first window to the end of the last.
    covered: usize,
}

impl Line {
    /// TFLite's `SAME`: ⌈size / stride⌉ outputs, of the padding the smaller half first.
    fn is_same(&self, stride: usize) -> bool {
        let total = self.covered.saturating_sub(self.size);
        self.count == self.size.div_ceil(stride) && self.before == total / 2
    }

    /// What the last window covers behind the image.
    fn after(&self) -> usize {
        self.covered.saturating_sub(self.before + self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(side: usize, stride: usize, padding: Padding, size: usize) -> (Border, Option<Added>) {
        let count = (size + padding.top + padding.bottom - side) / stride + 1;
        let window = Window { span: side.into(), stride, padding };
        window.border(Shape::square(1, size), Shape::square(1, count))
    }

    #[test]
    fn padding_that_tflite_knows_needs_no_operator() {
        assert_eq!(check(3, 1, Padding::same(3), 8), (Border::Same, None));
        assert_eq!(check(3, 2, Padding::same(3), 7), (Border::Same, None));
        assert_eq!(check(1, 2, Padding::default(), 8), (Border::Same, None));
        assert_eq!(check(3, 1, Padding::default(), 8), (Border::Valid, None));
        let after = Padding { top: 0, left: 0, bottom: 1, right: 1 };
        assert_eq!(check(3, 2, after, 8), (Border::Same, None));
    }

    #[test]
    fn symmetric_padding_of_even_images_is_added_where_windows_reach() {
        let before = Some([[1, 0], [1, 0]]);
        assert_eq!(check(3, 2, Padding::same(3), 8), (Border::Valid, before));
        assert_eq!(check(5, 2, Padding::same(5), 8), (Border::Valid, Some([[2, 1], [2, 1]])));
    }
}
