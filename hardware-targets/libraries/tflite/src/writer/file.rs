//! A TFLite file in memory: tensors and operators are collected, then serialized at once.

use std::collections::BTreeMap;

use flatbuffers::{FlatBufferBuilder, ForwardsUOffset, Push, PushAlignment, Vector, WIPOffset};
use spacewright_core::target::ModelInfo;

use crate::{
    operators::{Field, Kind, Options},
    schema::{
        Buffer, IDENTIFIER, Metadata, Model, NamedTensor, OPTIONS, Operator, OperatorCode,
        Quantization, Signature, SubGraph, Tensor, VERSION,
    },
};

/// Types of the elements of tensors, with their numbers in the schema's `TensorType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    Float32 = 0,
    Int32 = 2,
    Int8 = 9,
}

/// Scales and zero points of a tensor: one, or one per element of an axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scales {
    pub scales: Vec<f32>,
    pub zero_point: i64,
    pub axis: usize,
}

#[derive(Debug, Clone, PartialEq)]
struct TensorEntry {
    name: String,
    shape: Vec<i32>,
    element: Element,
    buffer: u32,
    scales: Option<Scales>,
}

struct OperatorEntry {
    kind: Kind,
    inputs: Vec<i32>,
    output: i32,
    options: Option<Options>,
}

/// Names of inputs or outputs, with their tensors.
pub(super) type NamedTensors = Vec<(String, i32)>;

/// What will be in the file. Functions give the position of the tensor that they add.
pub(super) struct TfliteFile {
    tensors: Vec<TensorEntry>,
    operators: Vec<OperatorEntry>,
    /// The first one is empty: values refer to it.
    buffers: Vec<Vec<u8>>,
}

impl TfliteFile {
    pub(super) fn new() -> Self {
        Self { tensors: Vec::new(), operators: Vec::new(), buffers: vec![Vec::new()] }
    }

    /// A value that an operator makes, or an input.
    pub(super) fn value(
        &mut self,
        name: &str,
        shape: &[usize],
        element: Element,
        scales: Option<Scales>,
    ) -> i32 {
        self.tensor(name, shape, element, 0, scales)
    }

    /// A constant.
    pub(super) fn constant(
        &mut self,
        name: &str,
        shape: &[usize],
        element: Element,
        data: Vec<u8>,
        scales: Option<Scales>,
    ) -> i32 {
        self.buffers.push(data);
        self.tensor(name, shape, element, self.buffers.len() as u32 - 1, scales)
    }

    /// A constant of small integers, such as axes or sizes.
    pub(super) fn integers(&mut self, name: &str, shape: &[usize], data: &[i32]) -> i32 {
        let bytes = data.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.constant(name, shape, Element::Int32, bytes, None)
    }

    fn tensor(
        &mut self,
        name: &str,
        shape: &[usize],
        element: Element,
        buffer: u32,
        scales: Option<Scales>,
    ) -> i32 {
        let shape = shape.iter().map(|&size| size as i32).collect();
        self.tensors.push(TensorEntry { name: name.to_owned(), shape, element, buffer, scales });
        self.tensors.len() as i32 - 1
    }

    pub(super) fn operator(
        &mut self,
        kind: Kind,
        inputs: &[i32],
        output: i32,
        options: Option<Options>,
    ) {
        self.operators.push(OperatorEntry { kind, inputs: inputs.to_vec(), output, options });
    }

