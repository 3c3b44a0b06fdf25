//! Steps: what they declare, and how the engine sees them.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    Artifact, ArtifactName, FieldError, Section, SectionKind, StepContext, StepError, StudyContext,
};

/// What a step uses of a study besides its settings and the steps that it reads: each is part of
/// its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StepNeeds {
    /// The trainer with its number of threads, the images, and the quantizer that trains.
    pub training: bool,
    /// Latencies of the study's target.
    pub latencies: bool,
    /// The runtime that writes and runs model files of the study's target.
    pub runtime: bool,
}

impl StepNeeds {
    /// Nothing but settings and other steps.
    pub const NOTHING: Self = Self { training: false, latencies: false, runtime: false };
    /// See [`StepNeeds::training`].
    pub const TRAINING: Self = Self { training: true, ..Self::NOTHING };
    /// See [`StepNeeds::latencies`].
    pub const LATENCIES: Self = Self { latencies: true, ..Self::NOTHING };
}

/// A flag of the command that runs a step; it stands for a field of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepFlag {
    /// The flag, without dashes.
    pub flag: &'static str,
    /// What it takes.
    pub value: FlagValue,
    /// Name of the section.
    pub section: &'static str,
    /// The field that it sets.
    pub field: &'static str,
    /// What it is for, in a sentence.
    pub help: &'static str,
}

/// What a flag takes, with what its value is called in the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagValue {
    /// A text; the flag may be given several times, and the field is a list of texts.
    Texts(&'static str),
    /// A number that counts something.
    Number(&'static str),
}

/// A field that says which tasks a step has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskField {
    /// Name of the section.
    pub section: &'static str,
    /// The field.
    pub field: &'static str,
}

impl TaskField {
    /// A field of a section.
    pub const fn new(section: &'static str, field: &'static str) -> Self {
        Self { section, field }
    }
}

/// A step of a method: all of it in one place.
pub trait Step: Send + Sync + 'static {
    /// Its name: that of its command and of its folder of artifacts.
    const NAME: &'static str;
    /// What it does, in a few words.
    const SUMMARY: &'static str;
    /// Names of the steps whose artifacts it reads.
    const READS: &'static [&'static str];
    /// What else it uses.
    const NEEDS: StepNeeds;
    /// Whether it is no part of a run: it runs only where it is asked for by name, after the steps
    /// that it reads. A step of a run never reads one.
    const EXTRA: bool = false;
    /// Whether another study, perhaps for another target, may take what it made: it depends on no
    /// latency, and reads only steps that are shared as well.
    const SHARED: bool = false;
    /// Flags of its command.
    const FLAGS: &'static [StepFlag] = &[];
    /// Fields that say which tasks there are, and nothing of what a task computes: where no more than these have
    /// changed, tasks that have finished are taken over.
    const TASK_FIELDS: &'static [TaskField] = &[];
    /// Its output, kept for later steps.
    const OUTPUT: Artifact<Self::Output> = Artifact::new(Self::NAME, ArtifactName::OUTPUT);

    /// The sections that it depends on: one [`Section`], or a tuple of them.
    type Settings: SettingsOfStep;

    /// What it finds out.
    type Output: Serialize + DeserializeOwned;

    /// Checks the settings against the rest of the study, before anything runs.
    fn check(&self, study: &StudyContext, settings: &Self::Settings) -> Result<(), FieldError> {
        let _ = (study, settings);
        Ok(())
    }

    /// Runs it.
    fn run(
        &self,
        context: &dyn StepContext,
        settings: Self::Settings,
    ) -> Result<Self::Output, StepError>;
}

/// One or several sections, read together.
pub trait SettingsOfStep: Sized {
    /// The sections.
    fn kinds() -> Vec<SectionKind>;

    /// Reads them; `value` gives each section, defaults filled in.
    fn read(value: &dyn Fn(&str) -> Value) -> Result<Self, FieldError>;
}

impl SettingsOfStep for () {
    fn kinds() -> Vec<SectionKind> {
        Vec::new()
    }

    fn read(_: &dyn Fn(&str) -> Value) -> Result<Self, FieldError> {
        Ok(())
    }
}

impl<S: Section> SettingsOfStep for S {
    fn kinds() -> Vec<SectionKind> {
        vec![SectionKind::of::<S>()]
    }

    fn read(value: &dyn Fn(&str) -> Value) -> Result<Self, FieldError> {
        S::from_value(value(S::NAME))
    }
}

macro_rules! tuples {
    ($(($($section:ident),+);)*) => {
        $(impl<$($section: Section),+> SettingsOfStep for ($($section,)+) {
            fn kinds() -> Vec<SectionKind> {
                vec![$(SectionKind::of::<$section>()),+]
            }

            fn read(value: &dyn Fn(&str) -> Value) -> Result<Self, FieldError> {
                Ok(($($section::from_value(value($section::NAME))?,)+))
            }
        })*
    };
}

tuples! {
    (A, B);
    (A, B, C);
    (A, B, C, D);
    (A, B, C, D, E);
    (A, B, C, D, E, F);
}

/// A step whose types are not known: how the engine sees it.
pub trait AnyStep: Send + Sync {
    /// See [`Step::NAME`].
    fn name(&self) -> &'static str;
    /// See [`Step::SUMMARY`].
    fn summary(&self) -> &'static str;
    /// See [`Step::READS`].
    fn reads(&self) -> &'static [&'static str];
    /// See [`Step::NEEDS`].
    fn needs(&self) -> StepNeeds;
    /// See [`Step::EXTRA`].
    fn is_extra(&self) -> bool;
    /// See [`Step::SHARED`].
    fn is_shared(&self) -> bool;
    /// See [`Step::FLAGS`].
    fn flags(&self) -> &'static [StepFlag];
    /// See [`Step::TASK_FIELDS`].
    fn task_fields(&self) -> &'static [TaskField];
    /// The sections that it depends on.
    fn sections(&self) -> Vec<SectionKind>;
    /// See [`Step::check`]; `value` gives each section, defaults filled in.
    fn check(&self, study: &StudyContext, value: &dyn Fn(&str) -> Value) -> Result<(), FieldError>;
    /// See [`Step::run`]; the output as JSON.
    fn run(
        &self,
        context: &dyn StepContext,
        value: &dyn Fn(&str) -> Value,
    ) -> Result<Value, StepError>;
}

impl<S: Step> AnyStep for S {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn summary(&self) -> &'static str {
        S::SUMMARY
    }

    fn reads(&self) -> &'static [&'static str] {
        S::READS
    }

    fn needs(&self) -> StepNeeds {
        S::NEEDS
    }

    fn is_extra(&self) -> bool {
        S::EXTRA
    }

    fn is_shared(&self) -> bool {
        S::SHARED
    }

    fn flags(&self) -> &'static [StepFlag] {
        S::FLAGS
    }

    fn task_fields(&self) -> &'static [TaskField] {
        S::TASK_FIELDS
    }

    fn sections(&self) -> Vec<SectionKind> {
        S::Settings::kinds()
    }

    fn check(&self, study: &StudyContext, value: &dyn Fn(&str) -> Value) -> Result<(), FieldError> {
        Step::check(self, study, &S::Settings::read(value)?)
    }

    fn run(
        &self,
        context: &dyn StepContext,
        value: &dyn Fn(&str) -> Value,
    ) -> Result<Value, StepError> {
        let output = Step::run(self, context, S::Settings::read(value)?)?;
        Ok(serde_json::to_value(output)?)
    }
}
