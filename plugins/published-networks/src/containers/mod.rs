//! Files that hold named tensors.

pub(crate) mod legacy_torch;
pub(crate) mod pickle;
pub(crate) mod safetensors;
