//! Exporting a plugin from its crate.

use crate::Plugin;

/// A type that knows the plugin of its crate.
#[doc(hidden)]
pub trait Provide {
    /// Makes the plugin; called once.
    fn make() -> Plugin;
}

/// Exports what a function makes: `export!(kinds…, function)`, where each kind is one of
/// `operator_set`, `hyperspace`, `quantizer`, `latency_source`, `scorer` and `target`, and the
/// function gives a [`Plugin`](crate::Plugin). A target exports its latencies too.
///
/// Compiled for `wasm32-unknown-unknown`, the crate becomes a WebAssembly component. Compiled
/// for anything else with this crate's feature `native`, it becomes a native library; then the
/// kinds are what the [`Plugin`](crate::Plugin) has.
///
/// The crate needs `crate-type = ["cdylib", "rlib"]`. A library or program can hold one such
/// export only.
#[macro_export]
macro_rules! export {
    ($($kind:ident)+, $plugin:path) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Provider;

            impl $crate::Provide for Provider {
                fn make() -> $crate::Plugin {
                    $plugin()
                }
            }

            type Component = $crate::component::Exported<Provider>;
            $crate::export_component!(about Component);
            $($crate::export_component!($kind Component);)+
        };

        #[cfg(not(target_arch = "wasm32"))]
        $crate::export_native!($plugin);
    };
}

/// The root module of a native library.
#[cfg(feature = "native")]
#[doc(hidden)]
#[macro_export]
macro_rules! export_native {
    ($plugin:path) => {
        const _: () = {
            struct Provider;

            impl $crate::Provide for Provider {
                fn make() -> $crate::Plugin {
                    $plugin()
                }
            }

            // `native::exports` has a test of this name.
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            pub static HEADER: $crate::native::LibHeader = $crate::native::header::<Provider>();
        };
    };
}

/// Without the feature `native` there is no native library.
#[cfg(not(feature = "native"))]
#[doc(hidden)]
#[macro_export]
macro_rules! export_native {
    ($plugin:path) => {};
}

/// The exports of one interface, by the macro that is generated from `wit/plugin.wit` for it.
#[doc(hidden)]
#[macro_export]
macro_rules! export_component {
    (about $type:ident) => {
        $crate::export_component!(@about __export_spacewright_plugin_about_0_1_0_cabi $type);
    };
    (operator_set $type:ident) => {
        $crate::export_component!(@operator_set __export_spacewright_plugin_operator_set_0_1_0_cabi $type);
    };
    (hyperspace $type:ident) => {
        $crate::export_component!(@hyperspace __export_spacewright_plugin_hyperspace_0_1_0_cabi $type);
    };
    (quantizer $type:ident) => {
        $crate::export_component!(@quantizer __export_spacewright_plugin_quantizer_0_1_0_cabi $type);
    };
    (latency_source $type:ident) => {
        $crate::export_component!(@latency_source __export_spacewright_plugin_latency_source_0_1_0_cabi $type);
    };
    (scorer $type:ident) => {
        $crate::export_component!(@scorer __export_spacewright_plugin_scorer_0_1_0_cabi $type);
    };
    (target $type:ident) => {
        $crate::export_component!(@target __export_spacewright_plugin_target_0_1_0_cabi $type);
        $crate::export_component!(latency_source $type);
    };
    (@$interface:ident $macro:ident $type:ident) => {
        $crate::component::wit::exports::spacewright::plugin::$interface::$macro!(
            $type with_types_in $crate::component::wit::exports::spacewright::plugin::$interface
        );
    };
}
