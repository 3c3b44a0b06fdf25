//! What a program asks a native library, and what the library answers: types of
//! [`core`](crate::core) as MessagePack with the names of fields.
//!
//! The format describes itself, as some of these types ask for, and keeps every bit of a number,
//! those of NaN included.

use std::{borrow::Cow, collections::BTreeMap};

use rmp_serde::{Serializer, config::BytesMode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use spacewright_core::{
    latency::{GraphColumns, Latency, Precision},
    operators::{BlockRequest, BlockType},
    quant::{ActivationRange, FloatNetwork, IntegerNetwork, TensorStats, WeightRange},
    score::{ScoreProblem, SpaceScore},
    space::Space,
    target::{Measurement, ModelInfo, ModelOutputs, TargetDescription},
};
use thiserror::Error;

use crate::{About, Kind};

/// Stands for something that the library keeps until it is told to [`Release`](Request::Release)
/// it.
pub type Handle = u64;

/// One question to a library. Each names the [`Answer`] that belongs to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request<'a> {
    /// [`Answer::About`]
    About,
    /// [`Answer::Kinds`]
    Kinds,
    /// [`Answer::OperatorSet`]
    OperatorSet,
    /// [`Answer::Graphs`]
    Graphs(Cow<'a, [BlockRequest]>),
    /// [`Answer::Hyperspaces`]
    Hyperspaces,
    /// [`Answer::Quantizer`]
    Quantizer,
    /// Scales and offsets of activations: [`Answer::Affine`]
    Activations(Cow<'a, [(TensorStats, ActivationRange)]>),
    /// Scales of the channels of a weight tensor: [`Answer::Scales`]
    Weights(Cow<'a, [TensorStats]>, WeightRange),
    /// [`Answer::Source`]
    Source,
    /// [`Answer::Latencies`]
    Latencies(Box<GraphColumns>),
    /// [`Answer::Scorer`]
    Scorer,
    /// Keeps a problem: [`Answer::Handle`]. The options are JSON.
    Prepare(Box<ScoreProblem>, String),
    /// Scores of spaces, for a problem that is kept: [`Answer::Scores`]
    Score(Handle, Cow<'a, [Space]>, u64),
    /// [`Answer::Target`]
    Target,
    /// Whether the target's runtime works: [`Answer::Done`]
    Runtime,
    /// [`Answer::Model`]
    WriteFloat(Cow<'a, FloatNetwork>, Cow<'a, ModelInfo>),
    /// [`Answer::Model`]
    WriteInteger(Cow<'a, IntegerNetwork>, Cow<'a, ModelInfo>, ModelOutputs),
    /// Keeps a model, for the thread that asks: [`Answer::Handle`]
    Load(Cow<'a, [u8]>),
    /// The output of a model for one image: [`Answer::Output`]
    Run(Handle, Cow<'a, [f32]>),
    /// [`Answer::Integers`]
    RunIntegers(Handle, Cow<'a, [f32]>),
    /// [`Answer::Operators`]
    FloatOperators(Handle),
    /// How long a model file takes: [`Answer::Measured`]
    Measure(Cow<'a, [u8]>),
    /// Keeps a problem or model no longer: [`Answer::Done`]
    Release(Handle),
    // Requests from here on came later: libraries that were built before refuse them.
    /// Whether the latency source measures: [`Answer::Measures`]
    Measures,
    /// [`Answer::RuntimeFingerprint`]
    RuntimeFingerprint,
}

impl Request<'_> {
    /// The name of the call, for people.
    pub fn call(&self) -> &'static str {
        match self {
            Self::About => "about",
            Self::Kinds => "kinds",
            Self::OperatorSet => "block-types",
            Self::Graphs(..) => "graphs",
            Self::Hyperspaces => "hyperspaces",
            Self::Quantizer => "quantizer",
            Self::Activations(..) => "activations",
            Self::Weights(..) => "weights",
            Self::Source => "latency-source",
            Self::Latencies(..) => "latencies",
            Self::Scorer => "scorer",
            Self::Prepare(..) => "prepare",
            Self::Score(..) => "score",
            Self::Target => "describe",
            Self::Runtime => "runtime",
            Self::WriteFloat(..) => "write-float",
            Self::WriteInteger(..) => "write-integer",
            Self::Load(..) => "load",
            Self::Run(..) => "run",
            Self::RunIntegers(..) => "run-integers",
            Self::FloatOperators(..) => "float-operators",
            Self::Measure(..) => "measure",
            Self::Release(..) => "release",
            Self::Measures => "measures",
            Self::RuntimeFingerprint => "runtime-fingerprint",
        }
    }
}

/// One answer of a library.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// Nothing to say.
    Done,
    /// Who the plugin is.
    About(About),
    /// What it offers.
    Kinds(Vec<Kind>),
    /// Name and block types of its operator set.
    OperatorSet(String, Vec<BlockType>),
    /// One graph per request, in text form.
    Graphs(Vec<String>),
    /// Hyperspaces as TOML.
    Hyperspaces(Vec<String>),
    /// Name of its quantizer, and whether the quantizer's answers are only where training starts.
    Quantizer(String, bool),
    /// Scale and offset per activation.
    Affine(Vec<(f32, f32)>),
    /// Scale per channel.
    Scales(Vec<f32>),
    /// Name, fingerprint and precisions of its latency source, or that of its target.
    Source(String, String, Vec<Precision>),
    /// One latency per graph.
    Latencies(Vec<Latency>),
    /// Name of its scorer.
    Scorer(String),
    /// One score per space.
    Scores(Vec<SpaceScore>),
    /// Its target, and whether that has a runtime.
    Target(Box<TargetDescription>, bool),
    /// A model file.
    Model(Vec<u8>),
    /// What a model makes of an image.
    Output(Vec<f32>),
    /// The integers of every quantized value.
    Integers(BTreeMap<String, Vec<u8>>),
    /// Operators that run in floating point.
    Operators(Vec<String>),
    /// Times of a model file.
    Measured(Measurement),
    /// Something is kept.
    Handle(Handle),
    /// Whether its latency source, or that of its target, measures.
    Measures(bool),
    /// What its target's runtime is made of.
    RuntimeFingerprint(String),
    /// The library's code panicked: where, as far as it is known, and what it said.
    Panicked(Option<String>, String),
}

/// Something that cannot be sent, or bytes that are no message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MessageError {
    /// It cannot be written as bytes.
    #[error("{0}")]
    Encode(String),
    /// It cannot be read.
    #[error("bytes that are no message: {0}")]
    Decode(String),
}

/// A message as bytes.
pub fn encode(message: &impl Serialize) -> Result<Vec<u8>, MessageError> {
    let mut bytes = Vec::new();
    let serializer = Serializer::new(&mut bytes).with_struct_map();
    let mut serializer = serializer.with_bytes(BytesMode::ForceIterables);
    message.serialize(&mut serializer).map_err(|error| MessageError::Encode(error.to_string()))?;
    Ok(bytes)
}

/// The message that these bytes are; an error says what they are not.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, MessageError> {
    rmp_serde::from_slice(bytes).map_err(|error| MessageError::Decode(error.to_string()))
}
