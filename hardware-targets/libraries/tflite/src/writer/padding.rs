//! Padding: TFLite has two kinds; everything else is an operator of its own.

use spacewright_core::graph::{Padding, Shape};

use crate::operators::Border;

/// A square window that moves over an image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub side: usize,
    pub stride: usize,
    pub padding: Padding,
}

/// Rows above and below, then columns to the left and to the right, that must be added first.
pub(super) type Added = [[usize; 2]; 2];

impl Window {
    /// How TFLite pads for the same result, and what must be added first, if anything.
    pub(super) fn border(&self, input: Shape, output: Shape) -> (Border, Option<Added>) {
        let rows = (input.height, output.height, self.padding.top);
        let columns = (input.width, output.width, self.padding.left);
        let both = [rows, columns];
        if both.iter().all(|&(size, count, before)| self.is_same(size, count, before)) {
            return (Border::Same, None);
        }
        let added = both.map(|(size, count, before)| [before, self.after(size, count, before)]);
        (Border::Valid, (added != [[0; 2]; 2]).then_some(added))
    }

    /// TFLite's `SAME`: ⌈size / stride⌉ outputs, of the padding the smaller half first.
    fn is_same(&self, size: usize, count: usize, before: usize) -> bool {
        let total = ((count - 1) * self.stride + self.side).saturating_sub(size);
        count == size.div_ceil(self.stride) && before == total / 2
    }

    /// What the last window covers behind the image.
    fn after(&self, size: usize, count: usize, before: usize) -> usize {
        ((count - 1) * self.stride + self.side).saturating_sub(before + size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(side: usize, stride: usize, padding: Padding, size: usize) -> (Border, Option<Added>) {
        let count = (size + padding.top + padding.bottom - side) / stride + 1;
        let window = Window { side, stride, padding };
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
