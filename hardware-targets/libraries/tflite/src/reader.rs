//! What a TFLite file holds, whoever wrote it.

use std::collections::BTreeMap;

use flatbuffers::{ForwardsUOffset, InvalidFlatbuffer, Vector};
use spacewright_core::model::{ModelSummary, OperatorSummary, TensorSummary};
use thiserror::Error;

use crate::{
    operators,
    schema::{
        Buffer, IDENTIFIER, Model, NamedTensor, Operator, OperatorCode, SubGraph, Tensor, root,
    },
};

/// Why a TFLite file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadError {
    /// Another format.
    #[error("this is no TFLite file: its fifth to eighth letters are not TFL3")]
    Format,
    /// Damaged, or cut off: not a flatbuffer of TFLite's schema.
    #[error("this TFLite file is damaged: {}", first_line(.0))]
    Flatbuffer(#[from] InvalidFlatbuffer),
    /// It lacks a part that every model has.
    #[error("this TFLite file is damaged: it has no {part}")]
    Missing {
        /// The part.
        part: &'static str,
    },
    /// It names an entry of a list by a position that the list does not have.
    #[error("this TFLite file is damaged: {list} {position} of {length}")]
    Position {
        /// What the list holds.
        list: &'static str,
        /// The position, from 0.
        position: usize,
        /// How many entries the list has.
        length: usize,
    },
}

/// The first line of a message whose other lines trace the way through the schema.
fn first_line(error: &InvalidFlatbuffer) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// Reads a file: everything but the data of its constants.
pub fn read(file: &[u8]) -> Result<ModelSummary, ReadError> {
    if file.get(4..8) != Some(IDENTIFIER.as_bytes()) {
        return Err(ReadError::Format);
    }
    let model = root(file)?;
    let graphs = model.subgraphs().filter(|graphs| !graphs.is_empty());
    let graphs = graphs.ok_or(ReadError::Missing { part: "graph" })?;
    let graph = Graph::new(model, graphs.get(0))?;
    let signature = model.signatures().filter(|list| !list.is_empty()).map(|list| list.get(0));
    let (ins, outs) = (signature.and_then(|s| s.inputs()), signature.and_then(|s| s.outputs()));
    let mut operators = Vec::new();
    if let Some(list) = graph.graph.operators() {
        for operator in list.iter() {
            operators.push(graph.operator(operator)?);
        }
    }
    Ok(ModelSummary {
        format: "tflite".into(),
        name: graph.graph.name().unwrap_or_default().to_owned(),
        metadata: metadata(model, &graph.buffers)?,
        inputs: graph.named(graph.graph.inputs(), ins)?,
        outputs: graph.named(graph.graph.outputs(), outs)?,
        operators,
        constants_bytes: graph.constants(),
        file_bytes: file.len(),
    })
}

type Tables<'f, T> = Vector<'f, ForwardsUOffset<T>>;

/// An error where a list of this length has no such position.
fn check_position(list: &'static str, position: usize, length: usize) -> Result<(), ReadError> {
    if position < length { Ok(()) } else { Err(ReadError::Position { list, position, length }) }
}

struct Graph<'f> {
    graph: SubGraph<'f>,
    tensors: Tables<'f, Tensor<'f>>,
    codes: Tables<'f, OperatorCode<'f>>,
    buffers: Tables<'f, Buffer<'f>>,
}

impl<'f> Graph<'f> {
    fn new(model: Model<'f>, graph: SubGraph<'f>) -> Result<Self, ReadError> {
        let missing = |part| ReadError::Missing { part };
        let tensors = graph.tensors().ok_or(missing("tensors"))?;
        let codes = model.operator_codes().ok_or(missing("operator codes"))?;
        let buffers = model.buffers().ok_or(missing("buffers"))?;
        Ok(Self { graph, tensors, codes, buffers })
    }

    fn operator(&self, operator: Operator<'f>) -> Result<OperatorSummary, ReadError> {
        let place = operator.code().unwrap_or(0) as usize;
        check_position("operator code", place, self.codes.len())?;
        let code = self.codes.get(place);
        // Old files have the older field only.
        let number = code.kind().unwrap_or(0).max(i32::from(code.old_kind().unwrap_or(0)));
        let kind = match (code.custom(), operators::name(number)) {
            (Some(custom), _) => custom.to_owned(),
            (None, Some(name)) => name.to_owned(),
            (None, None) => format!("BUILTIN_{number}"),
        };
        let outputs = self.tensors_of(operator.outputs())?;
        let name = outputs.first().map(|tensor| tensor.name.clone()).unwrap_or_default();
        Ok(OperatorSummary { kind, name, inputs: self.tensors_of(operator.inputs())?, outputs })
    }

