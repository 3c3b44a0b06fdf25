//! The kernels that runtimes launch for every block type.

use spacewright_core::{
    graph::{ActivationKind, Graph, Shape},
    kernel::{FusionRules, Kernel, KernelReader, Kind},
    latency::{GraphColumns, LatencyQuery, Position, Precision},
    operators::{BlockConfig, BlockRequest, Operators},
    quant::{Scheme, WeightRange, place},
};
use spacewright_operators_cnn::operator_sets;

/// A block as a list of kernels, written down by hand.
struct Expected {
    cin: u32,
    cout: u32,
    stride: u32,
    size: u32,
    own_activation: bool,
    kernels: Vec<Kernel>,
}

impl Expected {
    fn out(&self) -> u32 {
        self.size.div_ceil(self.stride)
    }

    fn windowed(&mut self, kind: Kind, size: u32, channels: [u32; 2], kernel: u32, stride: u32) {
        let [cin, cout] = channels;
        let kernel = [kernel; 2];
        self.kernels.push(Kernel { kind, kernel, stride, height: size, width: size, cin, cout });
    }

    fn conv(&mut self, size: u32, cin: u32, cout: u32, kernel: u32, stride: u32) {
        self.windowed(Kind::Conv, size, [cin, cout], kernel, stride);
    }

    fn dw(&mut self, size: u32, channels: u32, kernel: u32, stride: u32) {
        self.windowed(Kind::Dwconv, size, [channels; 2], kernel, stride);
    }

    /// In place of a stride.
    fn max_pool(&mut self, channels: u32) {
        if self.stride > 1 {
            self.windowed(Kind::MaxPool, self.size, [channels; 2], 3, self.stride);
        }
    }

    fn pointwise(&mut self, kind: Kind, size: u32, channels: u32) {
        self.kernels.push(Kernel::pointwise(kind, size, size, channels));
    }

    /// Swish and hard-swish are kernels; ReLU and ReLU6 belong to the kernel before them.
    fn act(&mut self, size: u32, channels: u32) {
        if self.own_activation {
            self.pointwise(Kind::Act, size, channels);
        }
    }

    fn se(&mut self, channels: u32, reduced: u32) {
        let size = self.out();
        let se = Kernel::pointwise(Kind::Se, size, size, channels);
        self.kernels.push(Kernel { cout: reduced, ..se });
    }

    fn shortcut(&mut self, projecting: bool) {
        let same = self.stride == 1 && self.cin == self.cout;
        if projecting && !same {
            self.conv(self.size, self.cin, self.cout, 1, self.stride);
        }
        if projecting || same {
            self.pointwise(Kind::Add, self.out(), self.cout);
        }
    }

    fn block(&mut self, name: &str, kernel: u32, expand: f64) {
        let (cin, cout, stride, size) = (self.cin, self.cout, self.stride, self.size);
        let out = self.out();
        match name {
            "conv" => {
                self.conv(size, cin, cout, kernel, stride);
                self.act(out, cout);
            }
            "feature-mix" => {
                self.pointwise(Kind::Gap, size, cin);
                self.conv(1, cin, cout, 1, 1);
                self.act(1, cout);
            }
            "logits" => {
                self.pointwise(Kind::Gap, size, cin);
                self.windowed(Kind::Fc, 1, [cin, cout], 1, 1);
            }
            "mobilenet-v1" | "mobilenet-v1-dual" => {
                self.dw(size, cin, kernel, stride);
                self.conv(out, cin, cout, 1, 1);
                if name.ends_with("dual") {
                    self.dw(out, cout, kernel, 1);
                    self.conv(out, cout, cout, 1, 1);
                    self.shortcut(true);
                }
            }
            "mobilenet-v4-res" => {
                let hidden = width(expand * f64::from(cin));
                if starts(expand) {
                    self.dw(size, cin, kernel, 1);
                }
                self.conv(size, cin, hidden, 1, 1);
                self.act(size, hidden);
                self.dw(size, hidden, kernel, stride);
                self.act(out, hidden);
                self.conv(out, hidden, cout, 1, 1);
                self.shortcut(true);
            }
            _ if name.starts_with("mobilenet") => {
                let hidden = width(expand * f64::from(cin));
                if hidden != cin {
                    self.conv(size, cin, hidden, 1, 1);
                    self.act(size, hidden);
                }
                if name.contains("-k3-") {
                    self.dw(size, hidden, 3, stride);
                    (0..(kernel - 3) / 2).for_each(|_| self.dw(out, hidden, 3, 1));
                } else {
                    self.dw(size, hidden, kernel, stride);
                }
                self.act(out, hidden);
                if name.contains("-v3") {
                    self.se(hidden, width(f64::from(hidden / 4)));
                }
                self.conv(out, hidden, cout, 1, 1);
                self.shortcut(name.ends_with("-res"));
            }
            "resnet-basic" => {
                let hidden = width(expand * f64::from(cout));
                self.conv(size, cin, hidden, kernel, stride);
                self.conv(out, hidden, cout, kernel, 1);
                self.shortcut(true);
            }
            "resnet-pool" => {
                let hidden = width(expand * f64::from(cout));
                self.conv(size, cin, hidden, kernel, 1);
                self.max_pool(hidden);
                self.conv(out, hidden, cout, kernel, 1);
                if stride > 1 || cin != cout {
                    self.max_pool(cin);
                    self.conv(out, cin, cout, 1, 1);
                }
                self.pointwise(Kind::Add, out, cout);
            }
            _ if name.starts_with("resnet") => {
                let hidden = width(expand * f64::from(cout));
                self.conv(size, cin, hidden, 1, 1);
                self.conv(size, hidden, hidden, kernel, stride);
                if name.ends_with("-se") {
                    self.se(hidden, width(f64::from(cin / 4)));
                }
                self.conv(out, hidden, cout, 1, 1);
                self.shortcut(true);
            }
            _ if name.starts_with("fused") => {
                let hidden = width(expand * f64::from(cin));
                self.conv(size, cin, hidden, kernel, stride);
                self.act(out, hidden);
                if name.contains("-se-") {
                    self.se(hidden, width(f64::from(cin / 4)));
                }
                self.conv(out, hidden, cout, 1, 1);
                self.shortcut(true);
            }
            _ => panic!("no expectation for `{name}`"),
        }
    }
}

