//! Registration of built-in plugins, collected when the program is linked.

use std::sync::Arc;

use spacewright_core::operators::OperatorSet;

/// What a built-in plugin offers, made on demand.
pub enum Item {
    /// Operator sets.
    OperatorSets(fn() -> Vec<Arc<dyn OperatorSet>>),
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

/// Registers a function that makes operator sets, under a plugin's name.
#[macro_export]
macro_rules! register_operator_sets {
    ($plugin:expr, $make:path) => {
        $crate::inventory::submit! {
            $crate::Registration { plugin: $plugin, item: $crate::Item::OperatorSets($make) }
        }
    };
}
