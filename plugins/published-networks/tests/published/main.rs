//! Files of published networks, made of the layers that timm gives its networks (`timm/`, a file
//! each), read and counted, computed, refused.

mod architectures;
mod files;
mod outputs;
mod refusals;
