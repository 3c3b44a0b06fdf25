//! Model files that others wrote: what is asked about them, which sizes are refused, and how their
//! text is shown. Nothing of such a file is believed before it was looked at.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
    path::Path,
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::model::{TensorSummary, sizes_as_text};

/// A model file to be looked at or measured.
#[derive(Debug, Clone, Copy)]
pub struct ModelFile<'a> {
    /// What it holds.
    pub content: &'a [u8],
    /// Where it lies, if it does: weights of an ONNX file may lie beside it.
    pub path: Option<&'a Path>,
}

impl<'a> ModelFile<'a> {
    /// A file that is in memory only.
    pub fn in_memory(content: &'a [u8]) -> Self {
        Self { content, path: None }
    }
}

/// Sizes of dimensions that a file leaves open, by the names that [`TensorSummary::size_name`]
/// gives.
pub type OpenSizes = BTreeMap<String, u64>;

/// An input as a file is measured with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasuredInput {
    /// Name.
    pub name: String,
    /// Type of its elements, such as `float32`.
    pub element: String,
    /// Outermost dimension first; all above 0.
    pub shape: Vec<i64>,
}

impl MeasuredInput {
    /// How many elements it has.
    pub fn elements(&self) -> usize {
        self.shape.iter().map(|size| size.unsigned_abs() as usize).product()
    }
}

impl fmt::Display for MeasuredInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, element, shape } = self;
        let sizes = if shape.is_empty() { "scalar".into() } else { sizes_as_text(shape) };
        write!(f, "`{}` {element} {sizes}", Escaped(shortened(name, 100)))
    }
}

/// Is told how far the measuring of a file has come.
pub trait MeasureMonitor {
    /// The file was opened, and its first run begins, with these inputs.
    fn opened(&self, inputs: &[MeasuredInput]);
    /// The first run ended; timed runs follow.
    fn measuring(&self);
    /// A run ended.
    fn ran(&self);
    /// The file is given to who tells nothing before it is measured.
    fn unwatched(&self);
}

/// Nobody wants to know.
impl MeasureMonitor for () {
    fn opened(&self, _: &[MeasuredInput]) {}
    fn measuring(&self) {}
    fn ran(&self) {}
    fn unwatched(&self) {}
}

/// Most bytes of one tensor of a file, and of all its inputs together: 1 GiB.
pub const MAX_TENSOR_BYTES: u128 = 1 << 30;

/// Why the sizes of a file's tensors cannot be measured.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SizeError {
    /// A dimension without elements.
    #[error(
        "input `{}` has the shape {}: with a size of {size} there is nothing to compute",
        Escaped(input),
        shape
    )]
    Empty {
        /// Name of the input.
        input: String,
        /// Its shape as text.
        shape: String,
        /// The size, 0 or less.
        size: i64,
    },
    /// Dimensions that the file leaves open, and nobody has given sizes of.
    #[error(
        "the file leaves sizes open: {}\nhint: say what is to be measured: {}",
        quoted(names),
        flags(names)
    )]
    Open {
        /// Their names.
        names: Vec<String>,
    },
    /// A size for a dimension that the file does not leave open.
    #[error("no open size is called `{}`: {}", Escaped(name), open_ones(known))]
    Unknown {
        /// The name.
        name: String,
        /// Names of the open sizes.
        known: Vec<String>,
    },
    /// A tensor, or all inputs together, larger than what is allowed.
    #[error(
        "{} would take {bytes} bytes; the limit is {MAX_TENSOR_BYTES} bytes (1 GiB)",
        Escaped(what)
    )]
    TooLarge {
        /// What is too large, with its shape.
        what: String,
        /// Its size.
        bytes: u128,
    },
}

fn quoted(names: &[String]) -> String {
    let each = names.iter().map(|name| format!("`{}`", Escaped(name)));
    each.collect::<Vec<_>>().join(", ")
}

fn flags(names: &[String]) -> String {
    let each = names.iter().map(|name| format!("--size {}=N", Escaped(name)));
    each.collect::<Vec<_>>().join(" ")
}

fn open_ones(known: &[String]) -> String {
    match known {
        [] => "the file leaves none open".into(),
        known => format!("open are {}", quoted(known)),
    }
}

