//! Finds the kernels of a graph by fusion rules.

use super::{
    FusionError, FusionRules, Gate, Kernel, Kind,
    nodes::{CheckedColumns, Node, Nodes},
};
use crate::{
    graph::{Graph, OpKind},
    latency::{GraphColumns, Position},
};

const OPERATORS: usize = OpKind::ALL.len();
/// In [`KernelReader::readers`]: no node reads the value, or more than one does.
const NO_READER: u32 = u32::MAX;
const SEVERAL_READERS: u32 = u32::MAX - 1;

/// Reads kernels from graphs. Its buffers are used again for each graph, so a reader that is kept
/// allocates nothing per kernel.
///
/// ```
/// use spacewright_core::{
///     graph::{ActivationKind, ConvSpec, GraphBuilder, Shape},
///     kernel::{FusionRules, KernelReader},
///     latency::Position,
/// };
///
/// let mut b = GraphBuilder::new(Shape::square(16, 32));
/// let x = b.conv_bn_act("expand", b.input(), ConvSpec::new(64, 1), ActivationKind::Relu);
/// let x = b.conv_bn_act("dw", x, ConvSpec::depthwise(64, 3), ActivationKind::HSwish);
/// let mut reader = KernelReader::new(&FusionRules::common());
/// let kernels = reader.kernels(&b.finish(x), Position::Inside).unwrap();
/// let names: Vec<String> = kernels.iter().map(|kernel| kernel.to_string()).collect();
/// assert_eq!(names, ["conv-k1s1 32x32 16->64", "dwconv-k3s1 32x32 64", "act 32x32 64"]);
/// ```
#[derive(Debug)]
pub struct KernelReader {
    skipped: [bool; OPERATORS],
    absorbed: [[bool; OPERATORS]; OPERATORS],
    gates: Vec<Gate>,
    ends: bool,
    nodes: Nodes,
    /// For each value the only node that reads it.
    readers: Vec<u32>,
    /// For each node the first operator of its kernel; `None` until that is known.
    heads: Vec<Option<OpKind>>,
    /// For each node the position of its kernel among those of the graph.
    owners: Vec<Option<usize>>,
}

impl KernelReader {
    /// A reader that applies these rules.
    pub fn new(rules: &FusionRules) -> Self {
        let mut skipped = [false; OPERATORS];
        rules.skipped.iter().for_each(|op| skipped[*op as usize] = true);
        let mut absorbed = [[false; OPERATORS]; OPERATORS];
        rules.absorbed.iter().for_each(|(a, b)| absorbed[*a as usize][*b as usize] = true);
        Self {
            skipped,
            absorbed,
            gates: rules.gates.clone(),
            ends: rules.ends,
            nodes: Nodes::default(),
            readers: Vec::new(),
            heads: Vec::new(),
            owners: Vec::new(),
        }
    }

    /// The kernels of a graph, in the order of their first operators.
    pub fn kernels(
        &mut self,
        graph: &Graph,
        position: Position,
    ) -> Result<Vec<Kernel>, FusionError> {
        let mut kernels = Vec::new();
        self.append(graph, position, &mut kernels)?;
        Ok(kernels)
    }

    /// Appends the kernels of a graph that stands at this position in its network.
    pub fn append(
        &mut self,
        graph: &Graph,
        position: Position,
        kernels: &mut Vec<Kernel>,
    ) -> Result<(), FusionError> {
        self.nodes.read(graph)?;
        self.extract(position, kernels);
        Ok(())
    }

    /// For each node of the graph that was read last the position of its kernel among those of
    /// that graph; `None` for operators without any cost.
    pub fn owners(&self) -> &[Option<usize>] {
        &self.owners
    }

    /// Appends the kernels of a batch, and to `ends` for each graph the length of `kernels` after
    /// its own.
    pub fn append_columns(
        &mut self,
        columns: &GraphColumns,
        kernels: &mut Vec<Kernel>,
        ends: &mut Vec<usize>,
    ) -> Result<(), FusionError> {
        let columns = CheckedColumns::new(columns)?;
        for graph in 0..columns.len() {
            let position = columns.read(graph, &mut self.nodes)?;
            self.extract(position, kernels);
            ends.push(kernels.len());
        }
        Ok(())
    }

    fn extract(&mut self, position: Position, kernels: &mut Vec<Kernel>) {
        let start = kernels.len();
        if self.ends && matches!(position, Position::Whole | Position::First) {
            kernels.push(self.end(Kind::Entry, 0));
        }
        self.operators(start, kernels);
        if self.ends && matches!(position, Position::Whole | Position::Last) {
            kernels.push(self.end(Kind::Exit, self.nodes.output));
        }
    }

    fn end(&self, kind: Kind, value: u32) -> Kernel {
        let [channels, height, width] = self.nodes.sizes(value);
        Kernel::pointwise(kind, height, width, channels)
    }

