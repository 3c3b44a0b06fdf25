//! host-ort
pub mod proto;
pub mod writer;
