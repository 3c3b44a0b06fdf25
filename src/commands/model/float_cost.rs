//! What the operators of a quantized network cost that still compute with real numbers.

use std::fmt::Write;

use indexmap::IndexMap;
use serde::Serialize;
use spacewright_core::{
    graph::{Graph, GraphError, OpKind},
    latency::{LatencyQuery, LatencySource, Position, Precision},
};

use crate::{measuring::Measuring, render::Failure};

/// An operator that computes with real numbers between integers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FloatCost {
    /// Its name in the graph.
    pub operator: String,
    pub kind: OpKind,
    /// By itself between integers, conversions included; none where it cannot stand alone.
    pub int8_ms: Option<f64>,
    /// By itself in a network of real numbers.
    pub fp32_ms: Option<f64>,
}

/// Positions of the nodes that a runtime's list of operators, `kind (name)`, names.
fn named(graph: &Graph, operators: &[String]) -> Vec<usize> {
    let names: Vec<&str> = operators
        .iter()
        .filter_map(|operator| operator.split_once(" (")?.1.strip_suffix(')'))
        .collect();
    let nodes = graph.nodes.iter().enumerate();
    nodes.filter(|(_, node)| names.contains(&node.name.as_str())).map(|(at, _)| at).collect()
}

/// Asks a latency source about each of them, as a part of a network whose latencies add up.
pub fn costs(
    graph: &Graph,
    operators: &[String],
    source: &dyn LatencySource,
    quiet: bool,
) -> Result<Vec<FloatCost>, Failure> {
    let nodes = named(graph, operators);
    let parts = nodes.iter().map(|&node| graph.part(&[node]));
    let parts = parts.collect::<Result<Vec<_>, GraphError>>().map_err(Failure::failed)?;
    let known = source.precisions();
    let asked = |precision: Precision| known.contains(&precision);
    let mut queries = Vec::new();
    for graph in parts.iter().flatten() {
        for precision in Precision::ALL.into_iter().filter(|precision| asked(*precision)) {
            let position = Position::Inside;
            queries.push(LatencyQuery { graph: graph.clone(), precision, position });
        }
    }
    let measuring = Measuring::new(queries.len(), quiet)?;
    let mut latencies = measuring.latencies(source, &queries)?.into_iter();
    let mut next = |alone: bool, precision: Precision| {
        if alone && asked(precision) { latencies.next().map(|latency| latency.ms) } else { None }
    };
    let cost = |(node, part): (usize, Option<Graph>)| {
        let alone = part.is_some();
        let [fp32_ms, int8_ms] = Precision::ALL.map(|precision| next(alone, precision));
        let node = &graph.nodes[node];
        FloatCost { operator: node.name.clone(), kind: node.op.kind(), int8_ms, fp32_ms }
    };
    Ok(nodes.into_iter().zip(parts).map(cost).collect())
}

/// By kind: how many, and what they cost in milliseconds and as a share of the whole network's latency.
pub fn text(costs: &[FloatCost], whole_ms: Option<f64>) -> String {
    let mut kinds: IndexMap<OpKind, (usize, f64, f64)> = IndexMap::new();
    let mut unknown = 0;
    for cost in costs {
        let (Some(int8_ms), Some(fp32_ms)) = (cost.int8_ms, cost.fp32_ms) else {
            unknown += 1;
            continue;
        };
        let (count, int8, fp32) = kinds.entry(cost.kind).or_default();
        (*count, *int8, *fp32) = (*count + 1, *int8 + int8_ms, *fp32 + fp32_ms);
    }
    let mut text = String::new();
    for (kind, (count, int8_ms, fp32_ms)) in kinds {
        let share =
            whole_ms.map(|whole| format!(", {:.0} % of the INT8 file", 100.0 * int8_ms / whole));
        let _ = writeln!(
            text,
            "  {count} {}: {int8_ms:.3} ms between integers{}; {fp32_ms:.3} ms in the FP32 file",
            kind.name(),
            share.unwrap_or_default()
        );
    }
    if unknown > 0 {
        let _ = writeln!(text, "  {unknown} that cannot be timed by themselves");
    }
    text
}

#[cfg(test)]
mod tests {
    use spacewright_core::{
        graph::{ActivationKind, ConvSpec, GraphBuilder, Shape},
        latency::{Latency, LatencyError},
    };

    use super::*;

    /// Twice as slow in integers.
    struct Slow;

    impl LatencySource for Slow {
        fn name(&self) -> &str {
            "slow"
        }

        fn fingerprint(&self) -> String {
            "slow".into()
        }

        fn precisions(&self) -> Vec<Precision> {
            Precision::ALL.to_vec()
        }

        fn latencies(&self, queries: &[LatencyQuery]) -> Result<Vec<Latency>, LatencyError> {
            let ms = |query: &LatencyQuery| match query.precision {
                Precision::Fp32 => query.graph.input.channels as f64,
                Precision::Int8 => 2.0 * query.graph.input.channels as f64,
            };
            Ok(queries.iter().map(|query| Latency::predicted(ms(query))).collect())
        }

        fn measures(&self) -> bool {
            false
        }
    }

    #[test]
    fn operators_of_a_runtime_are_found_in_the_graph() {
        let mut b = GraphBuilder::new(Shape::square(3, 8));
        let x = b.conv_bn_act("a", b.input(), ConvSpec::new(4, 3), ActivationKind::HSwish);
        let pooled = b.global_avg_pool("pool", x);
        let x = b.mul("gate", x, pooled);
        let graph = b.finish(x);
        let operators = ["HardSwish (a.act)", "Mul (gate)", "QuantizeLinear (a.act.q)", "odd"];
        let operators = operators.map(str::to_owned);
        let found = costs(&graph, &operators, &Slow, true).unwrap();
        let cost = |operator: &str, kind, int8_ms, fp32_ms| FloatCost {
            operator: operator.into(),
            kind,
            int8_ms,
            fp32_ms,
        };
        let expected = [
            cost("a.act", OpKind::HSwish, Some(8.0), Some(4.0)),
            cost("gate", OpKind::Mul, None, None),
        ];
        assert_eq!(found, expected);
        assert_eq!(
            text(&found, Some(32.0)),
            "  1 h_swish: 8.000 ms between integers, 25 % of the INT8 file; 4.000 ms in the FP32 file\n  \
             1 that cannot be timed by themselves\n"
        );
    }
}
