//! What a plugin is, whichever way it is carried: what it can offer ([`Kind`], [`Plugin`]), how it
//! is linked into the program ([`register!`]), and what crosses between the program and a plugin
//! that it loads ([`component`], `native`).
//!
//! Authors of plugins depend on `spacewright-sdk`, which has all of this and what makes a plugin of
//! their code.

mod built_in;
pub mod component;
mod kind;
#[cfg(all(feature = "native-protocol", not(target_arch = "wasm32")))]
pub mod native;
mod plugin;
#[doc(hidden)]
pub mod text;

pub use built_in::{Registration, registrations};
pub use inventory;
#[doc(hidden)]
pub use kind::Held;
pub use kind::{BuiltInItem, Kind, LoadItems, Plugin, UnknownKind};
pub use plugin::{About, INTERFACE, NoSource, WIT};
pub use serde_json;
pub use spacewright_core as core;