    fn tensors_of(&self, places: Option<Vector<'f, i32>>) -> Result<Vec<TensorSummary>, ReadError> {
        let places = places.iter().flat_map(|places| places.iter()).filter(|place| *place >= 0);
        places.map(|place| self.tensor(place as usize)).collect()
    }

    /// Inputs or outputs under the names of a signature.
    fn named(
        &self,
        places: Option<Vector<'f, i32>>,
        names: Option<Tables<'f, NamedTensor<'f>>>,
    ) -> Result<Vec<TensorSummary>, ReadError> {
        let mut tensors = self.tensors_of(places)?;
        for (place, tensor) in places.iter().flat_map(|places| places.iter()).zip(&mut tensors) {
            let named = names.iter().flat_map(|names| names.iter());
            let same = |named: &NamedTensor<'_>| {
                i64::from(named.tensor().unwrap_or(0)) == i64::from(place)
            };
            if let Some(name) = named.filter(same).find_map(|named| named.name()) {
                name.clone_into(&mut tensor.name);
            }
        }
        Ok(tensors)
    }

    fn tensor(&self, place: usize) -> Result<TensorSummary, ReadError> {
        check_position("tensor", place, self.tensors.len())?;
        let tensor = self.tensors.get(place);
        let buffer = tensor.buffer().unwrap_or(0) as usize;
        let quantization = tensor.quantization();
        let scales = quantization.and_then(|q| q.scale()).map(|scales| scales.iter().collect());
        let zero_points = quantization.and_then(|q| q.zero_point());
        Ok(TensorSummary {
            name: tensor.name().unwrap_or_default().to_owned(),
            element: element(tensor.element().unwrap_or(0)),
            shape: shape(tensor),
            constant: buffer < self.buffers.len()
                && self.buffers.get(buffer).data().is_some_and(|data| !data.is_empty()),
            scales: scales.unwrap_or_default(),
            zero_point: zero_points.and_then(|zeros| zeros.iter().next()),
        })
    }

    /// Bytes of all constants of the graph, each counted once.
    fn constants(&self) -> usize {
        let used = self.tensors.iter().filter_map(|tensor| tensor.buffer());
        let used: std::collections::BTreeSet<usize> = used.map(|place| place as usize).collect();
        let of = |place: usize| (place < self.buffers.len()).then(|| self.buffers.get(place));
        used.into_iter().filter_map(of).filter_map(|buffer| buffer.data()).map(|d| d.len()).sum()
    }
}

fn metadata<'f>(
    model: Model<'f>,
    buffers: &Tables<'f, Buffer<'f>>,
) -> Result<BTreeMap<String, String>, ReadError> {
    let entries = model.metadata().into_iter().flat_map(|entries| entries.iter());
    entries
        .map(|entry| {
            let place = entry.buffer().unwrap_or(0) as usize;
            check_position("metadata in buffer", place, buffers.len())?;
            let data = buffers.get(place).data().map(|data| data.bytes()).unwrap_or_default();
            let text = match std::str::from_utf8(data) {
                Ok(text) => text.to_owned(),
                Err(_) => format!("{} bytes", data.len()),
            };
            Ok((entry.name().unwrap_or_default().to_owned(), text))
        })
        .collect()
}

/// Sizes, -1 where they are open.
fn shape(tensor: Tensor<'_>) -> Vec<i64> {
    let sizes = |list: Option<Vector<'_, i32>>| -> Vec<i64> {
        list.iter().flat_map(|sizes| sizes.iter()).map(i64::from).collect()
    };
    let (shape, open) = (sizes(tensor.shape()), sizes(tensor.signature()));
    if open.len() == shape.len() { open } else { shape }
}

/// Name of a `TensorType` of the schema.
fn element(number: i8) -> String {
    const NAMES: [&str; 19] = [
        "float32",
        "float16",
        "int32",
        "uint8",
        "int64",
        "string",
        "bool",
        "int16",
        "complex64",
        "int8",
        "float64",
        "complex128",
        "uint64",
        "resource",
        "variant",
        "uint32",
        "uint16",
        "int4",
        "bfloat16",
    ];
    let name = usize::try_from(number).ok().and_then(|number| NAMES.get(number));
    name.map_or_else(|| format!("type {number}"), |name| (*name).to_owned())
}
