//! What a TFLite file holds, whoever wrote it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use flatbuffers::{ForwardsUOffset, InvalidFlatbuffer, Vector};
use spacewright_core::{
    foreign::shortened,
    model::{ModelSummary, OperatorSummary, Scales, TensorSummary, operator_label},
};
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
    /// A list of inputs or outputs that is longer than that of all tensors.
    #[error("this TFLite file is damaged: {found} inputs or outputs of {tensors} tensors")]
    Repeated {
        /// How long it is.
        found: usize,
        /// How many tensors there are.
        tensors: usize,
    },
    /// A constant that lies behind the end of the file.
    #[error("this TFLite file is damaged: a constant ends at byte {end} of {size}")]
    Short {
        /// Where it ends.
        end: u128,
        /// Size of the file.
        size: usize,
    },
}

/// The first line of a message whose other lines trace the way through the schema.
fn first_line(error: &InvalidFlatbuffer) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// Whether a file calls itself one of TFLite.
pub fn is_tflite(file: &[u8]) -> bool {
    file.get(4..8) == Some(IDENTIFIER.as_bytes())
}

/// Reads a file: everything but the data of its constants.
pub fn read(file: &[u8]) -> Result<ModelSummary, ReadError> {
    if !is_tflite(file) {
        return Err(ReadError::Format);
    }
    let model = root(file)?;
    let graphs = model.subgraphs().filter(|graphs| !graphs.is_empty());
    let graphs = graphs.ok_or(ReadError::Missing { part: "graph" })?;
    let graph = Graph::new(model, graphs.get(0), file.len())?;
    let signature = model.signatures().filter(|list| !list.is_empty()).map(|list| list.get(0));
    let (ins, outs) = (signature.and_then(|s| s.inputs()), signature.and_then(|s| s.outputs()));
    let list = graph.graph.operators();
    let operators = list.iter().flat_map(|list| list.iter());
    let operators: Vec<OperatorSummary> =
        operators.map(|operator| graph.operator(operator)).collect::<Result<_, _>>()?;
    let tensors: Vec<TensorSummary> =
        graph.tensors.iter().map(|tensor| graph.tensor(tensor)).collect::<Result<_, _>>()?;
    let ends = |places: Option<Vector<'_, i32>>| -> Result<Vec<usize>, ReadError> {
        let places = graph.places(places)?;
        let (found, tensors) = (places.len(), tensors.len());
        if found <= tensors { Ok(places) } else { Err(ReadError::Repeated { found, tensors }) }
    };
    let (inputs, outputs) = (ends(graph.graph.inputs())?, ends(graph.graph.outputs())?);
    let mut summary = ModelSummary {
        format: "tflite".into(),
        name: graph.graph.name().unwrap_or_default().to_owned(),
        metadata: metadata(model, &graph.buffers, file.len())?,
        inputs: named(&tensors, &inputs, ins),
        outputs: named(&tensors, &outputs, outs),
        custom_operators: graph.custom(),
        constants_bytes: graph.constants()?,
        file_bytes: file.len() as u64,
        operators,
        tensors,
        ..ModelSummary::default()
    };
    summary.float_operators = float_operators(&summary, &inputs, &outputs);
    Ok(summary)
}

/// Operators with real inputs or outputs, but for conversions at the ends, of constants, and those
/// that quantize their real input while they run, for weights of 8 bits and less.
fn float_operators(summary: &ModelSummary, inputs: &[usize], outputs: &[usize]) -> Vec<String> {
    let tensor = |place: &usize| &summary.tensors[*place];
    let (inputs, outputs): (BTreeSet<&usize>, BTreeSet<&usize>) =
        (inputs.iter().collect(), outputs.iter().collect());
    let is_float = |operator: &&OperatorSummary| {
        let read: Vec<&usize> =
            operator.inputs.iter().filter(|place| !tensor(place).constant).collect();
        let real = read.iter().any(|place| tensor(place).is_real())
            || operator.outputs.iter().any(|place| tensor(place).is_real());
        let dynamic = || {
            let weights = operator.inputs.iter().map(tensor).filter(|t| t.constant);
            let mut small =
                weights.filter(|w| ["int8", "uint8", "int4", "int2"].contains(&&*w.element));
            operators::has_weights(&operator.kind) && small.next().is_some()
        };
        real && match operator.kind.as_str() {
            "QUANTIZE" => !read.iter().all(|place| inputs.contains(place)),
            "DEQUANTIZE" => {
                !read.is_empty() && !operator.outputs.iter().all(|place| outputs.contains(place))
            }
            "RESHAPE" => false,
            _ => !dynamic(),
        }
    };
    let label =
        |operator: &OperatorSummary| operator_label(&operator.kind, summary.name_of(operator));
    summary.operators.iter().filter(is_float).map(label).collect()
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
    /// Size of the file.
    size: usize,
}

impl<'f> Graph<'f> {
    fn new(model: Model<'f>, graph: SubGraph<'f>, size: usize) -> Result<Self, ReadError> {
        let missing = |part| ReadError::Missing { part };
        let tensors = graph.tensors().ok_or(missing("tensors"))?;
        let codes = model.operator_codes().ok_or(missing("operator codes"))?;
        let buffers = model.buffers().ok_or(missing("buffers"))?;
        Ok(Self { graph, tensors, codes, buffers, size })
    }

