//! `[rivals]`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;
use spacewright_core::study::Section;

/// The spaces that `bench` compares with the one that was found; trained as the section `train`
/// says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct RivalSettings {
    /// Encoding of the random space; empty: drawn uniformly with the seed.
    pub random: String,
    /// Encodings, or block types, each of which stands for its uniform space with the best score;
    /// those that the hyperspace lacks are left out.
    #[default(["mobilenet-v2-res", "mobilenet-v3-res", "resnet"].map(str::to_owned).into())]
    pub manual: Vec<String>,
}

impl Section for RivalSettings {
    const NAME: &'static str = "rivals";
}
