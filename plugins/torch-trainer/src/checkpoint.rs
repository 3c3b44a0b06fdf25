//! Checkpoints: safetensors files with a checksum behind them, replaced as a whole.

use std::{borrow::Cow, fs, path::Path};

use safetensors::{Dtype, SafeTensors, View};
use spacewright_core::{
    sealed::{seal, unseal},
    train::{AnyError, TrainError},
};
use tch::{TchError, Tensor};

use crate::{
    params::{NamedTensors, in_file},
    replace::replace,
};

/// Writes tensors, in place of what was kept before.
pub fn save<S: AsRef<str>>(path: &Path, tensors: &[(S, Tensor)]) -> Result<(), TrainError> {
    let content = content(tensors).map_err(|error| TrainError::file(path, error))?;
    let sealed = seal(content);
    replace(path, |beside| fs::write(beside, &sealed))
}

/// What a safetensors file of tensors holds.
fn content<S: AsRef<str>>(tensors: &[(S, Tensor)]) -> Result<Vec<u8>, AnyError> {
    let parts = tensors
        .iter()
        .map(|(name, tensor)| Ok::<(&str, Part), TchError>((name.as_ref(), Part::new(tensor)?)))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(safetensors::serialize(parts, &None)?)
}

/// A tensor in such a file.
struct Part {
    tensor: Tensor,
    kind: Dtype,
    shape: Vec<usize>,
}

impl Part {
    fn new(tensor: &Tensor) -> Result<Self, TchError> {
        let tensor = in_file(tensor);
        let shape = tensor.size().into_iter().map(|size| size as usize).collect();
        Ok(Self { kind: tensor.kind().try_into()?, shape, tensor })
    }
}

impl View for Part {
    fn dtype(&self) -> Dtype {
        self.kind
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut data = vec![0; self.data_len()];
        self.tensor.copy_data_u8(&mut data, self.tensor.numel());
        data.into()
    }

    fn data_len(&self) -> usize {
        self.tensor.numel() * self.kind.size()
    }
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

    #[test]
    fn the_content_is_what_the_library_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let tensors = [
            ("step", Tensor::from_slice(&[3i64])),
            ("p.b", Tensor::from_slice(&[1.5f32, 2.5, -1.0, 0.0]).view([2, 2])),
            ("p.a", Tensor::from_slice(&[0.5f32])),
            ("loss", Tensor::from_slice(&[f64::NAN])),
        ];
        Tensor::write_safetensors(&tensors, &path).unwrap();
        assert_eq!(content(&tensors).unwrap(), fs::read(&path).unwrap());
    }
}
