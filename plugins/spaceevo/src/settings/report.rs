//! `[report]`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spacewright_core::{
    data::{Normalize, Transform, check_judging},
    study::{FieldError, Reference, Referred, Section},
    train::Phase,
};

/// The report: networks from outside that stand beside those of the study.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReportSettings {
    /// Folders of trained networks for the same classes, as `spacewright model import` makes them, relative to the
    /// study. They are quantized, measured and judged as the study's networks are.
    pub rivals: Vec<String>,
    /// How rivals are trained with quantizers, to answer as they do without; none: not at all.
    pub rival_training: Option<Phase>,
    /// How their images are made ready, normalization included; none: as those of the study's networks.
    pub rival_transforms: Vec<Transform>,
}

impl Section for ReportSettings {
    const NAME: &'static str = "report";

    fn check(&self) -> Result<(), FieldError> {
        const FIELD: &str = "rival_transforms";
        check_judging(&self.rival_transforms).map_err(|error| {
            FieldError::refused(Self::NAME, FIELD, error.to_string(), "see docs/data.md")
        })?;
        match self.rival_transforms.last() {
            Some(Transform::Normalize(Normalize { mean, std }))
                if mean.is_empty() || std.is_empty() =>
            {
                let reason = "a network from outside has a mean and a deviation of its own";
                let hint = "normalize = { mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225] }, say";
                Err(FieldError::refused(Self::NAME, FIELD, reason.to_owned(), hint))
            }
            _ => Ok(()),
        }
    }

    fn references(&self) -> Vec<Reference> {
        let network = |folder: &String| Reference::new("rivals", Referred::Network(folder.clone()));
        self.rivals.iter().map(network).collect()
    }
}
