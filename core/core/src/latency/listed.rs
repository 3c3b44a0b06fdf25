//! Operators as batches of graphs in columns list them.

use crate::graph::{KernelSize, Op, OpAttributes, OpError, OpKind, TextAttributes};

/// An entry of [`GraphColumns::operators`](super::GraphColumns::operators): the operator's name, and what most of its
/// kind do not have and no column holds, as in the text form of graphs: `conv2d kernel=1x7 dilation=2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedOperator {
    /// What is computed.
    pub kind: OpKind,
    /// Rows and columns of a window that is not square.
    pub kernel: Option<KernelSize>,
    /// Distance of the pixels that neighbours in a window see.
    pub dilation: usize,
}

impl ListedOperator {
    /// What an entry says.
    ///
    /// # Errors
    ///
    /// There is no such operator, or an attribute cannot be read.
    pub fn read(entry: &str) -> Result<Self, OpError> {
        let (name, attributes) = entry.split_once(' ').unwrap_or((entry, ""));
        let attributes = TextAttributes::new(attributes);
        Ok(Self {
            kind: OpKind::named(name)?,
            kernel: attributes.has("kernel").then(|| attributes.kernel()).transpose()?,
            dilation: attributes.dilation()?,
        })
    }

    /// The entry of an operator.
    pub fn entry(op: &Op) -> String {
        let mut entry = op.kind().name().to_owned();
        if let Op::Conv2d(conv) = op {
            if !conv.kernel.is_square() {
                entry += &format!(" kernel={}", conv.kernel);
            }
            if conv.dilation != 1 {
                entry += &format!(" dilation={}", conv.dilation);
            }
        }
        entry
    }

    /// Rows and columns of the window of a node whose column `kernel` says `side`.
    pub fn window(&self, side: u32) -> KernelSize {
        self.kernel.unwrap_or_else(|| (side as usize).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::ConvSpec;

    #[test]
    fn entries_say_what_columns_do_not() {
        for (spec, entry) in [
            (ConvSpec::new(8, 3), "conv2d"),
            (ConvSpec::new(8, [1, 7]), "conv2d kernel=1x7"),
            (ConvSpec::new(8, 5).dilation(2), "conv2d dilation=2"),
            (ConvSpec::new(8, [7, 1]).dilation(3), "conv2d kernel=7x1 dilation=3"),
        ] {
            let op = Op::from(spec);
            assert_eq!(ListedOperator::entry(&op), entry);
            let Op::Conv2d(conv) = op else { unreachable!() };
            let read = ListedOperator::read(entry).unwrap();
            assert_eq!(read.window(conv.kernel.rows as u32), conv.kernel);
            assert_eq!((read.kind, read.dilation), (OpKind::Conv2d, conv.dilation));
        }
        assert_eq!(ListedOperator::entry(&Op::Add), "add");
        for wrong in ["conv3d", "conv2d kernel=x7", "conv2d dilation=-1"] {
            assert!(ListedOperator::read(wrong).is_err(), "{wrong}");
        }
    }
}
