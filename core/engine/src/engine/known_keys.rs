//! Keys of the steps of a study.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use indexmap::IndexMap;
use spacewright_core::study::AnyStep;

use super::Engine;
use crate::{
    error::Result,
    keys::{Ingredients, Sources, key_of_format_1},
};

/// Ingredients and keys that were asked for before, by the names of their steps.
#[derive(Default)]
pub(super) struct KnownKeys(Mutex<HashMap<String, (Ingredients, String)>>);

impl Engine {
    /// The key of a step: equal for equal inputs.
    pub(crate) fn key(&self, step: &str) -> Result<String> {
        Ok(self.known(self.step(step)?.as_ref())?.1)
    }

    /// All that a step depends on.
    pub(crate) fn ingredients(&self, step: &dyn AnyStep) -> Result<Ingredients> {
        Ok(self.known(step)?.0)
    }

    fn known(&self, step: &dyn AnyStep) -> Result<(Ingredients, String)> {
        let owner = self.owner(step);
        if !std::ptr::eq(owner, self) {
            return owner.known(step);
        }
        let lock = || self.keys.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(step.name()).cloned() {
            return Ok(known);
        }
        let mut inputs = IndexMap::new();
        for input in step.reads() {
            inputs.insert((*input).to_owned(), self.key(input)?);
        }
        let ingredients = self.ingredients_with(step, inputs)?;
        let key = ingredients.key()?;
        lock().insert(step.name().to_owned(), (ingredients.clone(), key.clone()));
        Ok((ingredients, key))
    }

    /// All that a step depends on where those that it reads have these keys, by name.
    pub(crate) fn ingredients_with(
        &self,
        step: &dyn AnyStep,
        inputs: IndexMap<String, String>,
    ) -> Result<Ingredients> {
        let owner = self.owner(step);
        owner.with_sources(|sources| sources.ingredients(step, inputs))
    }

    /// The key that the first format of runs gave to a step of these settings; `None` where it had
    /// no such step, or where its keys left out something that the step, or one that it reads,
    /// depends on: content of files, and runtimes other than that of the study's own target.
    pub(crate) fn earlier_key(&self, step: &str) -> Result<Option<String>> {
        let earlier = self.method().earlier_steps();
        let Some(found) = earlier.iter().find(|earlier| earlier.name == step) else {
            return Ok(None);
        };
        let owner = self.owner(self.step(step)?.as_ref());
        if !std::ptr::eq(owner, self) {
            return owner.earlier_key(step);
        }
        let now = self.ingredients(self.step(step)?.as_ref())?;
        let others = now.runtimes.keys().any(|target| *target != self.study.target);
        let borrowed = self.lender.is_some() || !self.study.latency.is_empty();
        if !now.files.is_empty() || others || (borrowed && !now.runtimes.is_empty()) {
            return Ok(None);
        }
        let inputs = found.reads.iter().map(|name| self.earlier_key(name));
        let Some(inputs) = inputs.collect::<Result<Option<Vec<_>>>>()? else { return Ok(None) };
        self.with_sources(|sources| key_of_format_1(sources, found, &inputs)).map(Some)
    }

    fn with_sources<T>(&self, work: impl FnOnce(&Sources<'_>) -> Result<T>) -> Result<T> {
        let images = || self.data.fingerprint();
        let latency = |target: Option<&str>| {
            let source = match target {
                Some(target) if target != self.study.target => self.source_of(target),
                _ => self.source(),
            };
            source.ok().map(|source| source.fingerprint())
        };
        work(&Sources {
            study: &self.study,
            context: &self.context,
            loaded: &self.loaded,
            lender: self.lender.as_deref(),
            images: &images,
            latency: &latency,
        })
    }
}
