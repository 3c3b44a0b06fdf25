//! What a plugin author depends on: the traits of [`spacewright_core`] and the registration of
//! built-in plugins.
//!
//! A plugin is a crate with implementations of those traits and one line for each kind of thing
//! that it offers:
//!
//! ```
//! use std::sync::Arc;
//!
//! use spacewright_sdk::core::quant::{ActivationRange, Quantizer, QuantizerError, TensorStats, WeightRange};
//!
//! /// Steps of a fixed size.
//! struct Fixed;
//!
//! impl Quantizer for Fixed {
//!     fn name(&self) -> &str {
//!         "fixed"
//!     }
//!     fn learnable(&self) -> bool {
//!         false
//!     }
//!     fn activations(&self, items: &[(TensorStats, ActivationRange)]) -> Result<Vec<(f32, f32)>, QuantizerError> {
//!         Ok(items.iter().map(|_| (0.02, 0.0)).collect())
//!     }
//!     fn weights(&self, channels: &[TensorStats], _: WeightRange) -> Result<Vec<f32>, QuantizerError> {
//!         Ok(vec![0.01; channels.len()])
//!     }
//! }
//!
//! fn quantizers() -> Vec<Arc<dyn Quantizer>> {
//!     vec![Arc::new(Fixed)]
//! }
//!
//! spacewright_sdk::register!("my-plugin", Quantizers, quantizers);
//!
//! let found = spacewright_sdk::registrations().any(|entry| entry.plugin == "my-plugin");
//! assert!(found);
//! ```
//!
//! A plugin's own tests ask the [`conformance`] kit whether it keeps the contract:
//!
//! ```
//! use spacewright_sdk::{About, Plugin, conformance};
//!
//! fn plugin() -> Plugin {
//!     let about = About {
//!         name: "my-plugin".into(),
//!         version: "1.0.0".into(),
//!         summary: "One hyperspace".into(),
//!     };
//!     Plugin::new(about).hyperspace("name = \"mine\"")
//! }
//!
//! conformance::check(&plugin()).assert_good();
//! ```

pub mod component;
pub mod conformance;
mod export;
mod kind;
mod log;
#[cfg(all(feature = "native-protocol", not(target_arch = "wasm32")))]
pub mod native;
mod plugin;
pub mod prelude;
mod registry;
#[doc(hidden)]
pub mod text;

#[doc(hidden)]
pub use export::Provide;
pub use inventory;
pub use kind::Kind;
pub use log::log;
pub use plugin::{About, INTERFACE, Plugin, WIT};
pub use registry::{Item, Registration, registrations};
pub use serde_json;
pub use spacewright_core as core;

/// That columns have one length.
#[doc(hidden)]
pub fn same_lengths(what: &str, lengths: &[usize]) -> Result<(), String> {
    match lengths.windows(2).all(|pair| pair[0] == pair[1]) {
        true => Ok(()),
        false => Err(format!("{what}: columns have the lengths {lengths:?}")),
    }
}