/// Whether a block with this expand ratio is asked to start with a depth-wise convolution.
fn starts(expand: f64) -> bool {
    expand > 1.0
}

/// The nearest multiple of eight, never below eight nor more than a tenth below `value`.
fn width(value: f64) -> u32 {
    let rounded = (((value + 4.0) / 8.0) as u32 * 8).max(8);
    if f64::from(rounded) < 0.9 * value { rounded + 8 } else { rounded }
}

#[test]
fn every_block_type_has_the_kernels_that_it_should() {
    let operators = Operators::new(operator_sets()).unwrap();
    let scheme = Scheme::common("common", WeightRange::Bits8);
    let mut reader = KernelReader::new(&FusionRules::of_scheme(&scheme));
    let mut graphs = Vec::new();
    let mut all = Vec::new();
    let shapes = [(24, 24, 1, 28), (24, 40, 2, 57), (16, 48, 1, 7), (40, 40, 2, 14)];
    for block in operators.block_types() {
        let kernels: &[u32] = if block.axes.is_empty() { &[1] } else { &[3, 5, 7] };
        for activation in ActivationKind::ALL {
            for (cin, cout, stride, size) in shapes {
                for (kernel, expand) in
                    kernels.iter().flat_map(|k| [1.0, 3.0, 0.5].map(|e| (*k, e)))
                {
                    let mut config = BlockConfig::default();
                    for axis in &block.axes {
                        let value = match axis.as_str() {
                            "kernel" => f64::from(kernel),
                            "start" => f64::from(u8::from(starts(expand))),
                            _ => expand,
                        };
                        config.0.insert(axis.clone(), value);
                    }
                    let request = BlockRequest {
                        block: block.name.clone(),
                        input: Shape::square(cin as usize, size as usize),
                        out_channels: cout as usize,
                        stride: stride as usize,
                        activation,
                        config,
                    };
                    let graph = operators.graph(&request).unwrap();
                    let own_activation =
                        !matches!(activation, ActivationKind::Relu | ActivationKind::Relu6);
                    let mut expected =
                        Expected { cin, cout, stride, size, own_activation, kernels: Vec::new() };
                    expected.block(&block.name, kernel, expand);
                    let found = reader.kernels(&graph, Position::Inside).unwrap();
                    assert_eq!(text(&found), text(&expected.kernels), "{request:?}");
                    // With Swish as Sigmoid and Mul, which is still one kernel.
                    let placed = place(&graph, &scheme).unwrap().graph;
                    assert_eq!(
                        text(&reader.kernels(&placed, Position::Inside).unwrap()),
                        text(&found)
                    );
                    all.extend(found);
                    graphs.push(graph);
                }
            }
        }
    }
    assert_eq!(from_columns(graphs), all);
}

fn text(kernels: &[Kernel]) -> Vec<String> {
    kernels.iter().map(Kernel::to_string).collect()
}

fn from_columns(graphs: Vec<Graph>) -> Vec<Kernel> {
    let query =
        |graph| LatencyQuery { graph, precision: Precision::Int8, position: Position::Inside };
    let columns = GraphColumns::of(&graphs.into_iter().map(query).collect::<Vec<_>>()).unwrap();
    let (mut kernels, mut ends) = (Vec::new(), Vec::new());
    let mut reader = KernelReader::new(&FusionRules::common());
    reader.append_columns(&columns, &mut kernels, &mut ends).unwrap();
    assert_eq!(ends.len(), columns.first_node.len());
    kernels
}
