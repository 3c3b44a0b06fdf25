//! Checkpoints: safetensors files with a checksum behind them, replaced as a whole.

use std::{fs, io::Write, path::Path};

use safetensors::SafeTensors;
use spacewright_core::{
    sealed::{seal, unseal},
    train::TrainError,
};
use tch::{TchError, Tensor};

use crate::params::{NamedTensors, beside};

/// Writes tensors: temporary file, sync, rename.
pub fn save<S: AsRef<str>>(path: &Path, tensors: &[(S, Tensor)]) -> Result<(), TrainError> {
    let temporary = beside(path)?;
    Tensor::write_safetensors(tensors, &temporary)
        .map_err(|error| TrainError::file(path, error))?;
    let sealed = || {
        let bytes = seal(fs::read(&temporary)?);
        let mut file = fs::File::create(&temporary)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    sealed().map_err(|error| TrainError::file(path, error))
}

/// Reads what [`save`] wrote. `None` where there is none, or where it is damaged, of which there is a
/// warning: training then starts anew.
pub fn load(path: &Path) -> Result<Option<NamedTensors>, TrainError> {
    if !path.exists() {
        return Ok(None);
    }
    let bytes = fs::read(path).map_err(|error| TrainError::file(path, error))?;
    let Some(content) = unseal(&bytes) else {
        tracing::warn!("{}: damaged; the task starts anew", path.display());
        return Ok(None);
    };
    let tensors =
        SafeTensors::deserialize(content).map_err(|error| TrainError::file(path, error))?;
    let tensor = |(name, view)| Ok::<_, TchError>((name, Tensor::try_from(view)?));
    let tensors = tensors.tensors().into_iter().map(tensor).collect::<Result<_, _>>();
    let tensors = tensors.map_err(|error| TrainError::file(path, error))?;
    Ok(Some(NamedTensors { path: path.to_owned(), tensors }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_checkpoint_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/checkpoint.safetensors");
        assert!(load(&path).unwrap().is_none());
        save(&path, &[("a", Tensor::from_slice(&[1.5f32, 2.5]))]).unwrap();
        let mut file = load(&path).unwrap().unwrap();
        assert_eq!(Vec::<f32>::try_from(file.take("a").unwrap()).unwrap(), [1.5, 2.5]);
        let good = fs::read(&path).unwrap();
        for byte in [0, 9, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[byte] ^= 4;
            fs::write(&path, bad).unwrap();
            assert!(load(&path).unwrap().is_none());
        }
        fs::write(&path, &good[..good.len() - 7]).unwrap();
        assert!(load(&path).unwrap().is_none());
    }
}
