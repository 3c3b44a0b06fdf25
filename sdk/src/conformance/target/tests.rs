use std::sync::Arc;

use spacewright_core::{
    graph::{ActivationKind, OpKind},
    latency::{Latency, LatencyError, LatencyQuery, LatencySource},
    target::{Runtime, Target, TargetDescription, TargetError},
};

use crate::{
    Plugin,
    conformance::testing::{about, expect},
};

/// Hardware that takes a nanosecond for each multiply-add, but for what a test spoils.
struct Npu {
    spoil: fn(&mut TargetDescription),
    source: fn() -> Result<Arc<dyn LatencySource>, TargetError>,
    runtime: fn() -> Result<Arc<dyn Runtime>, TargetError>,
    has_runtime: bool,
}

struct Nanoseconds;

impl LatencySource for Nanoseconds {
    fn name(&self) -> &str {
        "npu"
    }
    fn fingerprint(&self) -> String {
        "npu".into()
    }
    fn latencies(&self, queries: &[LatencyQuery]) -> Result<Vec<Latency>, LatencyError> {
        let latency = |query: &LatencyQuery| {
            if query.graph.nodes.iter().any(|node| node.op.kind() == OpKind::Linear) {
                return Err(LatencyError::of(query, "no linear layers"));
            }
            Ok(Latency::predicted(query.graph.macs().unwrap() as f64 / 1e6))
        };
        queries.iter().map(latency).collect()
    }
}

impl Target for Npu {
    fn description(&self) -> TargetDescription {
        let mut description = TargetDescription::modelled("npu", "An accelerator", "onnx");
        description.unsupported.push(OpKind::Linear);
        (self.spoil)(&mut description);
        description
    }
    fn latency_source(&self) -> Result<Arc<dyn LatencySource>, TargetError> {
        (self.source)()
    }
    fn runtime(&self) -> Result<Arc<dyn Runtime>, TargetError> {
        (self.runtime)()
    }
    fn has_runtime(&self) -> bool {
        self.has_runtime
    }
}

const GOOD: Npu = Npu {
    spoil: |_| (),
    source: || Ok(Arc::new(Nanoseconds)),
    runtime: || Err(TargetError::no_runtime("npu")),
    has_runtime: false,
};

#[test]
fn a_good_target_is_good() {
    expect(Plugin::new(about()).target(GOOD), &[], &[]);
}

#[test]
fn faults_of_targets_are_named() {
    let offer = |target, check, reason| {
        expect(Plugin::new(about()).target(target), &[(check, reason)], &[]);
    };
    let spoilt = |spoil| Npu { spoil, ..GOOD };
    offer(spoilt(|d| d.name.clear()), "its name is legal", "`` is not made of");
    offer(spoilt(|d| d.model_format = "o/nnx".into()), "the model format is legal", "`o/nnx`");
    offer(spoilt(|d| d.scheme.name.clear()), "scheme: it has a name", "empty");
    offer(
        spoilt(|d| d.scheme.fused.push((OpKind::Conv2d, OpKind::HSwish))),
        "scheme: fused pairs can be computed",
        "conv2d with h_swish: only relu and relu6",
    );
    offer(
        Npu { has_runtime: true, ..GOOD },
        "runtime: it is there if the target says so",
        "it has no runtime of its own",
    );
    let broken = || Err(TargetError::new("npu", "no driver"));
    offer(
        Npu { source: broken, ..GOOD },
        "latencies: the source is there",
        "target `npu`: no driver",
    );
    offer(
        spoilt(|d| d.unsupported.clear()),
        "latencies: one answer to each question",
        " up to `logits` at 3x32x32 (fp32, whole)",
    );
    static ASKED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    offer(
        spoilt(|d| {
            let asked = ASKED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            d.summary = format!("asked {asked} times");
        }),
        "description: the same when asked again",
        "a different one",
    );
}

#[test]
fn doubtful_descriptions_are_noted() {
    let offer = |spoil, check, reason| {
        let plugin = Plugin::new(about()).target(Npu { spoil, ..GOOD });
        expect(plugin, &[], &[(check, reason)]);
    };
    offer(|d| d.summary.clear(), "description: it has a summary", "the summary is empty");
    offer(
        |d| d.scheme.fused.push((OpKind::BatchNorm, OpKind::Relu)),
        "scheme: each fused pair matters",
        "batch_norm with relu: no batch_norm is left",
    );
    offer(
        |d| d.scheme.fused.push((OpKind::Conv2d, OpKind::Relu)),
        "scheme: each fused pair matters",
        "conv2d with relu is there twice",
    );
    offer(
        |d| d.scheme.decomposed.push(ActivationKind::HSwish),
        "scheme: decomposed activations can be decomposed",
        "h_swish stays whole",
    );
}

#[test]
fn a_runtime_that_is_missing_on_this_machine_alone_is_noted() {
    let missing = || Err(TargetError::new("npu", "no such device"));
    expect(
        Plugin::new(about()).target(Npu { runtime: missing, has_runtime: true, ..GOOD }),
        &[],
        &[("runtime: it is there if the target says so", "not here: no such device")],
    );
}
