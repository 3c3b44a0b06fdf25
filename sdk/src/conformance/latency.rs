//! Latency sources: positive milliseconds for every graph, precision and position.

use spacewright_core::{
    graph::{ActivationKind, ConvSpec, Graph, GraphBuilder, OpKind, Shape, ValueId},
    latency::{GraphColumns, Interval, Latency, LatencyQuery, LatencySource, Position, Precision},
};

use super::{
    ConformanceReport, Outcome,
    call::Call,
    item::{ItemVerdicts, require},
};
use crate::Kind;

const POSITIONS: [Position; 4] =
    [Position::Whole, Position::First, Position::Inside, Position::Last];

/// Checks a source that no target has of its own.
pub(super) fn check(report: &mut ConformanceReport, source: &dyn LatencySource) {
    let mut item = ItemVerdicts::named(report, Kind::LatencySource, || source.name().into());
    judge(&mut item, source, &[]);
}

/// Asks for latencies of graphs without the operators that a target cannot run.
pub(super) fn judge(
    item: &mut ItemVerdicts<'_>,
    source: &dyn LatencySource,
    unsupported: &[OpKind],
) {
    let precisions = source.precisions();
    let knows = |item: &mut ItemVerdicts<'_>| {
        item.check("precisions: there is one", || {
            require(!precisions.is_empty(), || "it knows none".into())
        })
    };
    if !knows(item) {
        return;
    }
    item.check("precisions: int8 is among them", || {
        require(precisions.contains(&Precision::Int8), || {
            let known: Vec<&str> = precisions.iter().map(|known| known.name()).collect();
            format!("{} alone; the networks of studies are in int8", known.join(", "))
        })
    });
    item.check("fingerprint: it is there and stays the same", || fingerprint(source));
    let call = Call {
        name: "latencies".into(),
        ask: &|queries: &[LatencyQuery]| source.latencies(queries).map_err(|e| e.to_string()),
        show: &LatencyQuery::to_string,
    };
    call.takes_no_question(item);
    let queries = queries(unsupported, &precisions);
    let Some(answers) = call.answers(item, &queries) else { return };
    let positive = call.each(item, "each is a positive number", &queries, &answers, |_, answer| {
        let spread = answer.spread_ms.is_finite() && answer.spread_ms >= 0.0;
        require(answer.ms.is_finite() && answer.ms > 0.0 && spread, || {
            format!("{} ± {} ms", answer.ms, answer.spread_ms)
        })?;
        let Some(Interval { low_ms, high_ms }) = answer.interval else { return Ok(()) };
        require(low_ms > 0.0 && low_ms <= high_ms && high_ms.is_finite(), || {
            format!("from {low_ms} to {high_ms} ms")
        })
    });
    if !positive {
        return;
    }
    // Measured times differ.
    let predicted = answers.iter().all(|answer| answer.runs == 0);
    if predicted && call.depends_on_question_only(item, &queries, &answers) {
        let check = "latencies: the same answers to columns";
        item.check(check, || same_in_columns(source, &queries, &answers));
    }
    for &precision in &precisions {
        let check = format!("latencies, {}: more channels are not faster", precision.name());
        item.check(&check, || more_channels(&call, precision));
    }
}

fn fingerprint(source: &dyn LatencySource) -> Result<(), String> {
    let [first, second] = [source.fingerprint(), source.fingerprint()];
    require(!first.trim().is_empty(), || "it is empty".into())?;
    require(first == second, || format!("`{first}`, then `{second}`"))
}

fn same_in_columns(
    source: &dyn LatencySource,
    queries: &[LatencyQuery],
    answers: &[Latency],
) -> Result<(), String> {
    let columns = GraphColumns::of(queries).map_err(|error| error.to_string())?;
    let columns = source.latencies_of(&columns).map_err(|e| e.to_string())?;
    require(columns.len() == answers.len(), || format!("{} answers", columns.len()))?;
    for ((query, answer), other) in queries.iter().zip(answers).zip(&columns) {
        let differs = || format!("{query}: {} ms, in columns {} ms", answer.ms, other.ms);
        require(answer == other, differs)?;
    }
    Ok(())
}

