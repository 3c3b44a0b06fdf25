//! The formats as readers of networks.

use spacewright_core::{
    foreign::{ModelFile, OpenSizes},
    import::{ImportError, ImportedNetwork, NetworkReader},
};

use crate::{
    containers::{legacy_torch, safetensors},
    import,
};

/// How archives begin, as `torch.save` writes them since PyTorch 1.6.
const ZIP: &[u8] = b"PK\x03\x04";

/// Reads safetensors files.
pub struct Safetensors;

/// Reads files of `torch.save` before PyTorch 1.6; newer ones are refused with a hint.
pub struct TorchFile;

impl NetworkReader for Safetensors {
    fn format(&self) -> &str {
        "safetensors"
    }

    fn recognizes(&self, file: &ModelFile<'_>) -> bool {
        safetensors::recognizes(file.content)
    }

    fn read(
        &self,
        file: &ModelFile<'_>,
        sizes: &OpenSizes,
    ) -> Result<ImportedNetwork, ImportError> {
        let tensors = safetensors::read(file.content)
            .map_err(|error| ImportError::Unreadable(error.to_string()))?;
        import::network(&tensors, file.path, sizes)
    }
}

impl NetworkReader for TorchFile {
    fn format(&self) -> &str {
        "PyTorch"
    }

    fn recognizes(&self, file: &ModelFile<'_>) -> bool {
        legacy_torch::recognizes(file.content) || file.content.starts_with(ZIP)
    }

    fn read(
        &self,
        file: &ModelFile<'_>,
        sizes: &OpenSizes,
    ) -> Result<ImportedNetwork, ImportError> {
        if file.content.starts_with(ZIP) {
            return Err(ImportError::Unreadable(
                "archives of torch are not read\nhint: save the state dictionary with safetensors, or export \
                 the network as ONNX"
                    .into(),
            ));
        }
        let tensors = legacy_torch::read(file.content)
            .map_err(|error| ImportError::Unreadable(error.to_string()))?;
        import::network(&tensors, file.path, sizes)
    }
}
