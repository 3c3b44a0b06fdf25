//! Text forms of spaces, subnets and sub-stages.
//!
//! | what | form | example |
//! |---|---|---|
//! | space | `<hyperspace>-<blocks>-<windows>`, one digit per choice stage | `mobilew-122222-155400` |
//! | subnet | `d<depths>_k<kernels>_w<widths>_e<expand ratios>_r<resolution>`, values joined by `#` | `d1#1_k3#3_w16#16_e0#1.0_r160` |
//! | sub-stage | `<kernel>#<width>#<expand>` per block, joined by `_` | `3#24#6_5#32#3` |
//!
//! They are those of SpaceEvo (arXiv 2303.08308, public repository microsoft/Moonlit), extended
//! where they could not say everything:
//!
//! * Between the two groups of a space, `_` is read as well as `-`, and the hyperspace may be
//!   left out. A group with an index above nine is written with dots: `10.2.3`.
//! * In subnets, `k` and `e` hold `0` for a block without that axis. Axes other than kernel and
//!   expand follow in fields of their own, `a.<axis>=<values>` before `r`, with `-` for a block
//!   without the axis: `…_e0#1.0_a.groups=-#4_r160`.
//! * In sub-stages, `None` stands for a missing kernel or expand ratio; values of other axes
//!   follow in the order of the candidate's axes: `3#32#None#4`.

mod space;
mod sub_stage;
mod subnet;

use thiserror::Error;

/// A text that is no encoding of a space, subnet or sub-stage, or not one of the hyperspace at hand.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{encoding}`: {field}{}: found `{found}`, allowed: {allowed}", at(*position))]
pub struct EncodingError {
    /// The text.
    pub encoding: String,
    /// Which part of it.
    pub field: String,
    /// Position of the value within that part, from 1.
    pub position: Option<usize>,
    /// The text or value that was found there.
    pub found: String,
    /// What is allowed there, in words.
    pub allowed: String,
}

impl EncodingError {
    /// Whether the text can be read, but chooses what the hyperspace does not hold: another number of blocks, or a
    /// number that is none of the choices.
    pub fn is_no_choice(&self) -> bool {
        self.field == "depth" || number(&self.found).is_some()
    }
}

fn at(position: Option<usize>) -> String {
    position.map_or(String::new(), |position| format!(", position {position}"))
}

/// Makes errors about one encoding.
struct Reporter<'a>(&'a str);

impl Reporter<'_> {
    fn error(
        &self,
        field: impl Into<String>,
        position: impl Into<Option<usize>>,
        found: impl ToString,
        allowed: impl ToString,
    ) -> EncodingError {
        EncodingError {
            encoding: self.0.to_owned(),
            field: field.into(),
            position: position.into(),
            found: found.to_string(),
            allowed: allowed.to_string(),
        }
    }
}

/// `3, 5, 7`.
fn list<T: ToString>(values: &[T]) -> String {
    values.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

/// A finite decimal number.
fn number(token: &str) -> Option<f64> {
    let decimal =
        !token.is_empty() && token.bytes().all(|b| b.is_ascii_digit() || b".-e".contains(&b));
    token.parse().ok().filter(|value: &f64| decimal && value.is_finite())
}

/// An unsigned whole number without a sign.
fn whole(token: &str) -> Option<usize> {
    token.bytes().all(|b| b.is_ascii_digit()).then(|| token.parse().ok()).flatten()
}
