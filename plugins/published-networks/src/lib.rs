//! Trained networks as others publish them, read into op graphs: weights by name, in safetensors files
//! or in old files of PyTorch.
//!
//! Such files hold tensors and their names, but not what is computed with them. Three parts make a
//! network of them:
//!
//! * `containers` reads a file into named tensors, whose data stay where they are. Nothing that a
//!   file says is believed unchecked, and nothing in it is run.
//! * `resnet` and `mobile` know the published families. Each asks a `draft` for the tensors that its
//!   layers need; what kernels, widths, depths and expansions there are, the shapes say. What no shape
//!   says, such as strides and activations, is the family's, and stands in its table with the paper.
//! * `import` takes the family that fits the tensors without a difference. Where none does, the error
//!   names every tensor in which the nearest one differs.
//!
//! | family | names | paper |
//! |---|---|---|
//! | ResNet | timm, torchvision | He et al. 2015, arXiv 1512.03385 |
//! | MobileNetV2 | timm | Sandler et al. 2018, arXiv 1801.04381 |
//! | MobileNetV3 | timm | Howard et al. 2019, arXiv 1905.02244 |
//! | EfficientNet | timm | Tan and Le 2019, arXiv 1905.11946 |
//! | EfficientNet-Lite | timm, `efficientnet_lite_pytorch` | the same |
//!
//! # Padding as in TensorFlow
//!
//! Networks that were trained with TensorFlow pad unevenly, and add 1e-3 to variances instead of 1e-5.
//! timm has them as `tf_efficientnet_b0` beside `efficientnet_b0`, with tensors of equal names and
//! shapes. A file is taken as such a one
//!
//! 1. where the metadata of its header, or `config.json` beside it, name it as `architecture`,
//! 2. or else where its file name starts with `tf_`,
//! 3. or where it has the names of the package `efficientnet_lite_pytorch`, which has no others.
//!
//! All others are taken as plain ones, and a note says so.
//!
//! # Inputs
//!
//! The side of the input is the published one of the variant, unless the size `side` is given. Files
//! do not say how pixels become inputs: timm's plain networks take (x / 255 − mean) / deviation of
//! ImageNet, `efficientnet_lite_pytorch` takes (x − 127) / 128, both in the order red, green, blue.

mod containers;
mod draft;
mod import;
mod mobile;
mod reader;
mod resnet;
mod tensors;

use std::sync::Arc;

use spacewright_core::import::NetworkReader;

pub use reader::{Safetensors, TorchFile};

/// What reads networks of others.
pub fn readers() -> Vec<Arc<dyn NetworkReader>> {
    vec![Arc::new(Safetensors), Arc::new(TorchFile)]
}

spacewright_sdk::register!("published-networks", NetworkReaders, readers);
