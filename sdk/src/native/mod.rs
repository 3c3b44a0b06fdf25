//! Plugins as native libraries: what [`export!`](crate::export) makes of a plugin with the
//! feature `native`.

#[cfg(feature = "native")]
mod exports;
mod serve;

#[cfg(feature = "native")]
pub(crate) use exports::log;
#[cfg(feature = "native")]
pub use exports::{LibHeader, header};
pub use spacewright_plugin::native::{abi, protocol};
