//! Registration of built-in plugins, collected when the program is linked.

use crate::BuiltInItem;

/// One entry of a built-in plugin.
pub struct Registration {
    /// Name of the plugin.
    pub plugin: &'static str,
    /// What it offers.
    pub item: BuiltInItem,
}

inventory::collect!(Registration);

/// All built-in plugins of this program. A crate that nothing refers to may be dropped by the
/// linker together with its entries: name one item of each.
pub fn registrations() -> impl Iterator<Item = &'static Registration> {
    inventory::iter::<Registration>.into_iter()
}

/// Registers what a built-in plugin offers: `register!("name", OperatorSets, make)`, where the
/// second argument is a variant of [`BuiltInItem`] and the third the function that it holds.
#[macro_export]
macro_rules! register {
    ($plugin:expr, $kind:ident, $make:path) => {
        $crate::inventory::submit! {
            $crate::Registration { plugin: $plugin, item: $crate::BuiltInItem::$kind($make) }
        }
    };
}
