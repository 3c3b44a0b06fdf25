//! Targets: a description that the program can work with, and latencies.

use spacewright_core::{
    graph::{ActivationKind, OpKind},
    quant::Scheme,
    target::{Target, TargetDescription, TargetError},
};

use super::{
    ConformanceReport, Outcome, about,
    item::{ItemVerdicts, legal, require},
    latency,
};
use crate::Kind;

/// Checks the description, then the latencies.
pub(super) fn check(report: &mut ConformanceReport, target: &dyn Target) {
    let mut item = ItemVerdicts::named(report, Kind::Target, || target.description().name);
    let asked = item.ask("description: the same when asked again", || {
        let description = target.description();
        require(target.description() == description, || "a different one".into())?;
        Ok::<_, String>(description)
    });
    let Some(description) = asked else { return };
    check_description(&mut item, &description);
    item.check("runtime: it is there if the target says so", || {
        let says_so = target.has_runtime();
        match target.runtime() {
            Ok(_) if !says_so => Err("the target says that it has none".to_owned()).into(),
            Err(error) if says_so && error == TargetError::no_runtime(&description.name) => {
                Err(error.reason).into()
            }
            // Its hardware, or a library, may be missing on this machine alone.
            Err(error) if says_so => Outcome::advice(Err(format!("not here: {}", error.reason))),
            _ => Outcome::Good,
        }
    });
    if let Some(source) = item.ask("latencies: the source is there", || target.latency_source()) {
        latency::judge(&mut item, source.as_ref(), &description.unsupported);
    }
}

fn check_description(item: &mut ItemVerdicts<'_>, description: &TargetDescription) {
    let TargetDescription { summary, scheme, model_format, .. } = description;
    item.advise("description: it has a summary", || about::summarized(summary));
    item.check("description: the model format is legal", || legal(model_format));
    item.check("scheme: it has a name", || {
        require(!scheme.name.trim().is_empty(), || "the name is empty".into())
    });
    item.check("scheme: fused pairs can be computed", || {
        scheme.check().map_err(|error| error.to_string())
    });
    item.advise("scheme: each fused pair matters", || pairs_matter(scheme));
    item.advise("scheme: decomposed activations can be decomposed", || decomposed(scheme));
}

/// A batch normalization counts as part of its convolution, and a dropout as nothing.
fn pairs_matter(scheme: &Scheme) -> Result<(), String> {
    let mut seen = std::collections::HashSet::new();
    scheme.fused.iter().try_for_each(|pair| {
        let (first, second) = (pair.0.name(), pair.1.name());
        require(!matches!(pair.0, OpKind::BatchNorm | OpKind::Dropout), || {
            format!("{first} with {second}: no {first} is left where operators are fused")
        })?;
        require(seen.insert(pair), || format!("{first} with {second} is there twice"))
    })
}

fn decomposed(scheme: &Scheme) -> Result<(), String> {
    let other = scheme.decomposed.iter().find(|kind| **kind != ActivationKind::Swish);
    other.map_or(Ok(()), |kind| Err(format!("{kind} stays whole; only swish can be decomposed")))
}

#[cfg(test)]
mod tests;
