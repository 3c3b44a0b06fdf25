//! Why something that a plugin may offer gave no usable answer: what the errors of all such traits
//! have in common.
//!
//! Who implements a trait says why in a sentence, which becomes a [`Reason`]. The program, which
//! checks every answer, says which call of which plugin it is about, and what is wrong, as a
//! [`CallError`].

use std::{fmt, sync::Arc};

use thiserror::Error;

use crate::graph::GraphError;

/// Why there is no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Reason {
    /// A sentence of who was asked.
    #[error("{0}")]
    Said(String),
    /// A call of a plugin failed, or its answer is bad.
    #[error(transparent)]
    Call(Box<CallError>),
}

impl Reason {
    /// The call of a plugin that it is about, if it is about one.
    pub fn call(&self) -> Option<&CallError> {
        match self {
            Self::Said(_) => None,
            Self::Call(error) => Some(error),
        }
    }
}

impl From<String> for Reason {
    fn from(sentence: String) -> Self {
        Self::Said(sentence)
    }
}

impl From<&str> for Reason {
    fn from(sentence: &str) -> Self {
        Self::Said(sentence.into())
    }
}

impl From<CallError> for Reason {
    fn from(error: CallError) -> Self {
        Self::Call(Box::new(error))
    }
}

/// Which plugin, as errors name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginVersion {
    /// Name of the plugin.
    pub plugin: String,
    /// Its version.
    pub version: String,
}

impl fmt::Display for PluginVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin `{}` {}", self.plugin, self.version)
    }
}

/// A call of a plugin that failed, or whose answer is bad.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct CallError {
    /// The plugin; `None` until somebody adds it who knows which one was called.
    pub origin: Option<Arc<PluginVersion>>,
    /// Name of the call, such as `graphs`.
    pub call: String,
    /// The part of the question that it is about, such as ``block `conv` ``; `None` where it is
    /// about the whole.
    pub item: Option<String>,
    /// What is wrong.
    #[source]
    pub fault: Fault,
}

impl CallError {
    /// About a call as a whole, of a plugin that is not named yet.
    pub fn new(call: impl Into<String>, fault: Fault) -> Self {
        Self { origin: None, call: call.into(), item: None, fault }
    }

    /// Names the part of the question.
    pub fn about(self, item: impl fmt::Display) -> Self {
        Self { item: Some(item.to_string()), ..self }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}, ")?;
        }
        write!(f, "`{}`: ", self.call)?;
        if let Some(item) = &self.item {
            write!(f, "{item}: ")?;
        }
        write!(f, "{}", self.fault)
    }
}

/// What is wrong with a call of a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// The plugin itself says why it has no answer.
    #[error("{0}")]
    Refused(String),
    /// The plugin's code panicked, or did what ends WebAssembly code in the same way.
    #[error("it panicked{}{}", after(" at ", place), after(": ", message))]
    Panicked {
        /// File, line and column of its code, where they are known.
        place: Option<String>,
        /// What it says, where that is known.
        message: Option<String>,
    },
    /// The code was stopped at a limit, or by an error in itself.
    #[error("{0}")]
    Stopped(String),
    /// Question or answer cannot cross between program and plugin.
    #[error("{0}")]
    Unreadable(String),
    /// A native library answers something that it was not asked.
    #[error("the answer to another question")]
    OtherAnswer,
    /// Not one answer to each question.
    #[error("{answers} answers to {questions} questions")]
    Count {
        /// How many answers came.
        answers: usize,
        /// How many questions were asked.
        questions: usize,
    },
    /// An answer that the contract does not allow.
    #[error("{0}")]
    Bad(String),
    /// The graph of a block that is none.
    #[error(transparent)]
    Graph(Box<GraphError>),
    /// The same question got two answers.
    #[error("a different answer when asked again")]
    Changed,
    /// As another fault, with the last message that the plugin logged before.
    #[error("{fault}; the last that it said: {message}")]
    WithLog {
        /// What is wrong.
        fault: Box<Fault>,
        /// The message.
        message: String,
    },
}

impl From<GraphError> for Fault {
    fn from(error: GraphError) -> Self {
        Self::Graph(Box::new(error))
    }
}

fn after(before: &str, text: &Option<String>) -> String {
    text.as_ref().map(|text| format!("{before}{text}")).unwrap_or_default()
}

impl Fault {
    /// Whether the plugin's code panicked.
    pub fn is_panic(&self) -> bool {
        match self {
            Self::Panicked { .. } => true,
            Self::WithLog { fault, .. } => fault.is_panic(),
            _ => false,
        }
    }
}

/// An error of a trait that plugins implement.
pub trait ContractError: Sized {
    /// The reason that stands in it, where it is not more exact than that.
    fn reason_mut(&mut self) -> Option<&mut Reason>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_named_as_far_as_it_is_known() {
        let fault = || Fault::Count { answers: 1, questions: 2 };
        let error = CallError::new("graphs", fault());
        assert_eq!(error.to_string(), "`graphs`: 1 answers to 2 questions");
        let origin = PluginVersion { plugin: "npu".into(), version: "1.0.0".into() };
        let error = CallError { origin: Some(Arc::new(origin)), ..error }.about("block `conv`");
        assert_eq!(
            Reason::from(error).to_string(),
            "plugin `npu` 1.0.0, `graphs`: block `conv`: 1 answers to 2 questions"
        );
    }

    #[test]
    fn a_panic_is_one_whatever_was_said_before() {
        let place = Some("a.rs:1:2".into());
        let panicked = Fault::Panicked { place, message: Some("no data".into()) };
        assert_eq!(panicked.to_string(), "it panicked at a.rs:1:2: no data");
        let panicked = Fault::Panicked { place: None, message: None };
        assert_eq!(panicked.to_string(), "it panicked");
        let said = Fault::WithLog { fault: Box::new(panicked), message: "no data".into() };
        assert!(said.is_panic());
        assert_eq!(said.to_string(), "it panicked; the last that it said: no data");
        assert!(!Fault::Refused("it panicked".into()).is_panic());
    }
}