    fn operator(&self, operator: Operator<'f>) -> Result<OperatorSummary, ReadError> {
        let place = operator.code().unwrap_or(0) as usize;
        check_position("operator code", place, self.codes.len())?;
        Ok(OperatorSummary {
            kind: kind(self.codes.get(place)),
            name: String::new(),
            inputs: self.places(operator.inputs())?,
            outputs: self.places(operator.outputs())?,
        })
    }

    /// Positions of tensors; those that are left out are negative in the file.
    fn places(&self, places: Option<Vector<'f, i32>>) -> Result<Vec<usize>, ReadError> {
        let places = places.iter().flat_map(|places| places.iter());
        let places = places.filter_map(|place| usize::try_from(place).ok());
        let checked = |place| {
            check_position("tensor", place, self.tensors.len())?;
            Ok(place)
        };
        places.map(checked).collect()
    }

    fn tensor(&self, tensor: Tensor<'f>) -> Result<TensorSummary, ReadError> {
        let quantization = tensor.quantization();
        let scales = quantization.and_then(|q| q.scale());
        let zero_points = quantization.and_then(|q| q.zero_point());
        Ok(TensorSummary {
            name: tensor.name().unwrap_or_default().to_owned(),
            element: element(tensor.element().unwrap_or(0)),
            shape: shape(tensor),
            constant: self.bytes(tensor.buffer().unwrap_or(0))? > 0,
            scales: Scales::of(scales.iter().flat_map(|scales| scales.iter())),
            zero_point: zero_points.and_then(|zeros| zeros.iter().next()),
            ..TensorSummary::default()
        })
    }

    /// Bytes of a constant; 0 where there is none. Large ones lie behind the rest of the file.
    fn bytes(&self, place: u32) -> Result<u64, ReadError> {
        let place = place as usize;
        if place >= self.buffers.len() {
            return Ok(0);
        }
        let buffer = self.buffers.get(place);
        let (offset, length) = (buffer.offset().unwrap_or(0), buffer.size().unwrap_or(0));
        let end = u128::from(offset) + u128::from(length);
        if offset > 1 && end > self.size as u128 {
            return Err(ReadError::Short { end, size: self.size });
        }
        let behind = if offset > 1 { length } else { 0 };
        Ok(buffer.data().map_or(behind, |data| data.len() as u64))
    }

    /// Bytes of all constants of the graph, each counted once.
    fn constants(&self) -> Result<u64, ReadError> {
        let used: BTreeSet<u32> =
            self.tensors.iter().filter_map(|tensor| tensor.buffer()).collect();
        used.into_iter().map(|place| self.bytes(place)).sum()
    }

    /// Operators of other libraries.
    fn custom(&self) -> Vec<String> {
        let is_custom = |code: &OperatorCode<'f>| number(*code) == operators::CUSTOM;
        let kinds: BTreeSet<String> = self.codes.iter().filter(is_custom).map(kind).collect();
        kinds.into_iter().collect()
    }
}

/// Number of a built-in operator; old files have the older field only.
fn number(code: OperatorCode<'_>) -> i32 {
    code.kind().unwrap_or(0).max(i32::from(code.old_kind().unwrap_or(0)))
}

fn kind(code: OperatorCode<'_>) -> String {
    let number = number(code);
    match (code.custom(), operators::name(number)) {
        (Some(custom), _) if number == operators::CUSTOM => shortened(custom, 100).into_owned(),
        (_, Some(name)) => name.to_owned(),
        _ => format!("BUILTIN_{number}"),
    }
}

/// Inputs or outputs under the names of a signature.
fn named(
    tensors: &[TensorSummary],
    places: &[usize],
    names: Option<Tables<'_, NamedTensor<'_>>>,
) -> Vec<TensorSummary> {
    let names = names.iter().flat_map(|names| names.iter());
    let names: HashMap<usize, &str> =
        names.filter_map(|n| Some((n.tensor().unwrap_or(0) as usize, n.name()?))).collect();
    let tensor = |place: &usize| {
        let mut tensor = tensors[*place].clone();
        if let Some(name) = names.get(place) {
            (*name).clone_into(&mut tensor.name);
        }
        tensor
    };
    places.iter().map(tensor).collect()
}

/// Texts of a file, as many as are not longer than the file together.
fn metadata(
    model: Model<'_>,
    buffers: &Tables<'_, Buffer<'_>>,
    mut most: usize,
) -> Result<BTreeMap<String, String>, ReadError> {
    let entries = model.metadata().into_iter().flat_map(|entries| entries.iter());
    entries
        .map(|entry| {
            let place = entry.buffer().unwrap_or(0) as usize;
            check_position("metadata in buffer", place, buffers.len())?;
            let data = buffers.get(place).data().map(|data| data.bytes()).unwrap_or_default();
            let text = match std::str::from_utf8(data) {
                Ok(text) if data.len() <= most => {
                    most -= data.len();
                    // Converters fill their version up to 16 bytes.
                    text.trim_end_matches('\0').to_owned()
                }
                _ => format!("{} bytes", data.len()),
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
    const NAMES: [&str; 23] = [
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
        "int2",
        "uint4",
        "float8e4m3fn",
        "float8e5m2",
    ];
    let name = usize::try_from(number).ok().and_then(|number| NAMES.get(number));
    name.map_or_else(|| format!("type {number}"), |name| (*name).to_owned())
}
