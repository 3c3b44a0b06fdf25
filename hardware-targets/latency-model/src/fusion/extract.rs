//! Applies fusion rules.

use spacewright_core::{
    graph::{Graph, OpKind},
    latency::{GraphColumns, NO_VALUE},
};

use super::{
    FusionError, FusionRules, Gate,
    nodes::{Checked, Node, Nodes},
};
use crate::kernel::{Kernel, Kind};

const OPERATORS: usize = OpKind::Dropout as usize + 1;
const NOBODY: u32 = u32::MAX;
const SEVERAL: u32 = u32::MAX - 1;

/// Reads kernels from graphs. Its buffers are used again for each graph, so a reader that is kept
/// allocates nothing per kernel.
///
/// ```
/// use spacewright_core::graph::{ActivationKind, ConvSpec, GraphBuilder, Shape};
/// use spacewright_latency_model::{FusionRules, KernelReader};
///
/// let mut b = GraphBuilder::new(Shape::square(16, 32));
/// let x = b.conv_bn_act("expand", b.input(), ConvSpec::new(64, 1), ActivationKind::Relu);
/// let x = b.conv_bn_act("dw", x, ConvSpec::depthwise(64, 3), ActivationKind::HSwish);
/// let mut reader = KernelReader::new(&FusionRules::common());
/// let kernels = reader.kernels(&b.finish(x)).unwrap();
/// let names: Vec<String> = kernels.iter().map(|kernel| kernel.to_string()).collect();
/// assert_eq!(names, ["conv-k1s1 32x32 16->64", "dwconv-k3s1 32x32 64", "act 32x32 64"]);
/// ```
#[derive(Debug)]
pub struct KernelReader {
    skipped: [bool; OPERATORS],
    absorbed: [[bool; OPERATORS]; OPERATORS],
    gates: Vec<Gate>,
    nodes: Nodes,
    /// Of each value the only node that reads it.
    readers: Vec<u32>,
    /// Of each node the first operator of its kernel; `None` until it has one.
    heads: Vec<Option<OpKind>>,
}

impl KernelReader {
    /// A reader by these rules.
    pub fn new(rules: &FusionRules) -> Self {
        let mut skipped = [false; OPERATORS];
        rules.skipped.iter().for_each(|op| skipped[*op as usize] = true);
        let mut absorbed = [[false; OPERATORS]; OPERATORS];
        rules.absorbed.iter().for_each(|(a, b)| absorbed[*a as usize][*b as usize] = true);
        Self {
            skipped,
            absorbed,
            gates: rules.gates.clone(),
            nodes: Nodes::default(),
            readers: Vec::new(),
            heads: Vec::new(),
        }
    }

    /// The kernels of a graph, in the order of their first operators.
    pub fn kernels(&mut self, graph: &Graph) -> Result<Vec<Kernel>, FusionError> {
        let mut kernels = Vec::new();
        self.append(graph, &mut kernels)?;
        Ok(kernels)
    }

    /// Appends the kernels of a graph.
    pub fn append(&mut self, graph: &Graph, kernels: &mut Vec<Kernel>) -> Result<(), FusionError> {
        self.nodes.read(graph)?;
        self.extract(kernels);
        Ok(())
    }

    /// Appends the kernels of a batch, and to `ends` for each graph the length of `kernels` after
    /// its own.
    pub fn append_columns(
        &mut self,
        columns: &GraphColumns,
        kernels: &mut Vec<Kernel>,
        ends: &mut Vec<usize>,
    ) -> Result<(), FusionError> {
        let columns = Checked::new(columns)?;
        for graph in 0..columns.len() {
            columns.read(graph, &mut self.nodes)?;
            self.extract(kernels);
            ends.push(kernels.len());
        }
        Ok(())
    }

    fn extract(&mut self, kernels: &mut Vec<Kernel>) {
        self.find_readers();
        let count = self.nodes.nodes.len();
        self.heads.clear();
        self.heads.resize(count, None);
        for index in 0..count {
            let node = self.nodes.nodes[index];
            if self.heads[index].is_some() {
                continue;
            }
            if let Some(head) = self.absorber(index, &node) {
                self.heads[index] = Some(head);
            } else if let Some(kernel) = self.gate(index) {
                kernels.push(kernel);
            } else {
                self.heads[index] = Some(node.op);
                if !self.skipped[node.op as usize] {
                    kernels.push(self.kernel(&node));
                }
            }
        }
    }

