//! Names of what steps leave behind, with the type that is kept under them.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{Deserialize, Serialize};

/// Where an artifact is found: the task of a step.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ArtifactName {
    /// Name of the step.
    pub step: Cow<'static, str>,
    /// Name of the task within the step; [`ArtifactName::OUTPUT`] for the output of the step.
    pub task: Cow<'static, str>,
}

impl ArtifactName {
    /// The task under which the output of a step is kept. No task of a step may have this name.
    pub const OUTPUT: &'static str = "output";
}

impl fmt::Display for ArtifactName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.step, self.task)
    }
}

/// What a task of a step leaves: a result of the type `T`, and perhaps a file or a folder.
pub struct Artifact<T> {
    name: ArtifactName,
    content: PhantomData<fn() -> T>,
}

impl<T> Artifact<T> {
    /// What the task `task` of the step `step` leaves.
    pub const fn new(step: &'static str, task: &'static str) -> Self {
        let (step, task) = (Cow::Borrowed(step), Cow::Borrowed(task));
        Self { name: ArtifactName { step, task }, content: PhantomData }
    }

    /// One of several tasks of a step that leave the same type.
    pub fn of_task(step: &'static str, task: String) -> Self {
        let (step, task) = (Cow::Borrowed(step), Cow::Owned(task));
        Self { name: ArtifactName { step, task }, content: PhantomData }
    }

    /// Step and task.
    pub fn name(&self) -> &ArtifactName {
        &self.name
    }

    /// The task.
    pub fn task(&self) -> &str {
        &self.name.task
    }
}

impl<T> Clone for Artifact<T> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), content: PhantomData }
    }
}

impl<T> fmt::Debug for Artifact<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Artifact({})", self.name)
    }
}