/// What a file is measured with.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedInputs {
    /// The inputs, with no size open.
    pub inputs: Vec<MeasuredInput>,
    /// Names of open sizes that were taken as 1: those of a first dimension.
    pub taken_as_one: BTreeSet<String>,
}

impl ResolvedInputs {
    /// Fills open sizes. A first dimension that nobody gives is taken as 1, as a batch of one.
    pub fn new(inputs: &[TensorSummary], sizes: &OpenSizes) -> Result<Self, SizeError> {
        let mut resolved = Self { inputs: Vec::new(), taken_as_one: BTreeSet::new() };
        let (mut known, mut missing) = (BTreeSet::new(), Vec::new());
        for input in inputs {
            let TensorSummary { name, element, shape, .. } = input.clone();
            let mut measured = MeasuredInput { name, element, shape };
            for (axis, slot) in measured.shape.iter_mut().enumerate() {
                let Some(name) = input.size_name(axis) else { continue };
                match sizes.get(&name) {
                    Some(&size) => *slot = i64::try_from(size).unwrap_or(i64::MAX),
                    None if axis == 0 => {
                        *slot = 1;
                        resolved.taken_as_one.insert(name.clone());
                    }
                    None if !missing.contains(&name) => missing.push(name.clone()),
                    None => {}
                }
                known.insert(name);
            }
            resolved.inputs.push(measured);
        }
        if let Some(name) = sizes.keys().find(|name| !known.contains(*name)) {
            let known = known.into_iter().collect();
            return Err(SizeError::Unknown { name: name.clone(), known });
        }
        if !missing.is_empty() {
            return Err(SizeError::Open { names: missing });
        }
        resolved.check()?;
        Ok(resolved)
    }

    fn check(&self) -> Result<(), SizeError> {
        let mut all = 0u128;
        for input in &self.inputs {
            let MeasuredInput { name, element, shape } = input;
            if let Some(&size) = shape.iter().find(|size| **size <= 0) {
                let (name, shape) = (name.clone(), sizes_as_text(shape));
                return Err(SizeError::Empty { input: name, shape, size });
            }
            check_size("input", name, element, shape)?;
            all += bytes(element, shape);
        }
        if all > MAX_TENSOR_BYTES {
            let what = format!("all {} inputs together", self.inputs.len());
            return Err(SizeError::TooLarge { what, bytes: all });
        }
        Ok(())
    }

    /// A sentence about sizes that nobody gave, if there are any.
    pub fn warning(&self) -> Option<String> {
        let names: Vec<String> = self.taken_as_one.iter().cloned().collect();
        (!names.is_empty()).then(|| {
            format!("open sizes that were taken as 1: {}; --size gives others", quoted(&names))
        })
    }
}

/// That a tensor is not too large; open sizes count as 1. `role` says what it is.
pub fn check_size(role: &str, name: &str, element: &str, shape: &[i64]) -> Result<(), SizeError> {
    let bytes = bytes(element, shape);
    if bytes <= MAX_TENSOR_BYTES {
        return Ok(());
    }
    let what = format!("{role} `{}` ({element} {})", shortened(name, 100), sizes_as_text(shape));
    Err(SizeError::TooLarge { what, bytes })
}

/// Bytes of a tensor, in arithmetic that no file makes overflow.
fn bytes(element: &str, shape: &[i64]) -> u128 {
    let sizes = shape.iter().map(|size| u128::from(size.unsigned_abs()));
    sizes.fold(1, u128::saturating_mul).saturating_mul(element_bytes(element).into())
}

/// Bytes of an element of this type; the most that one has where the type is not known.
fn element_bytes(element: &str) -> u8 {
    match element {
        "bool" | "int8" | "uint8" | "int4" | "uint4" | "int2" => 1,
        // Each of several kinds, such as `float8e4m3fn`.
        name if name.starts_with("float8") || name.starts_with("float4") => 1,
        "float16" | "bfloat16" | "int16" | "uint16" => 2,
        "float32" | "int32" | "uint32" => 4,
        "complex128" => 16,
        _ => 8,
    }
}