    fn find_readers(&mut self) {
        self.readers.clear();
        self.readers.resize(self.nodes.nodes.len() + 1, NOBODY);
        for (index, node) in self.nodes.nodes.iter().enumerate() {
            for value in node.inputs.into_iter().filter(|value| *value != NO_VALUE) {
                let reader = &mut self.readers[value as usize];
                *reader = if *reader == NOBODY { index as u32 } else { SEVERAL };
            }
        }
        // The result must exist, whoever else reads it.
        self.readers[self.nodes.output as usize] = SEVERAL;
    }

    /// The first operator of the kernel that takes the node in.
    fn absorber(&self, index: usize, node: &Node) -> Option<OpKind> {
        node.inputs.into_iter().filter(|value| *value != NO_VALUE && *value != 0).find_map(
            |value| {
                let head = self.heads[value as usize - 1]?;
                let only = self.readers[value as usize] == index as u32;
                (only && self.absorbed[head as usize][node.op as usize]).then_some(head)
            },
        )
    }

    /// The kernel of a gate whose path begins at the node; takes all its nodes.
    fn gate(&mut self, index: usize) -> Option<Kernel> {
        let (kind, last, product, fewest) = self.gates.iter().find_map(|gate| {
            let (last, product, fewest) = self.follow(gate, index)?;
            Some((gate.kernel, last, product, fewest))
        })?;
        let mut at = index;
        loop {
            self.heads[at] = Some(self.nodes.nodes[at].op);
            if at == last {
                break;
            }
            at = self.readers[at + 1] as usize;
        }
        self.heads[product] = Some(OpKind::Mul);
        let [channels, height, width] = self.nodes.sizes(self.nodes.nodes[index].inputs[0]);
        Some(Kernel { cout: fewest, ..Kernel::pointwise(kind, height, width, channels) })
    }

    /// The last node of the path, the product, and the fewest channels of the path.
    fn follow(&self, gate: &Gate, first: usize) -> Option<(usize, usize, u32)> {
        let nodes = &self.nodes.nodes;
        let source = nodes[first].inputs[0];
        let (mut at, mut fewest) = (first, u32::MAX);
        for (step, allowed) in gate.path.iter().enumerate() {
            if step > 0 {
                at = self.only_reader(at)?;
            }
            if !allowed.contains(&nodes[at].op) || nodes[at].inputs[1] != NO_VALUE {
                return None;
            }
            fewest = fewest.min(nodes[at].output[0]);
        }
        let product = self.only_reader(at)?;
        let factor = at as u32 + 1;
        let inputs = nodes[product].inputs;
        let fits = inputs == [source, factor] || inputs == [factor, source];
        (nodes[product].op == OpKind::Mul && fits).then_some((at, product, fewest))
    }

    fn only_reader(&self, node: usize) -> Option<usize> {
        let reader = self.readers[node + 1];
        (reader < SEVERAL).then_some(reader as usize)
    }

