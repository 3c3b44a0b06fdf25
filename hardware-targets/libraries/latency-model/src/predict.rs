//! Predicting with a fitted model.

use serde::Serialize;
use spacewright_core::{
    graph::Graph,
    kernel::{FusionError, Kernel, KernelReader, Kind},
    latency::{GraphColumns, Latency, Position},
};

use crate::{
    features::{FEATURES, bin, features},
    model::{Model, ModelError, Parameters},
    physical::{Group, LEAST_MS, Physical},
};

/// Kernels that are looked at together: what one vector register holds of their bins.
const LANES: usize = 64;

/// Trees correct the logarithm of the physical time by at most this, whatever a file says.
const LARGEST_CORRECTION: f32 = 20.0;

/// A leaf for every number of 8 bits, so that no look-up can miss.
const LEAVES: usize = 256;

/// Parameters in the form in which they are evaluated.
#[derive(Debug, Clone)]
pub(crate) struct Evaluator {
    physical: Physical,
    edges: [Vec<f32>; FEATURES],
    trees: Vec<FlatTree>,
    seen: [bool; Kind::ALL.len()],
    stands_for: [Kind; Kind::ALL.len()],
}

#[derive(Debug, Clone)]
struct FlatTree {
    splits: Vec<(usize, u8)>,
    leaves: Box<[f32; LEAVES]>,
}

impl Evaluator {
    /// Of parameters that have been checked.
    pub fn new(parameters: &Parameters) -> Self {
        let flat = |tree: &crate::model::Tree| {
            let mut leaves = Box::new([0.0; LEAVES]);
            leaves[..tree.leaves.len()].copy_from_slice(&tree.leaves);
            let splits = tree.splits.iter().map(|(feature, edge)| (usize::from(*feature), *edge));
            FlatTree { splits: splits.collect(), leaves }
        };
        let seen = Kind::ALL.map(|kind| parameters.kernels.get(&kind).is_some_and(|n| *n > 0));
        Self {
            physical: parameters.physical.clone(),
            edges: std::array::from_fn(|index| parameters.edges[index].edges.clone()),
            trees: parameters.trees.iter().map(flat).collect(),
            seen,
            stands_for: Kind::ALL.map(|kind| stand_in(&seen, kind)),
        }
    }

    /// Times in ms.
    pub fn evaluate(&self, kernels: &[Kernel], ms: &mut [f64]) {
        for (kernels, ms) in kernels.chunks(LANES).zip(ms.chunks_mut(LANES)) {
            self.evaluate_lanes(kernels, ms);
        }
    }

    fn evaluate_lanes(&self, kernels: &[Kernel], ms: &mut [f64]) {
        let mut bins = [[0u8; LANES]; FEATURES];
        for (lane, (kernel, ms)) in kernels.iter().zip(ms.iter_mut()).enumerate() {
            let kernel = Kernel { kind: self.stands_for[kernel.kind as usize], ..*kernel };
            let amounts = kernel.amounts();
            *ms = self.physical.ms(&kernel, &amounts);
            let values = features(&kernel, &amounts);
            for ((bins, edges), value) in bins.iter_mut().zip(&self.edges).zip(values) {
                bins[lane] = bin(edges, value);
            }
        }
        let mut sums = [0f32; LANES];
        for tree in &self.trees {
            let mut paths = [0u8; LANES];
            for (feature, edge) in &tree.splits {
                for (path, bin) in paths.iter_mut().zip(&bins[*feature]) {
                    *path = *path << 1 | u8::from(bin > edge);
                }
            }
            for (sum, path) in sums.iter_mut().zip(&paths) {
                *sum += tree.leaves[usize::from(*path)];
            }
        }
        for (ms, sum) in ms.iter_mut().zip(sums) {
            *ms *= f64::from(sum.clamp(-LARGEST_CORRECTION, LARGEST_CORRECTION).exp());
        }
    }
}

/// The kind whose parameters serve a kind: itself, if the fit saw it.
fn stand_in(seen: &[bool; Kind::ALL.len()], kind: Kind) -> Kind {
    let nearest_first = std::iter::once(&kind).chain(kind.relatives());
    nearest_first.copied().find(|kind| seen[*kind as usize]).unwrap_or(kind)
}

