//! A small hyperspace for tests.

use super::Hyperspace;

/// Two choice stages and three candidates, one of which has axes that no published block has.
pub(crate) fn hyperspace() -> Hyperspace {
    toml::from_str(TOY).unwrap()
}

pub(crate) const TOY: &str = r#"
name = "toy"
input_channels = 1
classes = 10
resolutions = [32, 48]
table_resolutions = [32]

[[stem]]
name = "stem"
stride = 1
widths = [8]
depths = [1, 1]
block = "plain"
activation = "relu"
choices = { kernel = [3] }

[[candidate]]
block = "plain"
activation = "relu"
choices = { kernel = [3, 5] }

[[candidate]]
block = "wide"
activation = "relu6"
choices = { kernel = [3, 5], expand = [0.5, 1.0] }

[[candidate]]
block = "odd"
activation = "relu"
choices = { kernel = [3], split_ratio = [0.25, 0.5], taps = [1, 2] }

[[stage]]
name = "stage1"
stride = 2
widths = [16, 24, 32]
window = 2
depths = [1, 2]

[[stage]]
name = "stage2"
stride = 2
widths = [24, 32, 40, 48, 56]
window = 2
depths = [1, 3]

[[head]]
name = "logits"
block = "classify"
activation = "relu"
width = 10
"#;
