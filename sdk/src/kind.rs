//! The kinds of things that a plugin offers.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What a plugin can offer. The names are those of the interfaces in `wit/plugin.wit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Block types.
    OperatorSet,
    /// Candidate spaces as data.
    Hyperspace,
    /// Scales and zero points.
    Quantizer,
    /// Milliseconds of graphs.
    LatencySource,
    /// How good spaces are.
    Scorer,
    /// A piece of hardware with its runtime.
    Target,
}

impl Kind {
    /// Every kind, in the order of declaration.
    pub const ALL: [Self; 6] = [
        Self::OperatorSet,
        Self::Hyperspace,
        Self::Quantizer,
        Self::LatencySource,
        Self::Scorer,
        Self::Target,
    ];

    /// The name used in text.
    pub fn name(self) -> &'static str {
        match self {
            Self::OperatorSet => "operator-set",
            Self::Hyperspace => "hyperspace",
            Self::Quantizer => "quantizer",
            Self::LatencySource => "latency-source",
            Self::Scorer => "scorer",
            Self::Target => "target",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|kind| kind.name()).collect();
            format!("no kind `{text}`; there are {}", known.join(", "))
        })
    }
}
