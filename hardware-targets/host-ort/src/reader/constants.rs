//! The constants of a graph: how large they are, and where their elements lie.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
};

use half::f16;
use spacewright_core::model::sizes_as_text;

use super::{ReadError, external::External};
use crate::proto::{EXTERNAL, GraphProto, TensorProto, data_type};

/// The constants of a graph, whose elements are there.
pub(super) struct Constants<'g> {
    pub names: HashSet<&'g str>,
    /// Those of loops and branches included.
    pub bytes: u64,
    external: HashMap<&'g str, External>,
    /// Bytes that are used of other files, by their names.
    pub files: BTreeMap<String, u64>,
}

impl<'g> Constants<'g> {
    /// Looks at all of them; elements in other files are looked for beside the model.
    pub(super) fn of(graph: &'g GraphProto, model: Option<&Path>) -> Result<Self, ReadError> {
        let folder = model.map(|path| match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        });
        let mut constants = Self {
            names: graph.initializer.iter().map(|constant| constant.name.as_str()).collect(),
            bytes: 0,
            external: HashMap::new(),
            files: BTreeMap::new(),
        };
        for constant in with_bodies(graph).into_iter().flat_map(|graph| &graph.initializer) {
            let external = External::of(constant, folder)?;
            let bytes = external.as_ref().map_or_else(|| bytes(constant), |other| other.length);
            check_bytes(constant, bytes)?;
            constants.bytes = constants.bytes.saturating_add(bytes);
            if let Some(external) = external {
                let used = constants.files.entry(external.location.clone()).or_default();
                *used = used.saturating_add(bytes);
                constants.external.insert(&constant.name, external);
            }
        }
        Ok(constants)
    }

    /// The bytes of a constant of 8-bit integers.
    pub(super) fn read(&self, constant: &TensorProto) -> Vec<u8> {
        match self.external.get(constant.name.as_str()) {
            Some(external) => external.read().unwrap_or_default(),
            None if constant.raw_data.is_empty() => {
                constant.int32_data.iter().map(|integer| *integer as u8).collect()
            }
            None => constant.raw_data.clone(),
        }
    }
}

/// A graph, and those of its loops and branches.
pub(super) fn with_bodies(graph: &GraphProto) -> Vec<&GraphProto> {
    let mut graphs = vec![graph];
    let mut at = 0;
    while let Some(graph) = graphs.get(at) {
        let attributes = graph.node.iter().flat_map(|node| &node.attribute);
        graphs
            .extend(attributes.filter_map(|attribute| attribute.g.as_deref()).collect::<Vec<_>>());
        at += 1;
    }
    graphs
}

/// That a constant has as many bytes as its shape says, where its type has a size.
fn check_bytes(constant: &TensorProto, found: u64) -> Result<(), ReadError> {
    let packed = constant.data_location == EXTERNAL || !constant.raw_data.is_empty();
    let Some(width) = data_type::bytes(constant.data_type).filter(|_| packed || found == 0) else {
        return Ok(());
    };
    let negative = constant.dims.iter().any(|size| *size < 0);
    let sizes = constant.dims.iter().map(|size| u128::from(size.unsigned_abs()));
    let expected = sizes.fold(u128::from(width), u128::saturating_mul);
    if expected == u128::from(found) && !negative {
        return Ok(());
    }
    Err(ReadError::Constant {
        constant: constant.name.clone(),
        element: data_type::name(constant.data_type),
        shape: sizes_as_text(&constant.dims),
        found,
        expected,
    })
}

/// Size of a constant in a file that packs its elements.
fn bytes(constant: &TensorProto) -> u64 {
    let TensorProto { raw_data, float_data, int32_data, int64_data, .. } = constant;
    let width = usize::from(data_type::bytes(constant.data_type).unwrap_or(4).min(4));
    let elements = 4 * float_data.len() + width * int32_data.len() + 8 * int64_data.len();
    (raw_data.len() + elements) as u64
}

/// The elements of a constant of real numbers.
pub(super) fn floats(constant: &TensorProto) -> Vec<f32> {
    let bytes = &constant.raw_data;
    match constant.data_type {
        data_type::FLOAT16 => {
            let half = |b: &[u8]| f16::from_le_bytes([b[0], b[1]]).to_f32();
            bytes.chunks_exact(2).map(half).collect()
        }
        data_type::FLOAT if bytes.is_empty() => constant.float_data.clone(),
        data_type::FLOAT => {
            bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
        }
        _ => Vec::new(),
    }
}

/// The first element of a constant of integers.
pub(super) fn first_integer(constant: &TensorProto) -> Option<i64> {
    let first = constant.raw_data.first().map(|byte| match constant.data_type {
        data_type::INT8 => i64::from(*byte as i8),
        _ => i64::from(*byte),
    });
    first.or(constant.int32_data.first().copied().map(i64::from))
}