/// Shows foreign text without what would move a terminal's cursor, start a new line, change the
/// direction of writing or be invisible: such characters become `\u{…}`.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<T>(pub T);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut escaping = Escaping(f);
        write!(escaping, "{}", self.0)
    }
}

struct Escaping<'f, 'b>(&'f mut fmt::Formatter<'b>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|letter| match letter {
            letter if is_hidden(letter) => write!(self.0, "{}", letter.escape_default()),
            letter => self.0.write_char(letter),
        })
    }
}

/// Whether a character is a control character, or one that formats those around it.
pub fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The beginning of a text that may be of any length, with `…` where it was cut.
pub fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(shape: &[i64], names: &[(usize, &str)]) -> TensorSummary {
        TensorSummary {
            name: "x".into(),
            element: "float32".into(),
            shape: shape.to_vec(),
            size_names: names.iter().map(|(axis, name)| (*axis, (*name).to_owned())).collect(),
            ..TensorSummary::default()
        }
    }

    fn sizes(given: &[(&str, u64)]) -> OpenSizes {
        given.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect()
    }

    #[track_caller]
    fn refused(input: TensorSummary, given: &[(&str, u64)], expected: &str) {
        let error = ResolvedInputs::new(&[input], &sizes(given)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn open_sizes_are_given_by_name_or_by_position() {
        let input = image(&[-1, 3, -1, -1], &[(0, "N"), (2, "H")]);
        let given = sizes(&[("H", 8), ("x:3", 6)]);
        let found = ResolvedInputs::new(&[input], &given).unwrap();
        assert_eq!(found.inputs[0].shape, [1, 3, 8, 6]);
        assert!(found.warning().unwrap().contains("taken as 1: `N`"));
    }

    #[test]
    fn sizes_that_nobody_gives_are_refused_but_for_the_batch() {
        let open = || image(&[-1, 3, -1, -1], &[(0, "N"), (2, "H")]);
        refused(open(), &[("H", 8)], "leaves sizes open: `x:3`\nhint:");
        refused(open(), &[], "--size H=N --size x:3=N");
        refused(open(), &[("D", 8)], "no open size is called `D`: open are `H`, `N`, `x:3`");
        refused(image(&[1, 3], &[]), &[("D", 8)], "the file leaves none open");
    }

    #[test]
    fn sizes_are_checked_before_anything_is_made_of_them() {
        refused(image(&[1, 0], &[]), &[], "the shape 1×0: with a size of 0");
        refused(image(&[1, -5], &[]), &[("x:1", 0)], "with a size of 0");
        refused(image(&[3_037_000_500, 3_037_000_500], &[]), &[], "would take 36893488148");
        refused(image(&[i64::MAX; 9], &[]), &[], "the limit is 1073741824 bytes");
        refused(image(&[-1, 4], &[(0, "N")]), &[("N", u64::MAX)], "the limit is");
        let inputs = vec![image(&[1 << 27], &[]); 3];
        let error = ResolvedInputs::new(&inputs, &sizes(&[])).unwrap_err().to_string();
        assert!(error.starts_with("all 3 inputs together"), "{error}");
    }

    #[test]
    fn elements_have_the_bytes_of_their_type() {
        let check = |bytes: u8, elements: &[&str]| {
            elements.iter().for_each(|name| assert_eq!(element_bytes(name), bytes, "{name}"));
        };
        check(1, &["int8", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float4e2m1"]);
        check(2, &["float16", "bfloat16", "uint16"]);
        check(4, &["float32", "int32"]);
        check(8, &["float64", "int64", "complex64", "type 99"]);
        check(16, &["complex128"]);
    }

    #[test]
    fn foreign_text_is_escaped() {
        let check = |text: &str, expected| assert_eq!(Escaped(text).to_string(), expected);
        check("a\u{1b}[31m\u{9b}2J", "a\\u{1b}[31m\\u{9b}2J");
        check("nul\0 line\n tab\t del\u{7f}", "nul\\u{0} line\\n tab\\t del\\u{7f}");
        check("right\u{202e}left \u{200b}", "right\\u{202e}left \\u{200b}");
        check("häuser 图 `x` \\", "häuser 图 `x` \\");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(shortened("äöü", 2), "äö…");
        assert_eq!(shortened("äöü", 3), "äöü");
    }
}
