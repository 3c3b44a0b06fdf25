//! Networks in other formats than that of the study's target.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use spacewright_core::{
    method::{Parts, StepError},
    target::{Runtime, Target},
};

/// Stands for every format that something here can run.
const ALL: &str = "all";

/// The trained integers of a network in another format, as another runtime computes them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Translated {
    pub format: String,
    /// Whose runtime ran it.
    pub target: String,
    /// Share of the test images.
    pub int8_accuracy: f64,
    /// Share of the test images to which training gives the same class.
    pub identical_predictions: f64,
    /// Operators that run in floating point.
    pub float_operators: Vec<String>,
    /// Size of the file.
    pub bytes: usize,
}

/// Who writes and runs a format.
pub struct Other {
    pub format: String,
    pub target: String,
    pub runtime: Arc<dyn Runtime>,
}

/// The formats that are asked for besides that of the study's target.
pub fn others(study: &Parts, asked: &[String]) -> Result<Vec<Other>, StepError> {
    let targets = known(study);
    let own = study.target.description().model_format;
    // What is not there is only missed where it is asked for by name.
    let there = targets.iter().filter(|(_, target)| target.runtime().is_ok());
    let all = || there.map(|(format, _)| format.clone()).collect::<Vec<_>>();
    let mut formats: Vec<String> =
        if asked.iter().any(|format| format == ALL) { all() } else { asked.to_vec() };
    formats.retain(|format| *format != own);
    formats.sort();
    formats.dedup();
    let other = |format: String| {
        let found = targets.iter().find(|(known, _)| *known == format);
        let (format, target) = found.cloned().ok_or_else(|| unknown(study, &format))?;
        let runtime = target.runtime()?;
        Ok(Other { format, target: target.description().name, runtime })
    };
    formats.into_iter().map(other).collect()
}

/// Whether every format that is asked for can be written and run.
pub fn check(study: &Parts, asked: &[String]) -> Result<(), StepError> {
    let known = known(study);
    let is_known =
        |format: &&String| *format == ALL || known.iter().any(|(known, _)| known == *format);
    if let Some(format) = asked.iter().find(|format| !is_known(format)) {
        return Err(unknown(study, format));
    }
    for (_, target) in known.iter().filter(|(format, _)| asked.contains(format)) {
        target.runtime()?;
    }
    Ok(())
}

/// Every format with the first target that runs it.
fn known(study: &Parts) -> Vec<(String, Arc<dyn Target>)> {
    let mut known: Vec<(String, Arc<dyn Target>)> = Vec::new();
    for target in study.targets.values().filter(|target| target.has_runtime()) {
        let description = target.description();
        let new = known.iter().all(|(format, _)| *format != description.model_format);
        if description.executes && new {
            known.push((description.model_format, target.clone()));
        }
    }
    known
}

fn unknown(study: &Parts, format: &str) -> StepError {
    let mut known: Vec<String> = known(study).into_iter().map(|(format, _)| format).collect();
    known.push(ALL.into());
    StepError::Study {
        message: format!("[export] formats: nothing here writes and runs `{format}` files"),
        hint: format!("known are {}", known.join(", ")),
    }
}