    fn kernel(&self, node: &Node) -> Kernel {
        let [channels, height, width] = self.nodes.sizes(node.inputs[0]);
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
            _ => windowed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kernels of a graph as text, which must be the same when it is read from columns.
    fn check(rules: &FusionRules, graph: &str, expected: &[&str]) {
        let graph: Graph = graph.parse().unwrap();
        let mut reader = KernelReader::new(rules);
        let kernels = reader.kernels(&graph).unwrap();
        let names: Vec<String> = kernels.iter().map(Kernel::to_string).collect();
        assert_eq!(names, expected);
        let columns = crate::testing::columns(&[graph.clone(), graph]);
        let (mut twice, mut ends) = (Vec::new(), Vec::new());
        reader.append_columns(&columns, &mut twice, &mut ends).unwrap();
        assert_eq!(twice, [kernels.clone(), kernels.clone()].concat());
        assert_eq!(ends, [kernels.len(), 2 * kernels.len()]);
    }

    const SE: &str = "input 32x8x8\n\
        pool = global_avg_pool(input)\n\
        reduce = conv2d(pool) out=8 kernel=1 stride=1 pad=0,0,0,0 groups=1 bias=true\n\
        act = relu(reduce)\n\
        expand = conv2d(act) out=32 kernel=1 stride=1 pad=0,0,0,0 groups=1 bias=true\n\
        gate = h_sigmoid(expand)\n\
        scale = mul(input, gate)\n";

    #[test]
    fn squeeze_and_excitation_is_one_kernel() {
        check(&FusionRules::common(), &format!("{SE}output scale"), &["se 8x8 32->8"]);
        let linear = SE.replace(
            "conv2d(pool) out=8 kernel=1 stride=1 pad=0,0,0,0 groups=1",
            "linear(pool) out=8",
        );
        check(&FusionRules::common(), &format!("{linear}output scale"), &["se 8x8 32->8"]);
    }

    #[test]
    fn a_gate_that_is_read_elsewhere_is_no_squeeze_and_excitation() {
        let graph = format!("{SE}other = add(gate, gate)\noutput scale");
        let kernels = [
            "gap 8x8 32",
            "conv-k1s1 1x1 32->8",
            "conv-k1s1 1x1 8->32",
            "act 1x1 32",
            "mul 8x8 32",
            "add 1x1 32",
        ];
        check(&FusionRules::common(), &graph, &kernels);
    }

    #[test]
    fn rules_are_data() {
        let none = FusionRules { skipped: vec![], absorbed: vec![], gates: vec![] };
        let graph = "input 4x6x6\n\
            c = conv2d(input) out=4 kernel=3 stride=1 pad=1,1,1,1 groups=2 bias=false\n\
            bn = batch_norm(c) eps=0.001\na = relu(bn)\n\
            d = dropout(a) rate=0.2\ns = sigmoid(d)\nm = mul(d, s)\noutput m";
        let rest = ["act 6x6 4"; 4].map(str::to_owned);
        let mut all = vec!["conv-k3s1 6x6 2->4"];
        all.extend(rest.iter().map(String::as_str));
        all.push("mul 6x6 4");
        check(&none, graph, &all);
        check(&FusionRules::common(), graph, &["conv-k3s1 6x6 2->4", "act 6x6 4"]);
        let json = serde_json::to_string(&FusionRules::common()).unwrap();
        assert_eq!(serde_json::from_str::<FusionRules>(&json).unwrap(), FusionRules::common());
    }

    #[test]
    fn a_sum_can_belong_to_the_convolution_before_it() {
        let graph = "input 4x6x6\n\
            c = conv2d(input) out=4 kernel=1 stride=1 pad=0,0,0,0 groups=1 bias=false\n\
            s = add(input, c)\na = relu(s)\noutput a";
        let rules = FusionRules::absorbing(&[
            (OpKind::Conv2d, OpKind::Add),
            (OpKind::Conv2d, OpKind::Relu),
        ]);
        check(&rules, graph, &["conv-k1s1 6x6 4->4"]);
        check(&FusionRules::common(), graph, &["conv-k1s1 6x6 4->4", "add 6x6 4"]);
    }

    #[test]
    fn pools_and_layers() {
        let graph = "input 4x6x6\n\
            max = max_pool(input) kernel=3 stride=2 pad=1\n\
            avg = avg_pool(max) kernel=2 stride=1 pad=0\n\
            fc = linear(avg) out=10 bias=true\nrelu = relu(fc)\noutput relu";
        let kernels = ["max_pool-k3s2 6x6 4", "avg_pool-k2s1 3x3 4", "fc 1x1 16->10"];
        check(&FusionRules::common(), graph, &kernels);
    }

    #[test]
    fn columns_that_contradict_themselves_are_refused() {
        let graph: Graph = format!("{SE}output scale").parse().unwrap();
        let error = |spoil: fn(&mut GraphColumns)| {
            let mut columns = crate::testing::columns(std::slice::from_ref(&graph));
            spoil(&mut columns);
            let mut reader = KernelReader::new(&FusionRules::common());
            let result = reader.append_columns(&columns, &mut Vec::new(), &mut Vec::new());
            result.unwrap_err().to_string()
        };
        assert!(error(|c| c.operators[0] = "conv3d".into()).ends_with("unknown operator `conv3d`"));
        assert!(error(|c| c.first_input[2] = 9).ends_with("reads a value that is not computed"));
        assert!(error(|c| c.first_node[0] = 99).ends_with("no nodes 99 to 6"));
        assert!(error(|c| c.output[0] = 7).ends_with("there is no value 7"));
        assert!(error(|c| c.kernel.truncate(2)).contains("columns of 6 nodes have lengths"));
        assert!(error(|c| c.operator[3] = 200).ends_with("an operator is not listed"));
    }
}
