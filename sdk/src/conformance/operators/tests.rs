use spacewright_core::{
    graph::{ActivationKind, ConvSpec, GraphBuilder, Op, ValueId},
    operators::{BlockConfig, BlockRequest},
};

use super::{
    probe::{Probe, Refusal},
    testing::{Blocks, GOOD, build, count, graph, refused, types},
};
use crate::{
    Plugin,
    conformance::testing::{about, expect},
};

#[track_caller]
fn offer(blocks: Blocks, check: &str, reason: &str) {
    expect(Plugin::new(about()).operator_set(blocks), &[(check, reason)], &[]);
}

#[track_caller]
fn note(blocks: Blocks, check: &str, reason: &str) {
    expect(Plugin::new(about()).operator_set(blocks), &[], &[(check, reason)]);
}

#[test]
fn a_good_operator_set_is_good() {
    expect(Plugin::new(about()).operator_set(GOOD), &[], &[]);
}

#[test]
fn faults_of_block_types_are_named() {
    let spoilt = |types| Blocks { types, ..GOOD };
    let named = "block types: each has a name of its own";
    offer(spoilt(Vec::new), named, "there is no block type");
    offer(spoilt(|| [types(), types()].concat()), named, "`plain` is there twice");
    let axis_twice = || {
        let mut types = types();
        types[0].axes[1] = "kernel".into();
        types
    };
    offer(spoilt(axis_twice), named, "block `plain`: axis `kernel` is there twice");
    let turning = || {
        let mut types = types();
        types.rotate_left(count() % 2);
        types
    };
    let again = "block types: the same when asked again";
    offer(spoilt(turning), again, "a different answer");
    let silent = || {
        let mut types = types();
        types[1].summary.clear();
        types
    };
    note(spoilt(silent), "block types: each has a summary", "block `pool`: the summary is empty");
}

#[test]
fn faults_of_graphs_are_named() {
    let offer = |graph, check, reason| offer(Blocks { graph, ..GOOD }, check, reason);
    offer(
        |r| build(r, |b, x| b.add("sum", x, ValueId(99))),
        "graphs: each is well-formed",
        "reads value 99 before it is computed",
    );
    offer(
        |r| {
            build(r, |b, x| {
                let x = b.conv("huge", x, ConvSpec::new(1 << 20, 1));
                b.conv("back", x, ConvSpec::new(r.out_channels, 1))
            })
        },
        "graphs: each is well-formed",
        "node `huge`: an attribute of 1048576; sizes are at most 65536",
    );
    offer(
        |r| {
            let many = |b: &mut GraphBuilder, x| {
                (0..1000).fold(x, |x, at| b.act(&format!("act{at}"), x, r.activation))
            };
            build(r, many)
        },
        "graphs: each is well-formed",
        "1005 nodes; at most 250 are allowed",
    );
    offer(
        |r| build(r, |b, x| b.conv("more", x, ConvSpec::new(r.out_channels + 8, 1))),
        "graphs: input and output are as asked",
        "block `plain` (16x32x32 to 32 channels, stride 1, relu, kernel=3 expand=1): node `more`: \
         asked for 32 output channels, got 40x32x32",
    );
    offer(
        |r| graph(&BlockRequest { stride: 1, ..r.clone() }),
        "graphs: input and output are as asked",
        "asked for an output of 7x7 pixels, got 64x14x14",
    );
    offer(
        |r| match r.stride {
            1 => graph(r),
            _ => build(r, |b, x| b.global_avg_pool("shrunk", x)),
        },
        "graphs: a block pools always or never",
        "block `plain` (24x14x14 to 64 channels, stride 2, relu, kernel=3 expand=1): the output is 1x1",
    );
    offer(
        |r| build(r, |b, x| b.act("last = act", x, r.activation)),
        "graphs: they survive as text",
        "last = act",
    );
    offer(
        |r| {
            build(r, |b, x| {
                let x = b.act("act", x, r.activation);
                b.node("act.bn", Op::BatchNorm { eps: 1e-5 }, &[x])
            })
        },
        "graphs: quantizers can be placed",
        "a batch normalization must directly follow a convolution",
    );
    offer(
        |r| {
            let kind = match r.config.get("kernel") {
                Some(7.0) => ActivationKind::Sigmoid,
                _ => ActivationKind::HSigmoid,
            };
            build(r, |b, x| b.act("gate", x, kind))
        },
        "graphs: a name means one operator",
        "kernel=7 expand=1): `gate` is sigmoid, but h_sigmoid for block `plain`",
    );
    offer(
        |r| match (r.block.as_str(), r.activation) {
            ("pool", ActivationKind::Swish) => {
                build(r, |b, x| b.linear("logits", x, r.out_channels))
            }
            ("pool", _) => build(r, |b, x| b.conv("logits", x, ConvSpec::new(r.out_channels, 1))),
            _ => graph(r),
        },
        "graphs: a weight keeps its rank",
        "`logits.weight` has 2 dimensions, but 4 for block `pool`",
    );
}

