//! Files that `torch.save` wrote before PyTorch 1.6, and writes on demand since: a magic number, a version,
//! what the machine was like, the dictionary of tensors and a list of keys, a pickle each; then, in the
//! order of the keys, the storages, each with its number of elements first. All is little-endian.

use std::collections::BTreeMap;

use thiserror::Error;

use super::pickle::{self, Pickle, PickleError, StorageSpec, TensorSpec, Value};
use crate::tensors::{Element, Tensor, Tensors, elements};

/// How such a file begins: protocol 2, a number of ten bytes, the end of the pickle.
const BEGINNING: [u8; 15] =
    [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];

/// The only version that there is.
const VERSION: i64 = 1001;

/// Why a file of torch cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum TorchError {
    #[error("a damaged pickle: {0}")]
    Pickle(#[from] PickleError),
    #[error("it does not begin as files of torch do")]
    Beginning,
    #[error("byte {at}: expected {expected}, found {found}")]
    Expected { at: usize, expected: &'static str, found: &'static str },
    #[error("the numbers of the file are big-endian")]
    BigEndian,
    #[error(
        "`{key}` is {found}; a dictionary of tensors by name is read\nhint: save the state dictionary only"
    )]
    NoTensor { key: String, found: &'static str },
    #[error("byte {at}: the storage `{key}` {reason}")]
    Storage { at: usize, key: String, reason: String },
    #[error("the tensor `{name}` {reason}")]
    Tensor { name: String, reason: &'static str },
    #[error("its tensors have more elements than its storages")]
    Shared,
    #[error("{0} bytes follow the last storage")]
    Rest(usize),
}

/// Whether a file is one, by its beginning.
pub(crate) fn recognizes(content: &[u8]) -> bool {
    content.starts_with(&BEGINNING)
}

/// The tensors of a file.
pub(crate) fn read(content: &[u8]) -> Result<Tensors<'_>, TorchError> {
    if !recognizes(content) {
        return Err(TorchError::Beginning);
    }
    let version = pickle::load(content, BEGINNING.len())?;
    if version.value != Value::Int(VERSION) {
        let (at, found) = (BEGINNING.len(), version.value.kind());
        return Err(TorchError::Expected { at, expected: "version 1001", found });
    }
    let system = pickle::load(content, version.end)?;
    let facts = system.dict(system.value).unwrap_or_default();
    if facts.contains(&(Value::Text("little_endian"), Value::Bool(false))) {
        return Err(TorchError::BigEndian);
    }
    let network = pickle::load(content, system.end)?;
    let keys = pickle::load(content, network.end)?;
    let storages = storages(content, &network, &keys)?;
    tensors(&network, system.end, &storages)
}

/// The bytes of all storages by key.
fn storages<'f>(
    content: &'f [u8],
    network: &Pickle<'f>,
    keys: &Pickle<'f>,
) -> Result<BTreeMap<&'f str, (&'f [u8], StorageSpec<'f>)>, TorchError> {
    let specs: BTreeMap<&str, StorageSpec> =
        network.storages().iter().map(|spec| (spec.key, *spec)).collect();
    let list = keys.list(keys.value).ok_or(TorchError::Expected {
        at: network.end,
        expected: "a list of keys",
        found: keys.value.kind(),
    })?;
    let mut at = keys.end;
    let mut storages = BTreeMap::new();
    for key in list {
        let Value::Text(key) = *key else {
            let (expected, found) = ("a key of a storage", key.kind());
            return Err(TorchError::Expected { at: network.end, expected, found });
        };
        let wrong = |reason: String| {
            let key = key.chars().take(100).collect();
            TorchError::Storage { at, key, reason }
        };
        let spec = specs.get(key).ok_or_else(|| wrong("belongs to no tensor".into()))?;
        let left = content.get(at..).unwrap_or_default();
        let (count, left) =
            left.split_first_chunk().ok_or_else(|| wrong("is not in the file".into()))?;
        let count = u64::from_le_bytes(*count);
        if count != spec.elements as u64 {
            let reason = format!("has {count} elements; {} are announced", spec.elements);
            return Err(wrong(reason));
        }
        let length = spec.elements.checked_mul(spec.element.bytes());
        let bytes = length.and_then(|length| left.get(..length)).ok_or_else(|| {
            wrong(format!("of {count} elements is longer than the {} bytes left", left.len()))
        })?;
        at += size_of::<u64>() + bytes.len();
        storages.insert(key, (bytes, *spec));
    }
    match content.len().saturating_sub(at) {
        0 => Ok(storages),
        rest => Err(TorchError::Rest(rest)),
    }
}

fn tensors<'f>(
    network: &Pickle<'f>,
    at: usize,
    storages: &BTreeMap<&str, (&'f [u8], StorageSpec<'f>)>,
) -> Result<Tensors<'f>, TorchError> {
    let items = network.dict(network.value).ok_or(TorchError::Expected {
        at,
        expected: "a dictionary of tensors",
        found: network.value.kind(),
    })?;
    // Tensors may share a storage, but a small file is not to become a large network.
    let mut left: usize = storages.values().map(|(_, storage)| storage.elements).sum();
    let mut tensors = Tensors::default();
    for (key, value) in items {
        let Value::Text(name) = *key else {
            let (expected, found) = ("the name of a tensor", key.kind());
            return Err(TorchError::Expected { at, expected, found });
        };
        let shown = || name.chars().take(100).collect();
        let tensor = match *value {
            Value::Tensor(id) => network.tensor(id),
            _ => None,
        };
        let (spec, storage) =
            tensor.ok_or_else(|| TorchError::NoTensor { key: shown(), found: value.kind() })?;
        let found = storages.get(storage.key).filter(|(_, spec)| spec == storage);
        let tensor = found.ok_or("has a storage that is not in the file").and_then(|(bytes, _)| {
            view(spec, storage.element, bytes).ok_or("lies outside of its storage")
        });
        left = elements(&spec.shape)
            .and_then(|elements| left.checked_sub(elements))
            .ok_or(TorchError::Shared)?;
        let tensor = tensor.map_err(|reason| TorchError::Tensor { name: shown(), reason })?;
        tensors.insert(name.to_owned(), tensor);
    }
    Ok(tensors)
}

/// The part of a storage that a tensor is. Kernels that were converted from other formats often do not
/// lie row by row.
fn view<'f>(spec: &TensorSpec, element: Element, storage: &'f [u8]) -> Option<Tensor<'f>> {
    let start = spec.offset.checked_mul(element.bytes())?;
    let bytes = storage.get(start..)?;
    Tensor::strided(element, spec.shape.clone(), spec.strides.clone(), bytes)
}
