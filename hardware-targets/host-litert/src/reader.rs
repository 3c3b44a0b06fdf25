//! Networks out of TFLite files, and what LiteRT computes of them.

use spacewright_core::{
    foreign::{ModelFile, OpenSizes},
    graph::Graph,
    import::{ImportError, ImportedNetwork, NetworkReader},
    target::{Runtime, TargetError},
};
use spacewright_tflite::{Wanted, import, is_tflite};

use crate::{runtime::LiteRtRuntime, target::NAME};

/// Reads networks out of TFLite files.
#[derive(Debug, Clone, Copy, Default)]
pub struct TfliteReader;

impl NetworkReader for TfliteReader {
    fn format(&self) -> &str {
        "TFLite"
    }

    fn recognizes(&self, file: &ModelFile<'_>) -> bool {
        is_tflite(file.content)
    }

    fn read(&self, file: &ModelFile<'_>, _: &OpenSizes) -> Result<ImportedNetwork, ImportError> {
        import(file.content, Wanted::Weights)
    }

    fn structure(&self, file: &ModelFile<'_>, _: &OpenSizes) -> Result<Graph, ImportError> {
        import(file.content, Wanted::Structure).map(|network| network.graph)
    }

    fn run(
        &self,
        file: &ModelFile<'_>,
        _: &OpenSizes,
        images: &[Vec<f32>],
    ) -> Result<Option<Vec<Vec<f32>>>, ImportError> {
        let run = || {
            let mut loaded = LiteRtRuntime::new(NAME)?.load(file.content)?;
            images.iter().map(|image| loaded.run(image)).collect::<Result<_, TargetError>>()
        };
        run().map(Some).map_err(|error| ImportError::Run(error.reason.to_string()))
    }
}
