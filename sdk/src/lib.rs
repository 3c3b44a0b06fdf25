//! What a plugin author depends on: the traits of [`spacewright_core`] and the registration of
//! built-in plugins.
//!
//! A plugin is a crate with implementations of those traits and one line for each kind of thing
//! that it offers:
//!
//! ```
//! use std::sync::Arc;
//!
//! use spacewright_sdk::core::quant::{ActivationRange, Quantizer, TensorStats, WeightRange};
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
//!     fn activations(&self, items: &[(TensorStats, ActivationRange)]) -> Vec<(f32, f32)> {
//!         items.iter().map(|_| (0.02, 0.0)).collect()
//!     }
//!     fn weights(&self, channels: &[TensorStats], _: WeightRange) -> Vec<f32> {
//!         vec![0.01; channels.len()]
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

mod registry;

pub use inventory;
pub use registry::{Item, Registration, registrations};
pub use spacewright_core as core;
