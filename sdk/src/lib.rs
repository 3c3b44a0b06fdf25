//! What a plugin author depends on: the traits of [`spacewright_core`] and the registration of
//! built-in plugins.

mod registry;

pub use inventory;
pub use registry::{Item, Registration, registrations};
pub use spacewright_core as core;
