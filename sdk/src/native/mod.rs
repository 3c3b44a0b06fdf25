//! Plugins as native libraries: what [`export!`](crate::export) makes of a plugin with the
//! feature `native`, and what programs and libraries say to each other.
//!
//! A library exports one *root module* ([`abi`]), whose functions take and give bytes. The bytes
//! are [`protocol::Request`]s and [`protocol::Answer`]s.

pub mod abi;
pub mod protocol;
#[cfg(any(feature = "native", test))]
#[cfg_attr(not(feature = "native"), allow(dead_code))]
mod serve;
