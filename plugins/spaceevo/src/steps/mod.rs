//! The steps of the method, in terms of traits: trainer, target, scorer and strategy.

mod distil;
mod evolve;
mod export;
mod measure;
mod proxy;
mod report;
mod rivals;
mod sampled;
mod search;
mod spaces;
mod teach;
mod train;

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;
use spacewright_core::{
    method::{Method, Parts, SettingsSection, StepContext, StepError, StepSpec},
    train::Trainer,
};

pub(crate) use evolve::{Device, Evolved};
pub(crate) use export::Verified;
pub(crate) use measure::Measured;
pub(crate) use search::{Chosen, Searched};

use crate::settings::{self, MeasureSettings};

/// SpaceEvo (arXiv 2303.08308): distil every block alone, search for the space, train one
/// quantized supernet over it, search for subnets.
pub struct SpaceEvo;

impl Method for SpaceEvo {
    fn name(&self) -> &str {
        "spaceevo"
    }

    fn steps(&self) -> Vec<StepSpec> {
        let step =
            |name: &str, summary: &str, after: &[&str], sections: &[&str], trains| StepSpec {
                name: name.to_owned(),
                summary: summary.to_owned(),
                after: after.iter().map(|name| (*name).to_owned()).collect(),
                settings: sections.iter().map(|name| (*name).to_owned()).collect(),
                trains,
                extra: false,
                shared: false,
            };
        let extra = |step: StepSpec| StepSpec { extra: true, ..step };
        let shared = |step: StepSpec| StepSpec { shared: true, ..step };
        vec![
            step(
                "measure",
                "measure the blocks of the quality tables",
                &[],
                &["tables", "measure"],
                false,
            ),
            shared(step("teach", "train the teacher and keep its features", &[], &["teach"], true)),
            shared(step(
                "distil",
                "distil every stage with every block type; judge the rows of the quality tables",
                &["teach"],
                &["tables", "distil"],
                true,
            )),
            step(
                "evolve",
                "search for the best space",
                &["measure", "distil"],
                &["tables", "measure", "evolve"],
                false,
            ),
            step(
                "train",
                "train the supernet of the space",
                &["teach", "distil", "evolve"],
                &["train"],
                true,
            ),
            step(
                "search",
                "search for the best subnet within each budget",
                &["measure", "evolve", "train"],
                &["search"],
                true,
            ),
            step(
                "export",
                "write and verify model files",
                &["evolve", "train", "search"],
                &["export"],
                true,
            ),
            step(
                "report",
                "say what was found",
                &["measure", "teach", "distil", "evolve", "train", "search", "export"],
                &["evolve"],
                false,
            ),
            extra(step(
                rivals::RANDOM,
                "train the supernet of a random space",
                &["teach", "distil", "evolve"],
                &["train", "rivals"],
                true,
            )),
            extra(step(
                rivals::MANUAL,
                "train the supernets of the manual spaces",
                &["teach", "distil", "evolve"],
                &["train", "rivals"],
                true,
            )),
            extra(step(
                "proxy",
                "compare block-wise losses of subnets with their accuracy",
                &["teach", "distil", "evolve", "train", rivals::RANDOM],
                &["distil", "rivals", "proxy"],
                true,
            )),
            extra(step(
                "spaces",
                "compare the space with a random one and the manual ones",
                &["measure", "evolve", "train", "search", rivals::RANDOM, rivals::MANUAL],
                &["search", "rivals", "spaces"],
                true,
            )),
        ]
    }

    fn sections(&self) -> Vec<SettingsSection> {
        settings::sections()
    }

    fn check_settings(&self, section: &str, value: &Value) -> Result<Value, StepError> {
        settings::check(section, value)
    }

    fn check(&self, parts: &Parts, settings: &dyn Fn(&str) -> Value) -> Result<(), StepError> {
        let measure: MeasureSettings = serde_json::from_value(settings("measure"))?;
        let limits = measure.budgets.len();
        measure::check(parts, &measure)?;
        let several = !measure.also.is_empty();
        evolve::check(parts, &serde_json::from_value(settings("evolve"))?, limits, several)?;
        rivals::check(parts, &serde_json::from_value(settings("rivals"))?)?;
        teach::check(parts, &serde_json::from_value(settings("teach"))?)?;
        export::check_settings(parts, &serde_json::from_value(settings("export"))?)
    }

    fn run(&self, step: &str, context: &dyn StepContext) -> Result<(), StepError> {
        match step {
            "measure" => measure::run(context),
            "teach" => teach::run(context),
            "distil" => distil::run(context),
            "evolve" => evolve::run(context),
            "train" => train::run(context),
            "search" => search::run(context),
            "export" => export::run(context),
            "report" => report::run(context),
            rivals::RANDOM => rivals::train_random(context),
            rivals::MANUAL => rivals::train_manual(context),
            "proxy" => proxy::run(context),
            "spaces" => spaces::run(context),
            _ => Err(StepError::Failed(format!("the method `spaceevo` has no step `{step}`"))),
        }
    }
}

/// The item of this name, or an error that names the field of the study and what is known.
fn named<'a, T>(
    field: &str,
    name: &str,
    all: &'a indexmap::IndexMap<String, T>,
) -> Result<&'a T, StepError> {
    all.get(name).ok_or_else(|| StepError::Study {
        message: format!("{field}: there is no `{name}`"),
        hint: format!("known are {}", all.keys().cloned().collect::<Vec<_>>().join(", ")),
    })
}

fn trainer(context: &dyn StepContext) -> Result<Arc<dyn Trainer>, StepError> {
    context.parts().trainer.clone().ok_or_else(|| StepError::Study {
        message: "this program was built without a trainer".into(),
        hint: "build it with the feature `torch`".into(),
    })
}

fn result<T: DeserializeOwned>(context: &dyn StepContext, artifact: &str) -> Result<T, StepError> {
    Ok(serde_json::from_value(context.result(artifact)?)?)
}
