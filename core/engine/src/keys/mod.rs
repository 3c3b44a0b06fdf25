//! What a step depends on. Equal ingredients mean equal results; their hash is the step's key.

mod changes;
mod format_1;

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spacewright_core::{
    import::{GRAPH, WEIGHTS},
    study::{AnyStep, Reference, Referred, StudyContext, TaskField},
    target::Target,
    train::{Device, Precision},
};
use spacewright_plugin::Kind;

use crate::{
    error::{EngineError, Result},
    hash,
    study::Study,
};

pub use changes::Change;
pub(crate) use format_1::key_of_format_1;

/// Changes whenever artifacts of older versions must not be used any more.
const FORMAT: u32 = 2;

/// Stands for a latency source or runtime that this machine does not have.
const UNAVAILABLE: &str = "unavailable";

/// All that a step depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ingredients {
    pub format: u32,
    /// Version of the program.
    pub program: String,
    pub method: String,
    pub step: String,
    pub seed: u64,
    /// The sections that the step declares, defaults filled in.
    pub sections: IndexMap<String, Value>,
    /// Keys of the steps that it reads, by name.
    pub inputs: IndexMap<String, String>,
    /// As text, since the order of axes matters.
    pub hyperspace: String,
    pub target: String,
    pub scheme: String,
    /// Where the step trains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<Training>,
    /// Fingerprints of the latency sources that it asks, by target.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub latencies: BTreeMap<String, String>,
    /// Fingerprints of the runtimes that write and run its model files, by target.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub runtimes: BTreeMap<String, String>,
    /// Loaded plugins that it uses: name, version and hash of each.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub plugins: BTreeSet<String>,
    /// Content hashes of the files that its sections name, by section and field.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
}

/// What a step that trains depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Training {
    /// Name and version of the trainer.
    pub trainer: Option<String>,
    /// None where the processor does not compute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// How many compute together, where that is more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<usize>,
    /// What computes, where it is not the processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// How exactly, where that is not in single precision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    pub quantizer: String,
    /// Identifies the images.
    pub images: String,
}

impl Ingredients {
    /// The key of the step.
    pub fn key(&self) -> Result<String> {
        let value = serde_json::to_value(self).map_err(unwritable)?;
        Ok(hash::of_bytes(hash::canonical(&value).as_bytes()))
    }

    /// All that the tasks of the step depend on: without the fields that say which there are.
    pub fn of_tasks(&self, fields: &[TaskField]) -> Self {
        let mut ingredients = self.clone();
        for TaskField { section, field } in fields {
            if let Some(Value::Object(section)) = ingredients.sections.get_mut(*section) {
                section.remove(*field);
            }
        }
        ingredients
    }
}

/// Where ingredients come from.
pub(crate) struct Sources<'a> {
    pub study: &'a Study,
    pub context: &'a StudyContext,
    /// Loaded plugins.
    pub loaded: &'a Identities,
    /// The target whose runtime the study's target borrows.
    pub lender: Option<&'a str>,
    /// Identifies the images; asked for only where a step trains.
    pub images: &'a dyn Fn() -> Result<String>,
    /// Identifies the latency source of a target that is not the study's own (`Some`), or of the
    /// study's own; asked for only where a step needs latencies.
    pub latency: &'a dyn Fn(Option<&str>) -> Option<String>,
}

