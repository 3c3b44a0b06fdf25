//! Registration of built-in plugins, collected when the program is linked.

use std::sync::Arc;

use spacewright_core::{
    latency::LatencySource, method::Method, operators::OperatorSet, quant::Quantizer,
    score::Scorer, search::Strategy, target::Target, train::Trainer,
};

/// What a built-in plugin offers, made on demand.
pub enum Item {
    /// Operator sets.
    OperatorSets(fn() -> Vec<Arc<dyn OperatorSet>>),
    /// Hyperspaces as TOML.
    Hyperspaces(fn() -> Vec<&'static str>),
    /// Quantizers.
    Quantizers(fn() -> Vec<Arc<dyn Quantizer>>),
    /// Latency sources that no target has of its own.
    LatencySources(fn() -> Vec<Arc<dyn LatencySource>>),
    /// Scorers.
    Scorers(fn() -> Vec<Arc<dyn Scorer>>),
    /// Search strategies.
    Strategies(fn() -> Vec<Arc<dyn Strategy>>),
    /// Targets.
    Targets(fn() -> Vec<Arc<dyn Target>>),
    /// Methods.
    Methods(fn() -> Vec<Arc<dyn Method>>),
    /// Trainers for a number of threads.
    Trainers(fn(usize) -> Vec<Arc<dyn Trainer>>),
}

/// One entry of a built-in plugin.
pub struct Registration {
    /// Name of the plugin.
    pub plugin: &'static str,
    /// What it offers.
    pub item: Item,
}

inventory::collect!(Registration);

/// All built-in plugins of this program. A crate that nothing refers to may be dropped by the
/// linker together with its entries: name one item of each.
pub fn registrations() -> impl Iterator<Item = &'static Registration> {
    inventory::iter::<Registration>.into_iter()
}

/// Registers what a built-in plugin offers: `register!("name", OperatorSets, make)`, where the
/// second argument is a variant of [`Item`] and the third the function that it holds.
#[macro_export]
macro_rules! register {
    ($plugin:expr, $kind:ident, $make:path) => {
        $crate::inventory::submit! {
            $crate::Registration { plugin: $plugin, item: $crate::Item::$kind($make) }
        }
    };
}
