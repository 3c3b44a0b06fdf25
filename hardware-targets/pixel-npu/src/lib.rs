//! An NPU like Google's Edge TPU, which Pixel phones and Coral boards have: a target whose
//! latencies come from a model of the hardware. Nothing is measured; README.md says where each
//! number comes from and how far the model is from published figures.
//!
//! ```
//! use spacewright_sdk::prelude::*;
//!
//! let graph = Graph::identity(Shape::square(64, 56));
//! let query = LatencyQuery { graph, precision: Precision::Int8, position: Position::Inside };
//! let latencies = pixel_npu::PixelNpu::default().latencies(&[query]).unwrap();
//! assert!(latencies[0].ms > 0.0);
//! ```

mod model;
mod parameters;

use spacewright_sdk::prelude::*;

pub use model::Model;
pub use parameters::{EDGE_TPU, Parameters};

/// Of the formulas; with the parameters, it is what latencies hold for.
const VERSION: u32 = 1;

const NAME: &str = "pixel-npu";

/// Errors on the seven published networks, each modelled with the parameters that fit the others.
const LEFT_OUT: Accuracy =
    Accuracy { rows: 7, within_5: 0.0, within_10: 0.286, median_error: 0.205, mape: 0.181 };

/// The target, which is its own latency source.
#[derive(Debug, Clone, Copy)]
pub struct PixelNpu(Model);

impl Default for PixelNpu {
    /// The NPU with the parameters of [`EDGE_TPU`].
    fn default() -> Self {
        Self(Model(EDGE_TPU))
    }
}

impl Target for PixelNpu {
    fn description(&self) -> TargetDescription {
        let summary = "an NPU like the Edge TPU, modelled: a systolic array of 64x64 and 8 MB for \
            weights; floating point runs on the host";
        let how = "int8, published networks of the Edge TPU, each left out of the fit once";
        TargetDescription {
            held_out: vec![HeldOut { how: how.into(), accuracy: LEFT_OUT }],
            ..TargetDescription::modelled(NAME, summary, "onnx")
        }
    }

    fn latency_source(&self) -> Result<Arc<dyn LatencySource>, TargetError> {
        Ok(Arc::new(*self))
    }
}

impl LatencySource for PixelNpu {
    fn name(&self) -> &str {
        NAME
    }

    fn fingerprint(&self) -> String {
        format!("{NAME}, model {VERSION}: {:?}", self.0.0)
    }

    fn latencies(&self, queries: &[LatencyQuery]) -> Result<Vec<Latency>, LatencyError> {
        self.latencies_of(&GraphColumns::of(queries)?)
    }

    fn latencies_of(&self, graphs: &GraphColumns) -> Result<Vec<Latency>, LatencyError> {
        Ok(self.0.milliseconds(graphs)?.into_iter().map(Latency::predicted).collect())
    }
}

/// What this crate offers.
pub fn plugin() -> Plugin {
    Plugin::new(about!()).target(PixelNpu::default())
}

export!(target, plugin);

#[cfg(test)]
mod tests {
    #[test]
    fn the_plugin_conforms() {
        spacewright_sdk::conformance::check(&super::plugin()).assert_good();
    }
}
