//! A target in its smallest form: every network takes the same time.

use spacewright_sdk::prelude::*;

struct ConstantNpu;

impl Target for ConstantNpu {
    fn description(&self) -> TargetDescription {
        TargetDescription::modelled("constant-npu", "0.1 ms for every network", "onnx")
    }

    fn latency_source(&self) -> Result<Arc<dyn LatencySource>, TargetError> {
        Ok(Arc::new(Self))
    }
}

impl LatencySource for ConstantNpu {
    fn name(&self) -> &str {
        "constant-npu"
    }

    fn fingerprint(&self) -> String {
        "constant 0.1 ms".into()
    }

    fn latencies(&self, queries: &[LatencyQuery]) -> Result<Vec<Latency>, LatencyError> {
        Ok(queries.iter().map(|_| Latency::predicted(0.1)).collect())
    }
}

/// What this crate offers.
pub fn plugin() -> Plugin {
    Plugin::new(about!()).target(ConstantNpu)
}

export!(target, plugin);