    /// The file's content; the same for the same network.
    pub(super) fn finish(
        mut self,
        info: &ModelInfo,
        inputs: &NamedTensors,
        outputs: &NamedTensors,
    ) -> Vec<u8> {
        let first = self.buffers.len() as u32;
        self.buffers.extend(info.metadata.values().map(|text| text.clone().into_bytes()));
        let mut fbb = FlatBufferBuilder::new();
        let metadata = info.metadata.keys().zip(first..).map(|(key, buffer)| {
            let name = fbb.create_string(key);
            let table = fbb.start_table();
            fbb.push_slot_always(Metadata::NAME, name);
            fbb.push_slot(Metadata::BUFFER, buffer, 0);
            WIPOffset::<Metadata<'_>>::new(fbb.end_table(table).value())
        });
        let metadata: Vec<_> = metadata.collect();
        let metadata = fbb.create_vector(&metadata);
        let buffers: Vec<_> = self.buffers.iter().map(|data| buffer(&mut fbb, data)).collect();
        let buffers = fbb.create_vector(&buffers);
        let (codes, kinds) = self.codes(&mut fbb);
        let subgraph = self.subgraph(&mut fbb, info, &kinds, inputs, outputs);
        let subgraphs = fbb.create_vector(&[subgraph]);
        let signature = signature(&mut fbb, inputs, outputs);
        let signatures = fbb.create_vector(&[signature]);
        let description = fbb.create_string("written by spacewright");
        let table = fbb.start_table();
        fbb.push_slot(Model::VERSION, VERSION, 0);
        fbb.push_slot_always(Model::OPERATOR_CODES, codes);
        fbb.push_slot_always(Model::SUBGRAPHS, subgraphs);
        fbb.push_slot_always(Model::DESCRIPTION, description);
        fbb.push_slot_always(Model::BUFFERS, buffers);
        fbb.push_slot_always(Model::METADATA, metadata);
        fbb.push_slot_always(Model::SIGNATURES, signatures);
        let model = fbb.end_table(table);
        fbb.finish(model, Some(IDENTIFIER));
        fbb.finished_data().to_vec()
    }

    fn codes<'f>(
        &self,
        fbb: &mut FlatBufferBuilder<'f>,
    ) -> (WIPOffset<Vector<'f, ForwardsUOffset<OperatorCode<'f>>>>, Vec<Kind>) {
        let mut kinds: Vec<Kind> = Vec::new();
        for operator in &self.operators {
            if !kinds.contains(&operator.kind) {
                kinds.push(operator.kind);
            }
        }
        let code = |kind: &Kind| {
            let table = fbb.start_table();
            fbb.push_slot(OperatorCode::OLD_KIND, kind.code.min(127) as i8, 0);
            fbb.push_slot(OperatorCode::VERSION, kind.version, 1);
            fbb.push_slot(OperatorCode::KIND, kind.code, 0);
            WIPOffset::<OperatorCode<'_>>::new(fbb.end_table(table).value())
        };
        let codes: Vec<_> = kinds.iter().map(code).collect();
        (fbb.create_vector(&codes), kinds)
    }

    fn subgraph<'f>(
        &self,
        fbb: &mut FlatBufferBuilder<'f>,
        info: &ModelInfo,
        kinds: &[Kind],
        inputs: &NamedTensors,
        outputs: &NamedTensors,
    ) -> WIPOffset<SubGraph<'f>> {
        let mut zeros = ZeroPoints::new();
        let tensors: Vec<_> =
            self.tensors.iter().map(|entry| tensor(fbb, entry, &mut zeros)).collect();
        let tensors = fbb.create_vector(&tensors);
        let place = |kind: &Kind| kinds.iter().position(|known| known == kind).unwrap_or_default();
        let operators = self.operators.iter();
        let operators: Vec<_> =
            operators.map(|entry| operator(fbb, entry, place(&entry.kind) as u32)).collect();
        let operators = fbb.create_vector(&operators);
        let ends =
            |named: &NamedTensors| named.iter().map(|(_, tensor)| *tensor).collect::<Vec<i32>>();
        let inputs = fbb.create_vector(&ends(inputs));
        let outputs = fbb.create_vector(&ends(outputs));
        let name = fbb.create_string(&info.name);
        let table = fbb.start_table();
        fbb.push_slot_always(SubGraph::TENSORS, tensors);
        fbb.push_slot_always(SubGraph::INPUTS, inputs);
        fbb.push_slot_always(SubGraph::OUTPUTS, outputs);
        fbb.push_slot_always(SubGraph::OPERATORS, operators);
        fbb.push_slot_always(SubGraph::NAME, name);
        WIPOffset::new(fbb.end_table(table).value())
    }
}

/// An element of a vector that begins at a multiple of 16 bytes, as the schema asks for data.
struct Aligned;

impl Push for Aligned {
    type Output = u8;

    #[allow(unsafe_code, reason = "the trait's method is unsafe; it is never called")]
    unsafe fn push(&self, _: &mut [u8], _: usize) {}

    fn alignment() -> PushAlignment {
        PushAlignment::new(16)
    }
}

