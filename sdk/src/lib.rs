//! What a plugin author depends on: the traits of [`spacewright_core`], what a plugin is
//! ([`spacewright_plugin`]), and what makes a component or a native library of it ([`export!`]).
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
mod log;
#[cfg(all(any(feature = "native", test), not(target_arch = "wasm32")))]
pub mod native;
pub mod prelude;

#[doc(hidden)]
pub use export::Provide;
pub use log::log;
#[doc(hidden)]
pub use spacewright_plugin::text;
pub use spacewright_plugin::{
    About, BuiltInItem, INTERFACE, Kind, NoSource, Plugin, Registration, UnknownKind, WIT, about,
    core, inventory, register, registrations, serde_json,
};
