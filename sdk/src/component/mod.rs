//! Plugins as WebAssembly components: what [`export!`](crate::export) makes of a plugin when it
//! is compiled for `wasm32-unknown-unknown`.

#[cfg(target_arch = "wasm32")]
mod exports;

#[cfg(target_arch = "wasm32")]
pub use exports::*;