fn buffer<'f>(fbb: &mut FlatBufferBuilder<'f>, data: &[u8]) -> WIPOffset<Buffer<'f>> {
    let data = (!data.is_empty()).then(|| {
        fbb.start_vector::<Aligned>(data.len());
        for byte in data.iter().rev() {
            fbb.push(*byte);
        }
        fbb.end_vector::<u8>(data.len())
    });
    let table = fbb.start_table();
    if let Some(data) = data {
        fbb.push_slot_always(Buffer::DATA, data);
    }
    WIPOffset::new(fbb.end_table(table).value())
}

/// Lists of one zero point so many times. Tensors share them: with a list of their own for every
/// kernel and bias, files would be a tenth larger.
type ZeroPoints<'f> = BTreeMap<(i64, usize), WIPOffset<Vector<'f, i64>>>;

fn tensor<'f>(
    fbb: &mut FlatBufferBuilder<'f>,
    entry: &TensorEntry,
    zeros: &mut ZeroPoints<'f>,
) -> WIPOffset<Tensor<'f>> {
    let name = fbb.create_string(&entry.name);
    let shape = fbb.create_vector(&entry.shape);
    let quantization = entry.scales.as_ref().map(|scales| {
        let (zero, count) = (scales.zero_point, scales.scales.len());
        let list = || fbb.create_vector(&vec![zero; count]);
        let zeros = *zeros.entry((zero, count)).or_insert_with(list);
        let scale = fbb.create_vector(&scales.scales);
        let table = fbb.start_table();
        fbb.push_slot_always(Quantization::SCALE, scale);
        fbb.push_slot_always(Quantization::ZERO_POINT, zeros);
        fbb.push_slot(Quantization::AXIS, scales.axis as i32, 0);
        fbb.end_table(table)
    });
    let table = fbb.start_table();
    fbb.push_slot_always(Tensor::SHAPE, shape);
    fbb.push_slot(Tensor::ELEMENT, entry.element as i8, 0);
    fbb.push_slot(Tensor::BUFFER, entry.buffer, 0);
    fbb.push_slot_always(Tensor::NAME, name);
    if let Some(quantization) = quantization {
        fbb.push_slot_always(Tensor::QUANTIZATION, quantization);
    }
    WIPOffset::new(fbb.end_table(table).value())
}

fn operator<'f>(
    fbb: &mut FlatBufferBuilder<'f>,
    entry: &OperatorEntry,
    code: u32,
) -> WIPOffset<Operator<'f>> {
    let inputs = fbb.create_vector(&entry.inputs);
    let outputs = fbb.create_vector(&[entry.output]);
    let options = entry.options.as_ref().map(|options| {
        let table = fbb.start_table();
        for (slot, field) in &options.fields {
            match field {
                Field::Byte(value) => fbb.push_slot_always(*slot, *value),
                Field::Int(value) => fbb.push_slot_always(*slot, *value),
                Field::Flag(value) => fbb.push_slot_always(*slot, *value),
            }
        }
        (options.table, fbb.end_table(table))
    });
    let table = fbb.start_table();
    fbb.push_slot(Operator::CODE, code, 0);
    fbb.push_slot_always(Operator::INPUTS, inputs);
    fbb.push_slot_always(Operator::OUTPUTS, outputs);
    if let Some((kind, options)) = options {
        fbb.push_slot_always(Operator::OPTIONS_KIND, kind);
        fbb.push_slot_always(OPTIONS, options);
    }
    WIPOffset::new(fbb.end_table(table).value())
}

fn signature<'f>(
    fbb: &mut FlatBufferBuilder<'f>,
    inputs: &NamedTensors,
    outputs: &NamedTensors,
) -> WIPOffset<Signature<'f>> {
    let mut named = |named: &NamedTensors| {
        let entry = |(name, tensor): &(String, i32)| {
            let name = fbb.create_string(name);
            let table = fbb.start_table();
            fbb.push_slot_always(NamedTensor::NAME, name);
            fbb.push_slot(NamedTensor::TENSOR, *tensor as u32, 0);
            WIPOffset::<NamedTensor<'_>>::new(fbb.end_table(table).value())
        };
        let entries: Vec<_> = named.iter().map(entry).collect();
        fbb.create_vector(&entries)
    };
    let (inputs, outputs) = (named(inputs), named(outputs));
    let key = fbb.create_string("serving_default");
    let table = fbb.start_table();
    fbb.push_slot_always(Signature::INPUTS, inputs);
    fbb.push_slot_always(Signature::OUTPUTS, outputs);
    fbb.push_slot_always(Signature::KEY, key);
    WIPOffset::new(fbb.end_table(table).value())
}
