//! What is profiled, and the graphs that are asked about.

use std::fmt;

use spacewright_core::graph::{Graph, GraphBuilder, Shape};
use thiserror::Error;

use crate::operator::{GROUP, Operator};

/// Maps of the quick plan as (side, channels): a network halves the side and doubles the channels.
const MAPS: [(usize, usize); 4] = [(56, 96), (28, 192), (14, 384), (7, 768)];

/// The full plan has these shares of the quick plan's channels, too, in twelfths.
const WIDTHS: [usize; 4] = [4, 8, 12, 16];

/// The side of the sweep's feature map: one that the middle stages of networks have.
const SWEPT_SIZE: usize = 14;

/// The operators of the sweep: what most blocks are made of.
const SWEPT: [Operator; 2] = [Operator::Conv { kernel: 1 }, Operator::DepthwiseConv { kernel: 3 }];

/// An operator on one shape of input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OperatorCase {
    /// The operator.
    pub operator: Operator,
    /// Channels of its input and output.
    pub width: usize,
    /// Side of the square feature map.
    pub size: usize,
}

/// An operator that cannot have a shape.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{case}: {reason}")]
pub struct CaseError {
    /// Operator and shape.
    pub case: OperatorCase,
    /// What does not fit.
    pub reason: String,
}

/// Which operators and shapes are profiled.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Operators by feature map, to tell which of them gain.
    pub grid: Vec<OperatorCase>,
    /// Operators by width, to tell which widths are wasteful.
    pub sweep: Vec<OperatorCase>,
}

impl Plan {
    /// Every operator of the study on four feature maps, and a coarse sweep.
    pub fn quick() -> Self {
        let widths: Vec<usize> = (8..=128).step_by(8).collect();
        Self::default().with_grid(&Operator::STUDIED, &MAPS).with_sweep(&SWEPT, SWEPT_SIZE, &widths)
    }

    /// The same with four widths for each size, and a fine sweep.
    pub fn full() -> Self {
        let maps: Vec<(usize, usize)> = MAPS
            .iter()
            .flat_map(|&(size, width)| WIDTHS.map(|share| (size, width * share / 12)))
            .collect();
        let widths: Vec<usize> = (8..=128).step_by(4).collect();
        Self::default().with_grid(&Operator::STUDIED, &maps).with_sweep(&SWEPT, SWEPT_SIZE, &widths)
    }

    /// Adds every operator on every map, given as (side, channels).
    pub fn with_grid(mut self, operators: &[Operator], maps: &[(usize, usize)]) -> Self {
        self.grid.extend(operators.iter().flat_map(|&operator| {
            maps.iter().map(move |&(size, width)| OperatorCase { operator, width, size })
        }));
        self
    }

    /// Adds every operator at every width, on maps of one side.
    pub fn with_sweep(mut self, operators: &[Operator], size: usize, widths: &[usize]) -> Self {
        self.sweep.extend(operators.iter().flat_map(|&operator| {
            widths.iter().map(move |&width| OperatorCase { operator, width, size })
        }));
        self
    }

    /// All cases, the grid first.
    pub fn cases(&self) -> impl Iterator<Item = OperatorCase> {
        self.grid.iter().chain(&self.sweep).copied()
    }
}

impl OperatorCase {
    /// Shape of input and output.
    pub fn shape(&self) -> Shape {
        Shape::square(self.width, self.size)
    }

    /// Whether the operator can have this shape, and keeps it.
    pub fn check(&self) -> Result<(), CaseError> {
        let case_error = |reason: String| Err(CaseError { case: *self, reason });
        if self.width == 0 || self.size == 0 {
            return case_error("the shape is empty".into());
        }
        if let Some(kernel) = self.operator.kernel()
            && kernel.is_multiple_of(2)
        {
            return case_error(format!("a kernel of {kernel} does not keep the shape"));
        }
        if let Operator::GroupedConv { .. } = self.operator
            && !self.width.is_multiple_of(GROUP)
        {
            return case_error(format!("{} channels are no groups of {GROUP}", self.width));
        }
        Ok(())
    }

    /// The operator `copies` times in a row, each on the output of the one before it.
    ///
    /// A sum adds the two values before it, so that after the first its inputs differ, as around
    /// a shortcut. No operator leaves alone what it made itself, so no runtime can drop a copy.
    pub fn chain(&self, copies: usize) -> Graph {
        let mut b = GraphBuilder::new(self.shape());
        let mut last = [b.input(); 2];
        for copy in 0..copies {
            let y = self.operator.append(&mut b, &format!("op{copy}"), last, self.width);
            last = [last[1], y];
        }
        b.finish(last[1])
    }
}

impl fmt::Display for OperatorCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.operator, self.shape())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn chains_keep_the_shape_and_consist_of_their_operator() {
        for case in Plan::full().cases() {
            case.check().unwrap();
            for copies in [1, 3] {
                let chain = case.chain(copies);
                assert_eq!(chain.output_shape().unwrap(), case.shape(), "{case}");
                let found = Operator::in_graph(&chain).unwrap();
                assert_eq!(found, BTreeSet::from([case.operator]), "{case}");
            }
            let nodes = case.chain(1).nodes.len();
            assert_eq!(case.chain(3).nodes.len(), 3 * nodes, "{case}");
        }
    }

    #[test]
    fn sums_add_the_two_values_before_them() {
        let chain = OperatorCase { operator: Operator::Add, width: 8, size: 4 }.chain(3);
        let inputs: Vec<Vec<u32>> =
            chain.nodes.iter().map(|node| node.inputs.iter().map(|v| v.0).collect()).collect();
        assert_eq!(inputs, [[0, 0], [1, 0], [2, 1]]);
    }

    #[test]
    fn the_full_plan_holds_the_quick_one() {
        let full: BTreeSet<OperatorCase> = Plan::full().cases().collect();
        assert!(Plan::quick().cases().all(|case| full.contains(&case)));
    }

    #[test]
    fn shapes_that_do_not_fit_are_named() {
        let check = |operator, width, size| {
            let error = OperatorCase { operator, width, size }.check().unwrap_err();
            error.to_string()
        };
        assert_eq!(
            check(Operator::GroupedConv { kernel: 3 }, 24, 8),
            "gconv3x3 at 24x8x8: 24 channels are no groups of 16"
        );
        assert_eq!(
            check(Operator::AvgPool { kernel: 2 }, 24, 8),
            "avg_pool2x2 at 24x8x8: a kernel of 2 does not keep the shape"
        );
        assert_eq!(check(Operator::Add, 8, 0), "add at 8x0x0: the shape is empty");
    }
}
