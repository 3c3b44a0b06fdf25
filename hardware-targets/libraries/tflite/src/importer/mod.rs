//! Networks out of TFLite files of other programs, as op graphs with weights.
//!
//! A file says the shapes of all its tensors, and has its operators in an order in which they can run. Each tensor is
//! then a value of the op graph, a constant, or not known; reading goes on where something is not known, so that an
//! error names all such operators, and how much of the arithmetic is theirs.

mod constants;
mod count;
mod joined;
mod nodes;
mod pools;
mod window;

use std::collections::HashMap;

use spacewright_core::{
    graph::{Padding, Shape, ValueId},
    import::{ImportError, ImportedNetwork, NetworkDraft, UnknownNode},
    model::ModelSummary,
};

use self::{constants::Constants, count::multiply_adds};
use crate::{
    reader,
    schema::{Operator, root},
};

/// What is wanted of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The network with its weights, which have to be real numbers.
    Weights,
    /// Its graph alone: conversions between integers and real numbers are passed over.
    Structure,
}

/// The network in a file, which has one input, an image, and one output.
///
/// # Errors
///
/// Damaged files, inputs that are no image, and operators that are not known: all of them.
pub fn import(file: &[u8], wanted: Wanted) -> Result<ImportedNetwork, ImportError> {
    let unreadable = |error: &dyn ToString| ImportError::Unreadable(error.to_string());
    let mut summary = reader::read(file).map_err(|error| unreadable(&error))?;
    // One image, where their number is open.
    let firsts = summary.tensors.iter_mut().filter_map(|tensor| tensor.shape.first_mut());
    firsts.filter(|size| **size < 0).for_each(|size| *size = 1);
    let model = root(file).map_err(|error| unreadable(&error))?;
    let graph = model.subgraphs().and_then(|graphs| graphs.iter().next());
    let graph = graph.ok_or_else(|| unreadable(&"this TFLite file is damaged: it has no graph"))?;
    let ends = |places: Option<flatbuffers::Vector<'_, i32>>| -> Vec<usize> {
        let places = places.iter().flat_map(|places| places.iter());
        places.filter_map(|place| usize::try_from(place).ok()).collect()
    };
    let (inputs, outputs) = (ends(graph.inputs()), ends(graph.outputs()));
    let ([input], [output]) = (&inputs[..], &outputs[..]) else {
        return Err(unreadable(&format!(
            "it has {} inputs and {} outputs; one of each is known",
            inputs.len(),
            outputs.len()
        )));
    };
    let shape = image(&summary, *input).ok_or_else(|| {
        let shape = &summary.tensors[*input].shape;
        unreadable(&format!("its input {shape:?} is no image: 1 × height × width × channels"))
    })?;
    let mut importer = Importer {
        constants: Constants::of(file, model, graph),
        values: vec![None; summary.tensors.len()],
        aliases: HashMap::new(),
        draft: NetworkDraft::new(shape),
        wanted,
        softmax: false,
        output: *output,
        unknown: Vec::new(),
        summary: &summary,
    };
    importer.values[*input] = Some(Value::map(ValueId::INPUT));
    let operators = graph.operators();
    for (at, operator) in operators.iter().flat_map(|list| list.iter()).enumerate() {
        importer.operator(at, operator);
    }
    importer.finish()
}

/// Shape of the image that a tensor is.
fn image(summary: &ModelSummary, tensor: usize) -> Option<Shape> {
    match summary.tensors.get(tensor)?.shape[..] {
        [1, height, width, channels] => {
            let size = |size: i64| usize::try_from(size).ok().filter(|n| (1..=LARGEST).contains(n));
            Some(Shape::new(size(channels)?, size(height)?, size(width)?))
        }
        _ => None,
    }
}

/// Largest number of rows, columns or channels of an image.
const LARGEST: usize = 1 << 14;

/// What a tensor is in the op graph.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Value {
    value: ValueId,
    /// What is done to it before it is used.
    pending: Pending,
    /// Whether its elements lie in a row, channels last.
    flat: bool,
}

/// What operators do that have none of their own in the op graph.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Pending {
    Nothing,
    /// Zeros are added around it.
    Zeros(Padding),
    /// The lowest number that there is, around it: nothing for a maximum.
    Lowest(Padding),
    /// min(max(x + 3, 0), 6): a hard sigmoid, once it is divided by 6.
    ClippedSum,
}

impl Value {
    /// A map, as it is.
    fn map(value: ValueId) -> Self {
        Self { value, pending: Pending::Nothing, flat: false }
    }
}

/// A graph whose operators are read one after the other.
struct Importer<'f> {
    summary: &'f ModelSummary,
    constants: Constants<'f>,
    /// By tensor; `None` for constants, and for what is not known.
    values: Vec<Option<Value>>,
    /// Constants that operators give in another precision, and what they are made of.
    aliases: HashMap<usize, usize>,
    draft: NetworkDraft,
    wanted: Wanted,
    softmax: bool,
    /// The tensor that is the file's result.
    output: usize,
    /// With their multiply-adds.
    unknown: Vec<(UnknownNode, u64)>,
}

/// Why a tensor is not known: that was told already.
const TOLD: &str = "";

impl<'f> Importer<'f> {
    fn operator(&mut self, at: usize, operator: Operator<'f>) {
        let summary = self.summary;
        let found = &summary.operators[at];
        let made = match found.outputs[..] {
            [output] => self.value_of(found, operator).map(|value| (output, value)),
            _ => Err(format!("it has {} outputs, one is known", found.outputs.len())),
        };
        match made {
            Ok((output, value)) => self.values[output] = value,
            Err(reason) if reason == TOLD => {}
            Err(reason) => {
                let node = summary.name_of(found).to_owned();
                let unknown = UnknownNode::new(node, found.kind.clone(), reason);
                self.unknown.push((unknown, multiply_adds(summary, found)));
            }
        }
    }

    fn finish(self) -> Result<ImportedNetwork, ImportError> {
        if !self.unknown.is_empty() {
            let each = self.summary.operators.iter().map(|op| multiply_adds(self.summary, op));
            let all = each.fold(0, u64::saturating_add);
            let share = |macs: u64| (all > 0).then(|| macs as f64 / all as f64);
            let nodes = self.unknown.into_iter().map(|(node, macs)| node.with_share(share(macs)));
            return Err(ImportError::Unknown(nodes.collect()));
        }
        let Some(result) = self.values[self.output] else {
            let reason = "no operator that is known makes its output".to_owned();
            return Err(ImportError::Unreadable(reason));
        };
        let Shape { height, width, .. } = self.draft.shape(result.value);
        if result.pending != Pending::Nothing || result.flat && (height, width) != (1, 1) {
            let reason = "its output is no list of numbers, one for each class".to_owned();
            return Err(ImportError::Unreadable(reason));
        }
        let (graph, weights) = self.draft.finish(result.value);
        graph.check_network_bounds()?;
        let name = self.summary.name.clone();
        let (softmax, notes) = (self.softmax, Vec::new());
        Ok(ImportedNetwork { name, graph, weights, softmax, notes })
    }
}