#[test]
fn faults_of_replies_are_named() {
    let spoilt = |graph| Blocks { graph, ..GOOD };
    offer(
        spoilt(|r| match r.input.height {
            7 => panic!("seven"),
            _ => graph(r),
        }),
        "graphs: each request gets a graph or an error",
        "block `plain` (8x7x7 to 8 channels, stride 1, relu, kernel=3 expand=1): panicked: seven",
    );
    offer(
        spoilt(|r| match r.config.get("expand") {
            Some(4.0) => Err(refused("out of luck")),
            _ => graph(r),
        }),
        "graphs: a refusal names axis or activation",
        "kernel=3 expand=4): out of luck",
    );
    offer(
        spoilt(|r| match r.block.as_str() {
            "plain" => Err(refused("kernel must be even")),
            _ => graph(r),
        }),
        "graphs: some configuration works",
        "block `plain`: all were refused, the last: kernel must be even",
    );
    offer(
        spoilt(|r| {
            graph(&BlockRequest { block: r.block.replace("no-such-block", "pool"), ..r.clone() })
        }),
        "graphs: an unknown block is refused",
        "it got a graph",
    );
    offer(
        spoilt(|r| {
            let mut r = r.clone();
            r.config.0.entry("expand".into()).or_insert(2.0);
            graph(&r)
        }),
        "graphs: a missing axis is refused",
        "block `plain` without `expand`: it got a graph",
    );
    note(
        spoilt(|r| match r.stride {
            2 => Err(refused("stride 2 is not possible")),
            _ => graph(r),
        }),
        "graphs: each shape is taken",
        "stride 2, relu, kernel=3 expand=1): stride 2 is not possible",
    );
}

#[test]
fn faults_of_batches_are_named() {
    let spoilt = |graphs| Blocks { graphs, ..GOOD };
    let each = |blocks, check: &str, reason| {
        let checks = ["plain", "pool"].map(|block| format!("graphs of `{block}`: {check}"));
        let wrong = checks.each_ref().map(|check| (check.as_str(), reason));
        expect(Plugin::new(about()).operator_set(blocks), &wrong, &[]);
    };
    each(
        spoilt(|blocks, requests| blocks.all(&requests[..requests.len().min(2)])),
        "one answer to each question",
        ": 2 answers to ",
    );
    each(
        spoilt(|blocks, requests| Ok(blocks.all(requests)?.into_iter().rev().collect())),
        "the same answer alone as in a batch",
        "a different answer",
    );
    let counting = |r: &BlockRequest| {
        let eps = count() as f64;
        build(r, |b, x| {
            let x = b.conv("more", x, ConvSpec::new(r.out_channels, 1));
            b.node("more.bn", Op::BatchNorm { eps }, &[x])
        })
    };
    let counting = Blocks { graph: counting, ..GOOD };
    each(counting, "the same answer when asked again", "a different answer");
    offer(
        spoilt(|blocks, requests| match requests {
            [] => Err(refused("nothing to do")),
            _ => blocks.all(requests),
        }),
        "graphs: no answer to no question",
        "nothing to do",
    );
}

#[test]
fn refused_choices_are_no_fault() {
    let picky = Blocks {
        graph: |r| match (r.block.as_str(), r.activation, r.config.get("expand")) {
            ("plain", ActivationKind::Relu6, Some(0.5)) => graph(&BlockRequest {
                config: BlockConfig::of(&[("kernel", 3.0), ("expand", 1.0)]),
                ..r.clone()
            }),
            ("plain", ActivationKind::Relu6, _) => Err(refused("expand must be 0.5")),
            ("plain", ..) => Err(refused("the activation must be relu6")),
            _ => graph(r),
        },
        ..GOOD
    };
    offer(
        picky,
        "graphs: a missing axis is refused",
        "block `plain` without `kernel`: it got a graph",
    );
}

#[test]
fn elastic_grouped_convolutions_are_noted() {
    let grouped = |r: &BlockRequest| {
        build(r, |b, x| b.conv("groups", x, ConvSpec::new(r.out_channels, 3).groups(4)))
    };
    note(
        Blocks { graph: grouped, ..GOOD },
        "graphs: elastic convolutions are dense or depth-wise",
        "the grouped convolution of `groups.weight` is [8, 2, 3, 3]",
    );
}

#[test]
fn requests_cover_shapes_activations_and_axes() {
    let [plain, pool] = [0, 1].map(|at| Probe::of(&GOOD, &types()[at]));
    for activation in ActivationKind::ALL {
        for stride in [1, 2] {
            let asked = |r: &BlockRequest| (r.activation, r.stride) == (activation, stride);
            assert!(plain.requests.iter().any(asked) && pool.requests.iter().any(asked));
        }
    }
    for (kernel, expand) in [(3.0, 1.0), (5.0, 2.0), (7.0, 4.0)] {
        let config = BlockConfig::of(&[("kernel", kernel), ("expand", expand)]);
        assert!(plain.requests.iter().any(|request| request.config == config), "{config}");
    }
    let refused = |refusal: &Refusal| refusal.request.config.get("expand") == Some(0.5);
    assert!(!plain.refusals.is_empty() && plain.refusals.iter().all(refused));
}
