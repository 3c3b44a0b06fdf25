//! What is done with the graph as a whole, once all nodes are read.

use std::collections::HashSet;

use spacewright_core::{
    graph::{ActivationKind, ConvSpec, Graph, Node, Op, OpKind, ValueId},
    quant::{FloatWeights, TensorData},
};

/// Gives composite activations their own operator, and normalizations a form that can be folded; leaves out
/// what nobody reads. Sentences say what is computed otherwise.
pub(super) fn finished(
    mut graph: Graph,
    mut weights: FloatWeights,
) -> (Graph, FloatWeights, Vec<String>) {
    join_gates(&mut graph);
    let moved = free_normalizations(&mut graph, &mut weights);
    let graph = without_unused(graph);
    let kept: HashSet<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
    weights.retain(|name, _| name.rsplit_once('.').is_some_and(|(node, _)| kept.contains(node)));
    let mut notes = Vec::new();
    if moved > 0 {
        notes.push(format!(
            "{moved} batch normalization(s) without a convolution of their own before them are 1x1 convolutions"
        ));
    }
    (graph, weights, notes)
}

/// x · sigmoid(x) becomes a swish, x · hard-sigmoid(x) a hard swish.
fn join_gates(graph: &mut Graph) {
    for at in 0..graph.nodes.len() {
        if graph.nodes[at].op != Op::Mul {
            continue;
        }
        let [one, other] = [graph.nodes[at].inputs[0], graph.nodes[at].inputs[1]];
        let gate = |gate: ValueId, x: ValueId| {
            let gate = &graph.nodes[gate.node()?];
            let kind = match gate.op.kind() {
                OpKind::Sigmoid => ActivationKind::Swish,
                OpKind::HSigmoid => ActivationKind::HSwish,
                _ => return None,
            };
            (gate.inputs == [x]).then_some((kind, x))
        };
        if let Some((kind, x)) = gate(other, one).or_else(|| gate(one, other)) {
            let node = &mut graph.nodes[at];
            (node.op, node.inputs) = (Op::Activation { kind }, vec![x]);
        }
    }
}

/// A batch normalization can be folded into the convolution before it where nobody else reads that. Others
/// become depth-wise 1×1 convolutions; how many.
fn free_normalizations(graph: &mut Graph, weights: &mut FloatWeights) -> usize {
    let consumers = graph.consumers();
    let mut moved = 0;
    for at in 0..graph.nodes.len() {
        let node = &graph.nodes[at];
        let Op::BatchNorm { eps } = node.op else { continue };
        let input = node.inputs[0];
        let before = input.node().map(|before| graph.nodes[before].op.kind());
        let alone = consumers[input.index()].len() == 1 && graph.output != input;
        if before == Some(OpKind::Conv2d) && alone {
            continue;
        }
        let part =
            |role: &str| weights.get(&format!("{}.{role}", node.name)).map(|t| t.data.clone());
        let [Some(gamma), Some(beta), Some(mean), Some(var)] =
            ["gamma", "beta", "mean", "var"].map(part)
        else {
            continue;
        };
        let deviation = |var: &f32| (f64::from(*var) + eps).sqrt();
        let factor: Vec<f64> =
            gamma.iter().zip(&var).map(|(gamma, var)| f64::from(*gamma) / deviation(var)).collect();
        let shift = beta.iter().zip(&mean).zip(&factor);
        let shift = shift.map(|((beta, mean), f)| (f64::from(*beta) - f64::from(*mean) * f) as f32);
        let channels = factor.len();
        let (bias, name) = (shift.collect(), node.name.clone());
        let kernel = factor.iter().map(|factor| *factor as f32).collect();
        weights.insert(
            format!("{name}.weight"),
            TensorData { shape: vec![channels, 1, 1, 1], data: kernel },
        );
        weights.insert(format!("{name}.bias"), TensorData { shape: vec![channels], data: bias });
        for role in ["gamma", "beta", "mean", "var"] {
            weights.remove(&format!("{name}.{role}"));
        }
        graph.nodes[at].op = ConvSpec::depthwise(channels, 1).bias().into();
        moved += 1;
    }
    moved
}

/// The graph with those nodes only that its output depends on.
fn without_unused(graph: Graph) -> Graph {
    let mut used = vec![false; graph.nodes.len() + 1];
    used[graph.output.index()] = true;
    for (at, node) in graph.nodes.iter().enumerate().rev() {
        if used[at + 1] {
            node.inputs.iter().for_each(|input| used[input.index()] = true);
        }
    }
    let mut moved = vec![ValueId::INPUT; used.len()];
    let mut nodes: Vec<Node> = Vec::new();
    for (at, mut node) in graph.nodes.into_iter().enumerate() {
        if used[at + 1] {
            node.inputs.iter_mut().for_each(|input| *input = moved[input.index()]);
            nodes.push(node);
            moved[at + 1] = ValueId::of_node(nodes.len() - 1);
        }
    }
    Graph { input: graph.input, output: moved[graph.output.index()], nodes }
}
