//! What crosses to native libraries. A library exports one *root module* ([`abi`]), whose
//! functions take and give bytes. The bytes are [`protocol::Request`]s and
//! [`protocol::Answer`]s.

pub mod abi;
pub mod protocol;
