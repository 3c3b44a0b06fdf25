//! Kernels, and rules applied to small graphs.

use super::*;
use crate::{
    graph::Graph,
    latency::{GraphColumns, LatencyQuery, Position, Precision},
    quant::{Scheme, WeightRange},
};

/// Graphs inside a network, as columns.
fn columns(graphs: &[Graph]) -> GraphColumns {
    let (precision, position) = (Precision::Int8, Position::Inside);
    let query = |graph: &Graph| LatencyQuery { graph: graph.clone(), precision, position };
    GraphColumns::of(&graphs.iter().map(query).collect::<Vec<_>>()).unwrap()
}

/// Kernels of a graph as text, which must be the same when it is read from columns.
fn check(rules: &FusionRules, graph: &str, expected: &[&str]) {
    let graph: Graph = graph.parse().unwrap();
    let mut reader = KernelReader::new(rules);
    let kernels = reader.kernels(&graph, Position::Inside).unwrap();
    let names: Vec<String> = kernels.iter().map(Kernel::to_string).collect();
    assert_eq!(names, expected);
    let columns = columns(&[graph.clone(), graph]);
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
    let linear = SE
        .replace("conv2d(pool) out=8 kernel=1 stride=1 pad=0,0,0,0 groups=1", "linear(pool) out=8");
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
    let none = FusionRules { skipped: vec![], absorbed: vec![], gates: vec![], ends: false };
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
    let rules =
        FusionRules::absorbing(&[(OpKind::Conv2d, OpKind::Add), (OpKind::Conv2d, OpKind::Relu)]);
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
fn windows_need_not_be_square() {
    let graph = "input 4x6x9\n\
        a = conv2d(input) out=8 kernel=1x7 stride=1 pad=0,3,0,3 groups=1 bias=false\n\
        b = conv2d(a) out=8 kernel=3 stride=1 dilation=2 pad=2,2,2,2 groups=8 bias=false\noutput b";
    let kernels = ["conv-k1x7s1 6x9 4->8", "dwconv-k3s1 6x9 8"];
    check(&FusionRules::common(), graph, &kernels);
}

#[test]
fn joined_channels_are_one_kernel_with_all_of_them() {
    let graph = "input 4x6x6\n\
        a = conv2d(input) out=8 kernel=1 stride=1 pad=0,0,0,0 groups=1 bias=false\n\
        r = relu(a)\n\
        b = max_pool(input) kernel=3 stride=1 pad=1\n\
        two = concat(r, b)\n\
        all = concat(two, input, r, b)\n\
        c = conv2d(all) out=8 kernel=1 stride=1 pad=0,0,0,0 groups=1 bias=false\noutput c";
    let kernels = [
        "conv-k1s1 6x6 4->8",
        "max_pool-k3s1 6x6 4",
        "concat 6x6 12",
        "concat 6x6 28",
        "conv-k1s1 6x6 28->8",
    ];
    check(&FusionRules::common(), graph, &kernels);
    // A runtime that computes branches in place: a value that is read twice stays.
    let rules = FusionRules::absorbing(&[(OpKind::MaxPool, OpKind::Concat)]);
    let once = "input 4x6x6\nb = max_pool(input) kernel=3 stride=1 pad=1\n\
        all = concat(input, input, b)\noutput all";
    check(&rules, once, &["max_pool-k3s1 6x6 4"]);
    let twice = once.replace("input, input, b", "input, b, b");
    check(&rules, &twice, &["max_pool-k3s1 6x6 4", "concat 6x6 12"]);
}

#[test]
fn columns_that_contradict_themselves_are_refused() {
    let graph: Graph = format!("{SE}output scale").parse().unwrap();
    let error = |spoil: fn(&mut GraphColumns)| {
        let mut columns = columns(std::slice::from_ref(&graph));
        spoil(&mut columns);
        let mut reader = KernelReader::new(&FusionRules::common());
        let result = reader.append_columns(&columns, &mut Vec::new(), &mut Vec::new());
        result.unwrap_err().to_string()
    };
    assert!(error(|c| c.operators[0] = "conv3d".into()).contains("unknown operator `conv3d`"));
    assert!(
        error(|c| c.first_input[2] = 9)
            .ends_with("graph 0, node 2: reads a value that is not computed")
    );
    assert!(error(|c| c.first_node[0] = 99).ends_with("graph 0: no nodes 99 to 6"));
    assert!(error(|c| c.output[0] = 7).ends_with("graph 0: there is no value 7"));
    assert!(error(|c| c.kernel.truncate(2)).ends_with("column `kernel` has 2 entries, not 6"));
    assert!(
        error(|c| c.operator[3] = 200).ends_with("graph 0, node 3: operator 200 is not listed")
    );
}

#[test]
fn rules_follow_a_quantization_scheme() {
    let scheme = Scheme::common("x", WeightRange::Bits8);
    assert_eq!(FusionRules::of_scheme(&scheme), FusionRules::common());
}

#[test]
fn each_operator_belongs_to_its_kernel() {
    let graph = format!(
        "{SE}bn = batch_norm(scale) eps=0.001\n\
         c = conv2d(bn) out=32 kernel=1 stride=1 pad=0,0,0,0 groups=1 bias=false\n\
         r = relu(c)\ns = add(r, input)\nd = dropout(s) rate=0.1\noutput d"
    );
    let graph: Graph = graph.parse().unwrap();
    let mut reader = KernelReader::new(&FusionRules { ends: true, ..FusionRules::common() });
    let kernels = reader.kernels(&graph, Position::First).unwrap();
    let owners: Vec<usize> = reader.owners().iter().map(|owner| owner.unwrap_or(99)).collect();
    assert_eq!(owners, [1, 1, 1, 1, 1, 1, 2, 3, 3, 4, 99]);
    for (kernel, name) in [(1, "se 8x8 32->8"), (3, "conv-k1s1 8x8 32->32"), (4, "add 8x8 32")] {
        let nodes: Vec<usize> = (0..owners.len()).filter(|node| owners[*node] == kernel).collect();
        let part = graph.part(&nodes).unwrap().unwrap();
        let alone = reader.kernels(&part, Position::Inside).unwrap();
        assert_eq!((alone.len(), alone[0].to_string().as_str()), (1, name));
        assert_eq!(alone[0], kernels[kernel]);
    }
    assert_eq!(graph.part(&[]), Ok(None));
    assert_eq!(graph.part(&[0, 5]), Ok(None), "the factor has another shape than the value");
}

#[test]
fn entering_and_leaving_a_runtime_can_be_kernels() {
    let graph: Graph = "input 3x8x8\n\
        fc = linear(input) out=10 bias=true\noutput fc"
        .parse()
        .unwrap();
    let rules = FusionRules { ends: true, ..FusionRules::common() };
    let (entry, exit) = ("entry 8x8 3", "exit 1x1 10");
    for (position, expected) in [
        (Position::Whole, vec![entry, "fc 1x1 192->10", exit]),
        (Position::First, vec![entry, "fc 1x1 192->10"]),
        (Position::Inside, vec!["fc 1x1 192->10"]),
        (Position::Last, vec!["fc 1x1 192->10", exit]),
    ] {
        let kernels = KernelReader::new(&rules).kernels(&graph, position).unwrap();
        let query = LatencyQuery { graph: graph.clone(), precision: Precision::Int8, position };
        let columns = GraphColumns::of(&[query]).unwrap();
        let mut of_columns = Vec::new();
        let mut reader = KernelReader::new(&rules);
        reader.append_columns(&columns, &mut of_columns, &mut Vec::new()).unwrap();
        assert_eq!(kernels, of_columns);
        assert_eq!(kernels.iter().map(Kernel::to_string).collect::<Vec<_>>(), expected);
    }
}

const CONV: Kernel = Kernel {
    kind: Kind::Conv,
    kernel: [3; 2],
    stride: 2,
    height: 57,
    width: 57,
    cin: 24,
    cout: 48,
};

#[test]
fn kernels_have_names() {
    let se = Kernel { cout: 24, ..Kernel::pointwise(Kind::Se, 14, 14, 96) };
    for (kernel, name) in [
        (CONV, "conv-k3s2 57x57 24->48"),
        (Kernel { kind: Kind::Dwconv, cout: 24, ..CONV }, "dwconv-k3s2 57x57 24"),
        (Kernel { kernel: [1, 7], ..CONV }, "conv-k1x7s2 57x57 24->48"),
        (Kernel::pointwise(Kind::Add, 14, 14, 96), "add 14x14 96"),
        (se, "se 14x14 96->24"),
    ] {
        assert_eq!(kernel.to_string(), name);
    }
}

#[test]
fn work_and_data_are_counted() {
    let of = |kind| {
        let a = Kernel { kind, ..CONV }.amounts();
        [a.pixels, a.macs, a.weights, a.input, a.output]
    };
    let input = 57.0 * 57.0 * 24.0;
    let pixels = 29.0 * 29.0;
    let weights = 24.0 * 48.0 * 9.0;
    assert_eq!(of(Kind::Conv), [pixels, pixels * weights, weights, input, pixels * 48.0]);
    let weights = 48.0 * 9.0;
    assert_eq!(of(Kind::Dwconv), [pixels, pixels * weights, weights, input, pixels * 48.0]);
    assert_eq!(of(Kind::Add), [pixels, 0.0, 0.0, input, pixels * 48.0]);
    assert_eq!(of(Kind::Se)[1..], [2304.0, 2304.0, input, input]);
}

#[test]
fn names_are_those_of_json() {
    for (index, kind) in Kind::ALL.into_iter().enumerate() {
        assert_eq!(kind as usize, index);
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
    }
}
