//! What a pickle is made into. Values that hold others are numbers of objects, so that a value is small,
//! may be remembered in many places, and no nesting is ever walked through.

use super::Problem;
use crate::tensors::Element;

/// A value on the stack.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'f> {
    None,
    Bool(bool),
    Int(i64),
    /// More than eight bytes, little-endian.
    Long(&'f [u8]),
    Text(&'f str),
    Global(Global),
    Tuple(TupleId),
    List(ListId),
    Dict(DictId),
    Storage(StorageId),
    Tensor(TensorId),
}

/// Number of a tuple.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TupleId(pub(super) usize);

/// Number of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListId(pub(super) usize);

/// Number of a dictionary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DictId(pub(super) usize);

/// Number of a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct StorageId(pub(super) usize);

/// Number of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TensorId(pub(super) usize);

/// A name that a pickle may look up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Global {
    OrderedDict,
    RebuildTensor,
    Storage(Element),
}

impl Global {
    /// The name of a module and a name in it; no others are known.
    pub(super) fn named(module: &str, name: &str) -> Result<Self, Problem> {
        let storage = |element| Ok(Self::Storage(element));
        let other = |bytes, name| storage(Element::Other(bytes, name));
        match (module, name) {
            ("collections", "OrderedDict") => Ok(Self::OrderedDict),
            ("torch._utils", "_rebuild_tensor_v2") => Ok(Self::RebuildTensor),
            ("torch", "HalfStorage") => storage(Element::F16),
            ("torch", "BFloat16Storage") => storage(Element::Bf16),
            ("torch", "FloatStorage") => storage(Element::F32),
            ("torch", "DoubleStorage") => storage(Element::F64),
            ("torch", "BoolStorage") => other(1, "bool"),
            ("torch", "ByteStorage") => other(1, "uint8"),
            ("torch", "CharStorage") => other(1, "int8"),
            ("torch", "ShortStorage") => other(2, "int16"),
            ("torch", "IntStorage") => other(4, "int32"),
            ("torch", "LongStorage") => other(8, "int64"),
            _ => {
                let shown = |text: &str| text.chars().take(100).collect::<String>();
                Err(Problem::Global(format!("{}.{}", shown(module), shown(name))))
            }
        }
    }
}

/// Numbers that lie elsewhere in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct StorageSpec<'f> {
    pub element: Element,
    /// By what the file calls it.
    pub key: &'f str,
    pub elements: usize,
}

/// A tensor as a part of a storage.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TensorSpec {
    pub storage: StorageId,
    /// Elements of the storage before its first one.
    pub offset: usize,
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// Elements from one to the next, by dimension.
    pub strides: Vec<usize>,
}

impl<'f> Value<'f> {
    /// In words.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::None => "nothing",
            Self::Bool(_) => "a truth value",
            Self::Int(_) | Self::Long(_) => "a number",
            Self::Text(_) => "a text",
            Self::Global(_) => "a name",
            Self::Tuple(_) => "a tuple",
            Self::List(_) => "a list",
            Self::Dict(_) => "a dictionary",
            Self::Storage(_) => "a storage",
            Self::Tensor(_) => "a tensor",
        }
    }

    /// The error that it is something else than what is needed.
    pub(super) fn is_not(self, expected: &'static str) -> Problem {
        Problem::Kind { expected, found: self.kind() }
    }

    /// A count.
    pub(super) fn size(self) -> Result<usize, Problem> {
        match self {
            Self::Int(number) => usize::try_from(number),
            _ => return Err(self.is_not("a size")),
        }
        .map_err(|_| Problem::Kind { expected: "a size", found: "a number below 0" })
    }

    pub(super) fn text(self) -> Result<&'f str, Problem> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err(self.is_not("a text")),
        }
    }
}
