//! `spacewright model run`: the classes that a model file gives to images.

use std::path::Path;

use serde::Serialize;
use spacewright_core::{data::LABELS_KEY, foreign::Escaped};

use super::request;
use crate::{
    cli::{Global, ModelRunArgs},
    foreign::{self, Found, OpenTask},
    render::{Failure, Output, Table, foreign_name},
    report::percent,
};

/// How many classes of each image are told, the likeliest first.
const TOLD: usize = 5;

#[derive(Serialize)]
struct RunReport {
    model: String,
    target: String,
    images: Vec<Classified>,
}

/// What the network says of an image.
#[derive(Serialize)]
struct Classified {
    image: String,
    /// The likeliest classes, the likeliest first; none where the image cannot be used.
    classes: Vec<ClassShare>,
    /// Why it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct ClassShare {
    /// Its position among the network's outputs.
    index: usize,
    /// What it is called, or its position.
    class: String,
    /// From 0 to 1; of all classes together 1 (softmax).
    probability: f64,
}

pub fn run(args: &ModelRunArgs, global: &Global) -> Result<Output, Failure> {
    let task = OpenTask::Run { images: args.images.clone() };
    let found = foreign::ask(&request(&args.file, task, global), global.verbose)?;
    let Found { target, summary, ran, .. } = found;
    let labels = summary.and_then(|mut summary| summary.metadata.remove(LABELS_KEY));
    let labels: Vec<&str> =
        labels.as_deref().map(|text| text.lines().collect()).unwrap_or_default();
    let images = args.images.iter().zip(ran);
    let report = RunReport {
        model: args.file.model.display().to_string(),
        target,
        images: images.map(|(image, logits)| classified(image, logits, &labels)).collect(),
    };
    let is_good = report.images.iter().all(|image| image.error.is_none());
    Ok(Output::new(text(&report), &report)?.good(is_good))
}

fn classified(image: &Path, logits: Result<Vec<f32>, String>, labels: &[&str]) -> Classified {
    let image = image.display().to_string();
    match logits {
        Ok(logits) => Classified { image, classes: likeliest(&logits, labels), error: None },
        Err(error) => Classified { image, classes: Vec::new(), error: Some(error) },
    }
}

fn likeliest(logits: &[f32], labels: &[&str]) -> Vec<ClassShare> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|x| f64::from(x - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    let mut order: Vec<usize> = (0..powers.len()).collect();
    order.sort_by(|a, b| powers[*b].total_cmp(&powers[*a]));
    let share = |index: usize| ClassShare {
        index,
        class: labels.get(index).map_or_else(|| index.to_string(), |name| (*name).to_owned()),
        probability: powers[index] / sum,
    };
    order.into_iter().take(TOLD).map(share).collect()
}

fn text(report: &RunReport) -> String {
    let mut table = Table::new(&["image", "class", "probability", "next"]);
    for Classified { image, classes, error } in &report.images {
        let told = |share: &ClassShare| (foreign_name(&share.class), percent(share.probability));
        let mut shares = classes.iter().map(told);
        let (class, probability) = match (shares.next(), error) {
            (Some(first), _) => first,
            (None, error) => (error.clone().unwrap_or_default(), String::new()),
        };
        let next = shares.next().map(|(class, share)| format!("{class} {share}"));
        table.row([Escaped(image).to_string(), class, probability, next.unwrap_or_default()]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_told_with_the_likeliest_first() {
        let shares = likeliest(&[0.0, 2.0f32.ln(), 0.0], &["a", "b"]);
        let told: Vec<(&str, f64)> =
            shares.iter().map(|share| (share.class.as_str(), share.probability)).collect();
        assert_eq!(told[0].0, "b");
        assert!((told[0].1 - 0.5).abs() < 1e-6);
        assert_eq!((told[1].0, told[2].0), ("a", "2"));
    }
}