impl Sources<'_> {
    /// What a step depends on; `inputs` holds the keys of the steps that it reads.
    pub fn ingredients(
        &self,
        step: &dyn AnyStep,
        inputs: IndexMap<String, String>,
    ) -> Result<Ingredients> {
        let Self { study, context, .. } = *self;
        let mut ingredients = Ingredients {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").into(),
            method: study.method.clone(),
            step: step.name().into(),
            seed: study.seed,
            sections: IndexMap::new(),
            inputs,
            hyperspace: text(&study.hyperspace)?,
            target: study.target.clone(),
            scheme: text(&context.target.description().scheme)?,
            training: None,
            latencies: BTreeMap::new(),
            runtimes: BTreeMap::new(),
            plugins: BTreeSet::new(),
            files: BTreeMap::new(),
        };
        let blocks = study.hyperspace.blocks();
        ingredients
            .plugins
            .extend(blocks.filter_map(|block| self.loaded.blocks.get(block).cloned()));
        self.plugin(&mut ingredients, Kind::Target, &study.target);
        let needs = step.needs();
        if needs.training {
            self.plugin(&mut ingredients, Kind::Quantizer, &study.quantizer);
            let trainer = context.trainer.as_ref();
            trainer.map_or(Ok(()), |trainer| trainer.prepare())?;
            let on_processor = context.device == Device::Cpu;
            let exact = context.precision == Precision::default();
            ingredients.training = Some(Training {
                trainer: trainer.map(|trainer| trainer.fingerprint()),
                threads: on_processor.then_some(context.threads),
                processes: (context.processes > 1).then_some(context.processes),
                device: (!on_processor).then(|| context.device.kind().to_owned()),
                precision: (!exact).then_some(context.precision),
                quantizer: study.quantizer.clone(),
                images: (self.images)()?,
            });
        }
        if needs.latencies {
            let fingerprint = (self.latency)(None).unwrap_or_else(|| UNAVAILABLE.into());
            ingredients.latencies.insert(study.target.clone(), fingerprint);
            self.plugin(&mut ingredients, Kind::LatencySource, &study.latency);
        }
        if needs.runtime {
            let (name, target) = (&study.target, context.target.as_ref());
            ingredients.runtimes.insert(name.clone(), runtime(target));
            if let Some(lender) = self.lender {
                self.plugin(&mut ingredients, Kind::Target, lender);
            }
        }
        for section in step.sections() {
            let value = study.section(section.name);
            for reference in section.references(&value)? {
                self.referred(&mut ingredients, section.name, reference)?;
            }
            ingredients.sections.insert(section.name.into(), section.as_before(value));
        }
        Ok(ingredients)
    }

    /// Adds what a field of a section names.
    fn referred(
        &self,
        ingredients: &mut Ingredients,
        section: &str,
        reference: Reference,
    ) -> Result<()> {
        match reference.to {
            Referred::Target(name) => {
                self.plugin(ingredients, Kind::Target, &name);
                let fingerprint = (self.latency)(Some(&name));
                let fingerprint = fingerprint.unwrap_or_else(|| UNAVAILABLE.into());
                ingredients.latencies.insert(name, fingerprint);
            }
            Referred::Scorer(name) => self.plugin(ingredients, Kind::Scorer, &name),
            Referred::Quantizer(name) => self.plugin(ingredients, Kind::Quantizer, &name),
            Referred::Block(name) => {
                ingredients.plugins.extend(self.loaded.blocks.get(&name).cloned());
            }
            // Strategies are built in: the version of the program stands for them.
            Referred::Strategy(_) => {}
            Referred::Format(format) => {
                for other in self.context.other_formats(&[format]) {
                    let name = other.target.description().name;
                    self.plugin(ingredients, Kind::Target, &name);
                    ingredients.runtimes.insert(name, runtime(other.target.as_ref()));
                }
            }
            Referred::Network(folder) | Referred::Tables(folder) if folder.is_empty() => {}
            Referred::Tables(folder) => {
                let content = hash::object_name(&self.study.folder.join(&folder))?;
                ingredients.files.insert(format!("[{section}] {}", reference.field), content);
            }
            Referred::Network(folder) => {
                for name in [GRAPH, WEIGHTS] {
                    let content = hash::of_file(&self.study.folder.join(&folder).join(name))?;
                    let mut named = format!("[{section}] {}, {name}", reference.field);
                    // Of several networks in a field.
                    if ingredients.files.contains_key(&named) {
                        named = format!("[{section}] {}, {folder}/{name}", reference.field);
                    }
                    ingredients.files.insert(named, content);
                }
            }
        }
        Ok(())
    }

    /// Adds the loaded plugin that offers an item, if one does.
    fn plugin(&self, ingredients: &mut Ingredients, kind: Kind, name: &str) {
        let identity = self.loaded.items.get(&(kind, name.to_owned()));
        ingredients.plugins.extend(identity.cloned());
    }
}

/// The fingerprint of a target's runtime.
fn runtime(target: &dyn Target) -> String {
    target.runtime().map_or_else(|_| UNAVAILABLE.into(), |runtime| runtime.fingerprint())
}

/// Which plugins were loaded from files: name, version and hash of each.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Identities {
    /// By what they offer.
    pub items: BTreeMap<(Kind, String), String>,
    /// By their block types.
    pub blocks: BTreeMap<String, String>,
}

fn text(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(unwritable)
}

fn unwritable(error: serde_json::Error) -> EngineError {
    EngineError::study(error.to_string()).with_source(error)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_processor_trains_in_single_precision_has_the_key_that_it_always_had() {
        let mut training = Training {
            trainer: Some("trainer 1, 2 threads".into()),
            threads: Some(2),
            processes: None,
            device: None,
            precision: None,
            quantizer: "lsq-plus".into(),
            images: "some".into(),
        };
        let key = json!({
            "trainer": "trainer 1, 2 threads",
            "threads": 2,
            "quantizer": "lsq-plus",
            "images": "some",
        });
        assert_eq!(serde_json::to_value(&training).unwrap(), key);
        assert_eq!(serde_json::from_value::<Training>(key).unwrap(), training);
        training.precision = Some(Precision::Bf16);
        assert_eq!(serde_json::to_value(&training).unwrap()["precision"], "bf16");
    }
}
