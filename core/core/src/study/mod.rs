//! What a study is made of: settings that are declared once, steps that declare what they read, and
//! artifacts with types.
//!
//! A [`Method`] is a list of [`Step`]s. A step says in one place what its name is, which steps it
//! reads, which [`Section`]s of the study file it depends on and what it puts out. The engine runs
//! it, keeps its output and the results of its tasks, and hands them to later steps as [`Artifact`]s:
//! `context.get(&artifact)` gives the type that was kept.

mod artifact;
mod context;
mod description;
mod duration;
mod error;
mod field;
mod reference;
mod report_schema;
mod section;
mod step;
mod task;

use std::sync::Arc;

pub use artifact::{Artifact, ArtifactName};
pub use context::{OtherFormat, StepContext, StudyContext};
pub use description::{FieldDescription, SectionDescription};
pub use duration::duration;
pub use error::{FileError, StepError};
pub use field::{FieldError, FieldProblem};
pub use reference::{Reference, Referred};
pub use report_schema::report_schema;
pub use section::{Section, SectionKind};
pub use step::{AnyStep, FlagValue, SettingsOfStep, Step, StepFlag, StepNeeds, TaskField};
pub use task::{ErasedTask, Place, Task, TaskFiles};

/// A sequence of steps that turns a study's settings into networks.
pub trait Method: Send + Sync {
    /// Name in study files.
    fn name(&self) -> &str;

    /// The steps, in order: each reads earlier ones only.
    fn steps(&self) -> Vec<Arc<dyn AnyStep>>;

    /// The steps as an earlier version of the method declared them, in order, but for those that read
    /// images: artifacts of runs that it made are taken over where all that they depend on is the same.
    fn earlier_steps(&self) -> Vec<EarlierStep> {
        Vec::new()
    }
}

/// A step as an earlier version of a method declared it.
#[derive(Debug, Clone, PartialEq)]
pub struct EarlierStep {
    /// Its name: artifacts of the step that has this name now are the same.
    pub name: &'static str,
    /// Names of the steps that it read.
    pub reads: &'static [&'static str],
    /// Names of the sections that it depended on.
    pub sections: &'static [&'static str],
    /// Fields that its sections did not have yet.
    pub later_fields: &'static [LaterField],
}

/// A number of a section that was added after an earlier version.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LaterField {
    /// Name of the section.
    pub section: &'static str,
    /// Name of the field.
    pub field: &'static str,
    /// With this value the step does what it did before.
    pub as_before: f64,
}

/// The sections that the steps of a method depend on, each once, in the order of the steps.
pub fn sections_of(steps: &[Arc<dyn AnyStep>]) -> Vec<SectionKind> {
    let mut sections: Vec<SectionKind> = Vec::new();
    for section in steps.iter().flat_map(|step| step.sections()) {
        if !sections.iter().any(|known| known.name == section.name) {
            sections.push(section);
        }
    }
    sections
}
