//! Operator sets: graphs that fit their requests and share weights by name.

mod graphs;
mod probe;

use spacewright_core::{
    graph::Graph,
    operators::{BlockConfig, BlockRequest, BlockType, OperatorSet},
    quant::{Scheme, WeightRange, place},
};

use super::{
    ConformanceReport, about,
    call::Call,
    item::{ItemVerdicts, guarded, legal_once, require},
};
use crate::Kind;
use graphs::{elastic_groups, fits, one_operator, one_rank, size, survives_as_text, well_formed};
use probe::{Probe, Refusal};

/// Asks every block type for graphs of many configurations, shapes and activations.
pub(super) fn check(report: &mut ConformanceReport, set: &dyn OperatorSet) {
    let mut item = ItemVerdicts::named(report, Kind::OperatorSet, || set.name().into());
    let Some(types) = item.ask("block types: each has a name of its own", || types(set)) else {
        return;
    };
    item.check("block types: the same when asked again", || {
        require(set.block_types() == types, || "a different answer".into())
    });
    item.advise("block types: each has a summary", || {
        each_type(&types, |t| about::summarized(&t.summary))
    });
    let probes: Vec<Probe> = types.iter().map(|block| Probe::of(set, block)).collect();
    check_replies(&mut item, &probes);
    if item.check("graphs: each is well-formed", || each_graph(&probes, |_, g| well_formed(g))) {
        check_graphs(&mut item, &probes);
    }
    check_call(&mut item, set, &probes);
    check_bad_requests(&mut item, set, &probes);
}

fn types(set: &dyn OperatorSet) -> Result<Vec<BlockType>, String> {
    let types = set.block_types();
    require(!types.is_empty(), || "there is no block type".into())?;
    legal_once(types.iter().map(|block| block.name.as_str()))?;
    each_type(&types, |block| {
        legal_once(block.axes.iter().map(String::as_str)).map_err(|reason| format!("axis {reason}"))
    })?;
    Ok(types)
}

fn each_type(
    types: &[BlockType],
    judge: impl Fn(&BlockType) -> Result<(), String>,
) -> Result<(), String> {
    types
        .iter()
        .try_for_each(|b| judge(b).map_err(|reason| format!("block `{}`: {reason}", b.name)))
}

fn show(request: &BlockRequest) -> String {
    let BlockRequest { block, input, out_channels, stride, activation, config } = request;
    let config = if config.0.is_empty() { String::new() } else { format!(", {config}") };
    format!(
        "block `{block}` ({input} to {out_channels} channels, stride {stride}, {activation}{config})"
    )
}

/// Judges every graph; a reason begins with its request.
fn each_graph(
    probes: &[Probe],
    judge: impl Fn(&BlockRequest, &Graph) -> Result<(), String>,
) -> Result<(), String> {
    probes.iter().flat_map(Probe::answers).try_for_each(|(request, graph)| {
        judge(request, graph).map_err(|reason| format!("{}: {reason}", show(request)))
    })
}

/// Judges refusals, those of the usual shape or the others.
fn no_refusal(probes: &[Probe], among: impl Fn(&Refusal) -> bool) -> Result<(), String> {
    let refusal = probes.iter().flat_map(|probe| &probe.refusals).find(|refusal| among(refusal));
    refusal.map_or(Ok(()), |r| Err(format!("{}: {}", show(&r.request), r.reason)))
}

fn check_replies(item: &mut ItemVerdicts<'_>, probes: &[Probe]) {
    let broken = || probes.iter().filter_map(|probe| probe.broken.as_ref());
    item.check("graphs: each request gets a graph or an error", || {
        broken().next().map_or(Ok(()), |b| Err(format!("{}: {}", show(&b.request), b.reason)))
    });
    item.check("graphs: a refusal names axis or activation", || {
        no_refusal(probes, |refusal| refusal.is_usual() && !refusal.names_choice)
    });
    item.check("graphs: some configuration works", || {
        let none = probes.iter().find(|probe| probe.graphs.is_empty() && probe.broken.is_none());
        none.map_or(Ok(()), |probe| {
            let last =
                probe.refusals.last().map_or("none was asked for", |refusal| &refusal.reason);
            Err(format!("block `{}`: all were refused, the last: {last}", probe.block.name))
        })
    });
    item.advise("graphs: each shape is taken", || {
        no_refusal(probes, |refusal| !refusal.is_usual() && !refusal.names_choice)
    });
}

/// What holds of well-formed graphs.
fn check_graphs(item: &mut ItemVerdicts<'_>, probes: &[Probe]) {
    item.check("graphs: input and output are as asked", || each_graph(probes, fits));
    item.check("graphs: a block pools always or never", || probes.iter().try_for_each(size));
    item.check("graphs: they survive as text", || each_graph(probes, |_, g| survives_as_text(g)));
    item.check("graphs: quantizers can be placed", || {
        let scheme = Scheme::common("common", WeightRange::Bits7);
        each_graph(probes, |_, graph| place(graph, &scheme).map(drop).map_err(|e| e.to_string()))
    });
    item.check("graphs: a name means one operator", || probes.iter().try_for_each(one_operator));
    item.check("graphs: a weight keeps its rank", || probes.iter().try_for_each(one_rank));
    item.advise("graphs: elastic convolutions are dense or depth-wise", || {
        probes.iter().try_for_each(elastic_groups)
    });
}

/// Batches of all requests of a block that had an answer.
fn check_call(item: &mut ItemVerdicts<'_>, set: &dyn OperatorSet, probes: &[Probe]) {
    let ask = |requests: &[BlockRequest]| set.graphs(requests).map_err(|e| e.to_string());
    let call = |name: String| Call { name, ask: &ask, show: &show };
    call("graphs".into()).takes_no_question(item);
    for probe in probes.iter().filter(|probe| !probe.graphs.is_empty()) {
        let call = call(format!("graphs of `{}`", probe.block.name));
        let Some(graphs) = call.answers(item, &probe.requests) else { continue };
        call.depends_on_question_only(item, &probe.requests, &graphs);
    }
}

/// Requests that nothing can answer get an error.
fn check_bad_requests(item: &mut ItemVerdicts<'_>, set: &dyn OperatorSet, probes: &[Probe]) {
    let refused = |request: &BlockRequest| {
        let answer = guarded(|| set.graphs(std::slice::from_ref(request)))?;
        require(answer.is_err(), || "it got a graph".into())
    };
    item.check("graphs: an unknown block is refused", || {
        refused(&probe::request("no-such-block", BlockConfig::default()))
    });
    item.check("graphs: a missing axis is refused", || {
        let mut usual = probes.iter().filter_map(|probe| probe.requests.first());
        usual.try_for_each(|request| {
            request.config.0.keys().try_for_each(|axis| {
                let mut less = request.clone();
                less.config.0.shift_remove(axis);
                refused(&less).map_err(|reason| {
                    format!("block `{}` without `{axis}`: {reason}", request.block)
                })
            })
        })
    });
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
