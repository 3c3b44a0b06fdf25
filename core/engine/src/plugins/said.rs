//! What a component says of itself: asked once, and kept with its installed copy. A component knows
//! nothing but what it is asked, so that the answers stay the same. Those of a native library may
//! depend on the machine: it is asked every time.

use std::sync::OnceLock;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use spacewright_core::{latency::Precision, operators::BlockType, target::TargetDescription};
use spacewright_plugin::{About, Kind};

/// An answer: as it is known already, or as it is given when first asked for.
#[derive(Debug)]
pub(super) struct Answer<T>(OnceLock<T>);

impl<T> Default for Answer<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T: Clone> Answer<T> {
    /// The answer; asks where it is not known.
    pub fn or_ask<E>(&self, ask: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        if let Some(known) = self.0.get() {
            return Ok(known.clone());
        }
        let given = ask()?;
        Ok(self.0.get_or_init(|| given).clone())
    }
}

impl<T: Serialize> Serialize for Answer<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.get().serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Answer<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let known = Option::<T>::deserialize(deserializer)?;
        Ok(Self(known.map(OnceLock::from).unwrap_or_default()))
    }
}

/// All that a component says of itself, as it says it: it is checked whenever it is used. A
/// component of which nothing is known is asked when it is loaded.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Said {
    /// Who it is.
    pub about: Answer<About>,
    /// What it offers.
    pub kinds: Answer<Vec<Kind>>,
    /// Name and block types of its operator set.
    pub operator_set: Answer<(String, Vec<BlockType>)>,
    /// Its hyperspaces as TOML.
    pub hyperspaces: Answer<Vec<String>>,
    /// Name of its quantizer, and whether its answers are only where training starts.
    pub quantizer: Answer<(String, bool)>,
    /// Name, fingerprint and precisions of its latency source, or that of its target.
    pub source: Answer<(String, String, Vec<Precision>)>,
    /// Name of its scorer.
    pub scorer: Answer<String>,
    /// Its target.
    pub target: Answer<TargetDescription>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_asked_for_once_and_kept() {
        let said = Said::default();
        let name = || said.scorer.or_ask(|| Ok::<_, String>("first".to_owned()));
        assert_eq!(name().unwrap(), "first");
        let kept = serde_json::to_string(&said).unwrap();
        let said: Said = serde_json::from_str(&kept).unwrap();
        let again = said.scorer.or_ask(|| Err("it is not asked again"));
        assert_eq!(again, Ok("first".to_owned()));
        assert_eq!(said.quantizer.or_ask(|| Err("asked")), Err("asked"));
    }
}
