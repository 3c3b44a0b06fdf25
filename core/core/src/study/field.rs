//! What is wrong with a field of a study.

use std::fmt;

use thiserror::Error;

use super::Referred;

/// A field of a study that cannot be as it is.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{}: {problem}", place(section, field))]
pub struct FieldError {
    /// Name of the section; empty for the fields at the top of a study.
    pub section: String,
    /// Path within the section, with dots between the names of nested tables; empty where the
    /// section as a whole is wrong.
    pub field: String,
    /// What is wrong.
    pub problem: FieldProblem,
}

/// What can be wrong with a field.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldProblem {
    /// There is no such field.
    Unknown {
        /// The fields that there are, as paths within the section.
        allowed: Vec<String>,
    },
    /// It has no default, and the study does not give it.
    Missing,
    /// It holds fields of its own, but something else was given.
    NotATable,
    /// It is of another type, or no choice that there is: the parser's words.
    Malformed(String),
    /// A number that is too small.
    BelowMinimum {
        /// What was given.
        given: f64,
        /// The least that is allowed.
        minimum: f64,
    },
    /// A number that is too large.
    AboveMaximum {
        /// What was given.
        given: f64,
        /// The most that is allowed.
        maximum: f64,
    },
    /// A number outside of an interval.
    OutOfRange {
        /// What was given.
        given: f64,
        /// The least that is allowed.
        minimum: f64,
        /// The most that is allowed.
        maximum: f64,
    },
    /// A number that must be positive.
    NotPositive {
        /// What was given.
        given: f64,
    },
    /// A list that is too short.
    TooFew {
        /// Items that were given.
        given: usize,
        /// The fewest that are allowed.
        fewest: usize,
    },
    /// A list that is too long.
    TooMany {
        /// Items that were given.
        given: usize,
        /// The most that are allowed.
        most: usize,
    },
    /// It names something that this program does not have.
    NoSuch {
        /// What was named.
        referred: Referred,
        /// The names that there are.
        known: Vec<String>,
    },
    /// It does not go together with the rest of the study.
    Refused {
        /// What is wrong.
        reason: String,
        /// What to do.
        hint: String,
    },
}

impl FieldError {
    /// A field that does not go together with the rest of the study.
    pub fn refused(
        section: &str,
        field: &str,
        reason: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        let problem = FieldProblem::Refused { reason: reason.into(), hint: hint.into() };
        Self { section: section.to_owned(), field: field.to_owned(), problem }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match &self.problem {
            FieldProblem::Refused { hint, .. } => hint.clone(),
            FieldProblem::NoSuch { known, .. } => format!("known are {}", known.join(", ")),
            FieldProblem::Unknown { allowed } if allowed.is_empty() => {
                "the table has no fields".into()
            }
            FieldProblem::Unknown { allowed } => format!("allowed are {}", allowed.join(", ")),
            _ => {
                let section = if self.section.is_empty() { "study" } else { &self.section };
                format!("`spacewright study explain {section}` lists the fields and their defaults")
            }
        }
    }
}

fn place(section: &str, field: &str) -> String {
    match (section, field) {
        ("", field) => format!("`{field}`"),
        (section, "") => format!("[{section}]"),
        (section, field) => format!("[{section}] {field}"),
    }
}

impl fmt::Display for FieldProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { .. } => f.write_str("there is no such field"),
            Self::Missing => f.write_str("is missing"),
            Self::NotATable => f.write_str("must be a table"),
            Self::Malformed(reason) => f.write_str(reason),
            Self::BelowMinimum { given, minimum } => {
                write!(f, "must be at least {minimum}, not {given}")
            }
            Self::AboveMaximum { given, maximum } => {
                write!(f, "must be at most {maximum}, not {given}")
            }
            Self::OutOfRange { given, minimum, maximum } => {
                write!(f, "{given} is not between {minimum} and {maximum}")
            }
            Self::NotPositive { given } => write!(f, "{given} is not positive"),
            Self::TooFew { given, fewest } => {
                write!(f, "has {given} items, needs at least {fewest}")
            }
            Self::TooMany { given, most } => {
                write!(f, "has {given} items, may have {most} at most")
            }
            Self::NoSuch { referred: Referred::Format(format), .. } => {
                write!(f, "nothing here writes and runs `{format}` files")
            }
            Self::NoSuch { referred, .. } => {
                write!(f, "there is no {} `{}`", referred.kind(), referred.name())
            }
            Self::Refused { reason, .. } => f.write_str(reason),
        }
    }
}
