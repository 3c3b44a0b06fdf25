//! What a section of a study names: part of the keys of the steps that depend on the section.

/// A field of a section that names something outside of the study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Path of the field within its section.
    pub field: &'static str,
    /// What it names.
    pub to: Referred,
}

impl Reference {
    /// What a field names.
    pub fn new(field: &'static str, to: Referred) -> Self {
        Self { field, to }
    }
}

/// Something that a study names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Referred {
    /// A target whose latencies are asked for.
    Target(String),
    /// A scorer.
    Scorer(String),
    /// A strategy.
    Strategy(String),
    /// A quantizer.
    Quantizer(String),
    /// A block type.
    Block(String),
    /// A format of model files, with whose runtime they are written and verified; `all` for every
    /// format that something here writes and runs.
    Format(String),
    /// The folder of a network, as an import makes it, relative to the study; empty for none. Its path and the
    /// content of its files count.
    Network(String),
    /// The folder of published quality tables, relative to the study; empty for none. The content of its files counts.
    Tables(String),
}

impl Referred {
    /// The kind, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Target(_) => "target",
            Self::Scorer(_) => "scorer",
            Self::Strategy(_) => "strategy",
            Self::Quantizer(_) => "quantizer",
            Self::Block(_) => "block type",
            Self::Format(_) => "format",
            Self::Network(_) => "network",
            Self::Tables(_) => "folder of tables",
        }
    }

    /// The name that the study gives.
    pub fn name(&self) -> &str {
        match self {
            Self::Target(name)
            | Self::Scorer(name)
            | Self::Strategy(name)
            | Self::Quantizer(name)
            | Self::Block(name)
            | Self::Format(name)
            | Self::Network(name)
            | Self::Tables(name) => name,
        }
    }
}