/// The latency of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Prediction {
    /// Typical time in ms, at least [`LEAST_MS`].
    pub ms: f64,
    /// Nine of ten measurements of graphs of this kind, one at a time, lie between this …
    pub low_ms: f64,
    /// … and this. For a sum of many kernels it is wider than needed, as errors even out.
    pub high_ms: f64,
    /// Kernels of a kind that the fit never saw: a related kind stands in for it.
    pub unseen: usize,
}

impl Prediction {
    /// As a latency source answers.
    pub fn latency(&self) -> Latency {
        Latency::predicted(self.ms).between(self.low_ms, self.high_ms)
    }
}

/// Predicts by a model that has been checked.
#[derive(Debug, Clone)]
pub struct Predictor {
    model: Model,
    evaluator: Evaluator,
}

impl Predictor {
    /// Checks the model.
    pub fn new(model: Model) -> Result<Self, ModelError> {
        model.check()?;
        let evaluator = Evaluator::new(&model.parameters);
        Ok(Self { model, evaluator })
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The kind whose times are used for a kind, where the fit never saw it.
    pub fn stand_in(&self, kind: Kind) -> Option<Kind> {
        let Evaluator { seen, stands_for, .. } = &self.evaluator;
        (!seen[kind as usize]).then_some(stands_for[kind as usize])
    }

    /// Time of one kernel in ms.
    pub fn kernel(&self, kernel: &Kernel) -> f64 {
        let mut ms = [0.0];
        self.evaluator.evaluate(std::slice::from_ref(kernel), &mut ms);
        ms[0]
    }

    /// Times of kernels in ms, into as many places. Nothing is allocated.
    pub fn kernels(&self, kernels: &[Kernel], ms: &mut [f64]) {
        self.evaluator.evaluate(kernels, ms);
    }

    /// The latency of kernels that run one after the other, whose times are `ms`.
    pub fn sum(&self, kernels: &[Kernel], ms: &[f64]) -> Prediction {
        let mut by_group = [0.0; Group::COUNT];
        let mut unseen = 0;
        for (kernel, ms) in kernels.iter().zip(ms) {
            by_group[Group::of(kernel).index()] += ms;
            unseen += usize::from(!self.evaluator.seen[kernel.kind as usize]);
        }
        let quantiles = self.model.intervals.of(dominating(&by_group));
        let ms = by_group.iter().sum::<f64>().max(LEAST_MS);
        let (low_ms, high_ms) = (ms * quantiles.q05.exp(), ms * quantiles.q95.exp());
        Prediction { ms, low_ms, high_ms, unseen }
    }

    /// The latency of a graph, and its kernels with their times in ms.
    pub fn graph(
        &self,
        graph: &Graph,
        position: Position,
    ) -> Result<(Prediction, Vec<(Kernel, f64)>), FusionError> {
        let kernels = KernelReader::new(&self.model.rules).kernels(graph, position)?;
        let mut ms = vec![0.0; kernels.len()];
        self.kernels(&kernels, &mut ms);
        let prediction = self.sum(&kernels, &ms);
        Ok((prediction, kernels.into_iter().zip(ms).collect()))
    }

    /// Latencies of graphs that stand at these positions, in their order.
    pub fn graphs<'g>(
        &self,
        graphs: impl IntoIterator<Item = (&'g Graph, Position)>,
    ) -> Result<Vec<Prediction>, FusionError> {
        let mut reader = KernelReader::new(&self.model.rules);
        let (mut kernels, mut ends) = (Vec::new(), Vec::new());
        for (graph, position) in graphs {
            reader.append(graph, position, &mut kernels)?;
            ends.push(kernels.len());
        }
        Ok(self.sums(&kernels, &ends))
    }

    /// Latencies of a batch in columns, in its order. No graph is built.
    pub fn columns(&self, graphs: &GraphColumns) -> Result<Vec<Prediction>, FusionError> {
        let mut reader = KernelReader::new(&self.model.rules);
        let (mut kernels, mut ends) = (Vec::new(), Vec::new());
        reader.append_columns(graphs, &mut kernels, &mut ends)?;
        Ok(self.sums(&kernels, &ends))
    }

    fn sums(&self, kernels: &[Kernel], ends: &[usize]) -> Vec<Prediction> {
        let mut ms = vec![0.0; kernels.len()];
        self.kernels(kernels, &mut ms);
        let mut start = 0;
        let sum = |end: &usize| {
            let range = start..*end;
            start = *end;
            self.sum(&kernels[range.clone()], &ms[range])
        };
        ends.iter().map(sum).collect()
    }
}

/// The group with the largest time; the first of equals.
pub(crate) fn dominating(ms: &[f64; Group::COUNT]) -> Group {
    let mut best = 0;
    for (index, value) in ms.iter().enumerate() {
        if *value > ms[best] {
            best = index;
        }
    }
    Group::at(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Tree, tests::model};

    /// One split by input channels at 2 and one by stride at 2; physics of 1x1 convolutions and
    /// sums.
    fn predictor() -> Predictor {
        let splits = vec![(4, 1), (2, 1)];
        let tree = Tree { splits, leaves: vec![0.1, 0.2, 0.3, 0.4] };
        let mut model = model(2, vec![tree.clone(), tree]);
        model.parameters.kernels.insert(Kind::Add, 1);
        model.parameters.physical.coefficients[Group::Conv1x1.index()][0] = 1.0;
        model.parameters.physical.coefficients[Group::Of(Kind::Add).index()][1] = 0.01;
        Predictor::new(model).unwrap()
    }

    #[test]
    fn a_kernel_takes_the_leaf_of_its_path() {
        let predictor = predictor();
        for (cin, stride, leaf) in [(1, 1, 0.1), (1, 2, 0.2), (2, 1, 0.3), (2, 2, 0.4)] {
            let kernel = Kernel { stride, ..Kernel::pointwise(Kind::Conv, 7, 7, cin) };
            let expected = f64::exp(2.0 * leaf);
            assert!((predictor.kernel(&kernel) / expected - 1.0).abs() < 1e-6, "{kernel}");
        }
    }

    #[test]
    fn batches_are_as_single_kernels() {
        let predictor = predictor();
        let kernel = |i: u32| {
            Kernel::pointwise(Kind::ALL[i as usize % Kind::ALL.len()], 1 + i % 9, 4, 1 + i % 5)
        };
        let kernels: Vec<Kernel> = (0..200).map(kernel).collect();
        let mut ms = vec![0.0; kernels.len()];
        predictor.kernels(&kernels, &mut ms);
        for (kernel, ms) in kernels.iter().zip(ms) {
            assert_eq!(predictor.kernel(kernel), ms);
        }
    }

    #[test]
    fn a_kind_that_was_never_measured_borrows_from_its_relative() {
        let predictor = predictor();
        assert_eq!(predictor.stand_in(Kind::Fc), Some(Kind::Conv));
        assert_eq!(predictor.stand_in(Kind::Conv), None);
        let [fc, conv] = [Kind::Fc, Kind::Conv].map(|kind| Kernel::pointwise(kind, 1, 1, 8));
        assert_eq!(predictor.kernel(&fc), predictor.kernel(&conv));
        let ms = [fc, conv].map(|kernel| predictor.kernel(&kernel));
        assert_eq!(predictor.sum(&[fc, conv], &ms).unseen, 1);
    }

    #[test]
    fn graphs_are_sums_with_intervals() {
        let predictor = predictor();
        let graph: Graph = "input 3x5x5\n\
            c = conv2d(input) out=3 kernel=1 stride=1 pad=0,0,0,0 groups=1 bias=false\n\
            r = relu(c)\ns = add(input, r)\noutput s"
            .parse()
            .unwrap();
        let (of_graph, kernels) = predictor.graph(&graph, Position::Inside).unwrap();
        let expected = f64::exp(0.6) * (1.0 + 0.75);
        assert!((of_graph.ms / expected - 1.0).abs() < 1e-6);
        assert!((of_graph.low_ms / of_graph.ms).ln() + 0.1 < 1e-9);
        assert!((of_graph.high_ms / of_graph.ms).ln() - 0.12 < 1e-9);
        assert_eq!(kernels.iter().map(|(_, ms)| ms).sum::<f64>(), of_graph.ms);
        let columns = crate::testing::columns(&[graph.clone(), graph.clone()]);
        assert_eq!(predictor.columns(&columns).unwrap(), [of_graph; 2]);
        assert_eq!(predictor.graphs([(&graph, Position::Inside); 2]).unwrap(), [of_graph; 2]);
        assert!(predictor.graphs([]).unwrap().is_empty());
    }
}