/// Graphs in each precision, at the positions where a study has the like of them.
fn queries(unsupported: &[OpKind], precisions: &[Precision]) -> Vec<LatencyQuery> {
    let runs = |graph: &Graph| graph.nodes.iter().all(|n| !unsupported.contains(&n.op.kind()));
    let graphs: [(Graph, &[Position]); 6] = [
        (convolution(16), &POSITIONS),
        (residual(), &POSITIONS),
        (branches(), &POSITIONS),
        (windows(), &POSITIONS),
        (classifier(), &[Position::Whole]),
        (head(), &[Position::Last]),
    ];
    let mut queries = Vec::new();
    for (graph, positions) in graphs.into_iter().filter(|(graph, _)| runs(graph)) {
        for &precision in precisions {
            for &position in positions {
                queries.push(LatencyQuery { graph: graph.clone(), precision, position });
            }
        }
    }
    queries
}

fn convolution(channels: usize) -> Graph {
    let mut b = GraphBuilder::new(Shape::square(channels, 14));
    let x = b.conv("conv", b.input(), ConvSpec::new(channels, 3));
    b.finish(x)
}

/// A depth-wise separable convolution with a shortcut.
fn residual() -> Graph {
    let mut b = GraphBuilder::new(Shape::square(24, 16));
    let x = b.input();
    let y = b.conv_bn_act("dw", x, ConvSpec::depthwise(24, 3), ActivationKind::Relu);
    let y = b.conv_bn("pw", y, ConvSpec::new(24, 1));
    let y = b.add("sum", y, x);
    b.finish(y)
}

/// Three branches whose channels are joined, after SqueezeNet and Inception.
fn branches() -> Graph {
    let mut b = GraphBuilder::new(Shape::square(24, 16));
    let x = b.input();
    let y = b.conv_bn_act("one", x, ConvSpec::new(16, 1), ActivationKind::Relu);
    let z = b.conv_bn_act("three", x, ConvSpec::new(8, 3), ActivationKind::Relu);
    let y = b.concat("all", &[y, z, x]);
    b.finish(y)
}

/// Windows that are not square, or whose pixels lie apart.
fn windows() -> Graph {
    let mut b = GraphBuilder::new(Shape::square(24, 16));
    let x = b.conv_bn_act("wide", b.input(), ConvSpec::new(16, [1, 7]), ActivationKind::Relu);
    let x = b.conv_bn_act("tall", x, ConvSpec::new(16, [7, 1]), ActivationKind::Relu);
    let x = b.conv_bn_act("apart", x, ConvSpec::new(24, 3).dilation(2), ActivationKind::Relu);
    b.finish(x)
}

fn classifier() -> Graph {
    let mut b = GraphBuilder::new(Shape::square(3, 32));
    let x = b.conv_bn_act("stem", b.input(), ConvSpec::new(16, 3).stride(2), ActivationKind::Relu);
    pooled(b, x)
}

fn head() -> Graph {
    let b = GraphBuilder::new(Shape::square(64, 7));
    let x = b.input();
    pooled(b, x)
}

fn pooled(mut b: GraphBuilder, x: ValueId) -> Graph {
    let x = b.global_avg_pool("pool", x);
    let x = b.linear("logits", x, 10);
    b.finish(x)
}

/// That a convolution with eight times the channels takes at least half the time, which leaves room
/// for the noise of measuring; where it takes no longer, that is noted.
fn more_channels(call: &Call<'_, LatencyQuery, Latency>, precision: Precision) -> Outcome {
    let ms = |channels| {
        let query =
            LatencyQuery { graph: convolution(channels), precision, position: Position::Inside };
        call.alone(&query).map(|answer| answer.ms)
    };
    let (few, many) = match (ms(16), ms(128)) {
        (Ok(few), Ok(many)) => (few, many),
        (Err(reason), _) | (_, Err(reason)) => return Outcome::Wrong { reason },
    };
    let reason = format!("16 channels take {few} ms, 128 take {many} ms");
    if many < few / 2.0 {
        Outcome::Wrong { reason }
    } else if many <= few {
        Outcome::Noted { reason: format!("more channels are free: {reason}") }
    } else {
        Outcome::Good
    }
}

#[cfg(test)]
mod tests;