    fn operators(&mut self, start: usize, kernels: &mut Vec<Kernel>) {
        self.find_readers();
        let count = self.nodes.nodes.len();
        self.heads.clear();
        self.heads.resize(count, None);
        self.owners.clear();
        self.owners.resize(count, None);
        for index in 0..count {
            let node = self.nodes.nodes[index];
            if self.heads[index].is_some() {
                continue;
            }
            let next = Some(kernels.len() - start);
            if let Some((by, head)) = self.absorber(index, &node) {
                self.heads[index] = Some(head);
                self.owners[index] = self.owners[by];
            } else if let Some(kernel) = self.gate(index, next) {
                kernels.push(kernel);
            } else {
                self.heads[index] = Some(node.op);
                if !self.skipped[node.op as usize] {
                    self.owners[index] = next;
                    kernels.push(self.kernel(&node));
                }
            }
        }
    }

    fn find_readers(&mut self) {
        self.readers.clear();
        self.readers.resize(self.nodes.nodes.len() + 1, NO_READER);
        for (index, node) in self.nodes.nodes.iter().enumerate() {
            for value in self.nodes.inputs(node) {
                let reader = &mut self.readers[*value as usize];
                *reader = if *reader == NO_READER { index as u32 } else { SEVERAL_READERS };
            }
        }
        // The result must exist, whoever else reads it.
        self.readers[self.nodes.output as usize] = SEVERAL_READERS;
    }

    /// The node before this one whose kernel takes it in, and that kernel's first operator.
    fn absorber(&self, index: usize, node: &Node) -> Option<(usize, OpKind)> {
        self.nodes.inputs(node).iter().find_map(|value| {
            let by = (*value as usize).checked_sub(1)?;
            let head = self.heads[by]?;
            let only = self.readers[*value as usize] == index as u32;
            (only && self.absorbed[head as usize][node.op as usize]).then_some((by, head))
        })
    }

    /// The kernel of a gate whose path begins at the node; takes all its nodes.
    fn gate(&mut self, index: usize, owner: Option<usize>) -> Option<Kernel> {
        let (kind, last, product, fewest) = self.gates.iter().find_map(|gate| {
            let (last, product, fewest) = self.follow(gate, index)?;
            Some((gate.kernel, last, product, fewest))
        })?;
        let mut at = index;
        loop {
            self.heads[at] = Some(self.nodes.nodes[at].op);
            self.owners[at] = owner;
            if at == last {
                break;
            }
            at = self.readers[at + 1] as usize;
        }
        self.heads[product] = Some(OpKind::Mul);
        self.owners[product] = owner;
        let first = self.nodes.inputs(&self.nodes.nodes[index])[0];
        let [channels, height, width] = self.nodes.sizes(first);
        Some(Kernel { cout: fewest, ..Kernel::pointwise(kind, height, width, channels) })
    }

    /// If the path of a gate begins at node `first`: the last node of the path, the node of the
    /// product, and the fewest channels on the path.
    fn follow(&self, gate: &Gate, first: usize) -> Option<(usize, usize, u32)> {
        let nodes = &self.nodes.nodes;
        let source = self.nodes.inputs(&nodes[first])[0];
        let (mut at, mut fewest) = (first, u32::MAX);
        for (step, allowed) in gate.path.iter().enumerate() {
            if step > 0 {
                at = self.only_reader(at)?;
            }
            if !allowed.contains(&nodes[at].op) || self.nodes.inputs(&nodes[at]).len() > 1 {
                return None;
            }
            fewest = fewest.min(nodes[at].output[0]);
        }
        let product = self.only_reader(at)?;
        let factor = at as u32 + 1;
        let inputs = self.nodes.inputs(&nodes[product]);
        let fits = inputs == [source, factor] || inputs == [factor, source];
        (nodes[product].op == OpKind::Mul && fits).then_some((at, product, fewest))
    }

    fn only_reader(&self, node: usize) -> Option<usize> {
        let reader = self.readers[node + 1];
        (reader < SEVERAL_READERS).then_some(reader as usize)
    }

    fn kernel(&self, node: &Node) -> Kernel {
        let [channels, height, width] = self.nodes.sizes(self.nodes.inputs(node)[0]);
        let cout = node.output[0];
        let kind = Kind::of(node.op);
        let windowed = Kernel {
            kind,
            kernel: node.kernel,
            stride: node.stride,
            height,
            width,
            cin: channels,
            cout,
        };
        match kind {
            Kind::Conv if node.groups > 1 && node.groups == channels => {
                Kernel { kind: Kind::Dwconv, ..windowed }
            }
            Kind::Conv => Kernel { cin: channels / node.groups.max(1), ..windowed },
            Kind::Fc => {
                let features = channels.saturating_mul(height).saturating_mul(width);
                Kernel { height: 1, width: 1, cin: features, ..windowed }
            }
            Kind::Concat => Kernel { cin: cout, ..windowed },
            _ => windowed,
        }
    }
}
