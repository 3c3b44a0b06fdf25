//! The networks of a study against networks trained alone: `plain.json`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spacewright_core::study::{StepError, StudyContext};

use crate::{
    network_parts::whole_network,
    settings::PlainSettings,
    steps::{
        export::ExportedNetwork,
        plain::{ImageShare, PlainAccuracy, PlainOutcome, RivalKind},
    },
};

/// The networks of a study against networks trained alone: `plain.json` in the folder of the run, which
/// `spacewright bench plain` writes. Accuracies are shares of test images, from 0 to 1, that the INT8 files classify
/// correctly on the runtime; latencies are milliseconds for one image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlainReport {
    /// How many images the study's trainings saw; an image counts once for each network that sees it.
    pub images: SeenImages,
    /// The study's networks, each once, with their rivals.
    pub networks: Vec<RivalledNetwork>,
    /// The study's networks against each kind of rival.
    pub differences: Vec<RivalDifference>,
}

/// Images that the trainings of a study saw; an image counts once for each network that sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SeenImages {
    /// Different networks that the search has found, among which the images are shared; where one that is
    /// trained alone is best for several budgets, fewer are offered.
    pub networks: usize,
    /// Images that the training of the teacher saw.
    pub teach: usize,
    /// Images that all stages with all block types saw, each a part of a network; what diverged and was repeated
    /// more slowly counts once.
    pub distil: usize,
    /// Images that the networks saw which tell what the losses of block types are worth.
    #[serde(default)]
    pub correct: usize,
    /// Images that the supernet saw, four subnets a step.
    pub train: usize,
    /// Images that the chosen subnets saw, trained alone.
    pub finetune: usize,
}

impl SeenImages {
    /// The images for one network that is trained alone.
    pub fn share(&self, share: ImageShare) -> usize {
        let all = match share {
            ImageShare::Study => {
                self.teach + self.distil + self.correct + self.train + self.finetune
            }
            ImageShare::Supernet => self.train,
        };
        all / self.networks.max(1)
    }
}

/// A network of the study with its rivals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RivalledNetwork {
    /// The smallest budget that it is offered for, in milliseconds.
    pub budget_ms: f64,
    /// Its encoding.
    pub encoding: String,
    /// INT8 latency of the whole network, in milliseconds.
    pub int8_ms: f64,
    /// Multiply-adds for one image.
    pub macs: u64,
    /// Accuracy with the weights that it is deployed with.
    pub int8_accuracy: f64,
    /// Accuracy with the supernet's weights.
    pub as_searched_accuracy: f64,
    /// Networks trained alone, from random weights, that take as long.
    pub rivals: Vec<PlainNetwork>,
}

/// A network trained alone, from random weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlainNetwork {
    /// Which network.
    pub kind: RivalKind,
    /// For how many images it was trained.
    pub share: ImageShare,
    /// How many images its training saw, in whole batches.
    pub images: usize,
    /// Encoding of its space.
    pub space: String,
    /// Its encoding.
    pub encoding: String,
    /// INT8 latency of the whole network, in milliseconds.
    pub int8_ms: f64,
    /// Multiply-adds for one image.
    pub macs: u64,
    /// Accuracy where it is quantized after training, as a mean over seeds.
    pub post_training: MeanAccuracy,
    /// Accuracy where it is trained with quantizers and learns its scales, as a mean over seeds.
    pub int8: MeanAccuracy,
    /// Accuracies of each training, by seed.
    pub trained: Vec<PlainAccuracy>,
}

/// A mean over seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MeanAccuracy {
    /// The mean.
    pub mean: f64,
    /// Its standard error; none where there is one seed.
    pub standard_error: Option<f64>,
}

impl MeanAccuracy {
    fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let standard_error = (values.len() > 1).then(|| (squares / (count - 1.0) / count).sqrt());
        Self { mean, standard_error }
    }
}

/// The study's networks less one kind of rival with learned scales, averaged over networks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RivalDifference {
    /// Which rivals.
    pub kind: RivalKind,
    /// For how many images they were trained.
    pub share: ImageShare,
    /// How many of the study's networks have such a rival.
    pub networks: usize,
    /// Difference of accuracies with the weights that the study's networks are deployed with.
    pub deployed: f64,
    /// Difference of accuracies with the supernet's weights.
    pub as_searched: f64,
    /// Standard error of both differences, by the rivals' seeds; none where there is one seed.
    pub standard_error: Option<f64>,
}

impl PlainReport {
    pub(crate) fn new(
        study: &StudyContext,
        images: SeenImages,
        settings: &PlainSettings,
        networks: &[ExportedNetwork],
        outcomes: &[PlainOutcome],
    ) -> Result<Self, StepError> {
        let mut rivalled: Vec<RivalledNetwork> = networks.iter().map(without_rivals).collect();
        for outcome in outcomes {
            let rivals = &mut rivalled[outcome.rival.network].rivals;
            rivals.extend(plain_networks(study, &images, settings, outcome)?);
        }
        let mut differences = Vec::new();
        for kind in [RivalKind::Chosen, RivalKind::Uniform] {
            for share in [ImageShare::Study, ImageShare::Supernet] {
                differences.extend(RivalDifference::new(kind, share, &rivalled));
            }
        }
        Ok(Self { images, networks: rivalled, differences })
    }
}

fn without_rivals(network: &ExportedNetwork) -> RivalledNetwork {
    let ExportedNetwork { chosen, verified, latency, .. } = network;
    RivalledNetwork {
        budget_ms: chosen.budget_ms,
        encoding: verified.encoding.clone(),
        int8_ms: latency.int8_ms,
        macs: verified.macs,
        int8_accuracy: verified.int8_accuracy,
        as_searched_accuracy: verified.as_searched_accuracy.unwrap_or(verified.int8_accuracy),
        rivals: Vec::new(),
    }
}

/// A rival by its share of the images.
fn plain_networks(
    study: &StudyContext,
    images: &SeenImages,
    settings: &PlainSettings,
    outcome: &PlainOutcome,
) -> Result<Vec<PlainNetwork>, StepError> {
    let PlainOutcome { rival, int8_ms, trained } = outcome;
    let stages = rival.space.elastic_stages(&study.hyperspace);
    let macs = whole_network(study, &stages, &rival.subnet)?.macs()?;
    let network = |(share, trained): &(ImageShare, Vec<PlainAccuracy>)| {
        let mean = |accuracy: fn(&PlainAccuracy) -> f64| {
            MeanAccuracy::of(&trained.iter().map(accuracy).collect::<Vec<f64>>())
        };
        PlainNetwork {
            kind: rival.kind,
            share: *share,
            images: settings.seen(images.share(*share)),
            space: rival.space.to_string(),
            encoding: rival.subnet.to_string(),
            int8_ms: *int8_ms,
            macs,
            post_training: mean(|accuracy| accuracy.post_training),
            int8: mean(|accuracy| accuracy.int8),
            trained: trained.clone(),
        }
    };
    Ok(trained.iter().map(network).collect())
}

impl RivalDifference {
    /// `None` where no network has such a rival.
    fn new(kind: RivalKind, share: ImageShare, networks: &[RivalledNetwork]) -> Option<Self> {
        let pairs = networks
            .iter()
            .flat_map(|network| network.rivals.iter().map(move |rival| (network, rival)));
        let pairs: Vec<_> =
            pairs.filter(|(_, rival)| (rival.kind, rival.share) == (kind, share)).collect();
        let count = pairs.len() as f64;
        let mean = |difference: &dyn Fn(&RivalledNetwork) -> f64| {
            let difference = |(own, rival): &(&RivalledNetwork, &PlainNetwork)| {
                difference(own) - rival.int8.mean
            };
            pairs.iter().map(difference).sum::<f64>() / count
        };
        let squares = pairs.iter().map(|(_, rival)| Some(rival.int8.standard_error?.powi(2)));
        let squares: Option<f64> = squares.sum();
        (!pairs.is_empty()).then(|| Self {
            kind,
            share,
            networks: pairs.len(),
            deployed: mean(&|own| own.int8_accuracy),
            as_searched: mean(&|own| own.as_searched_accuracy),
            standard_error: squares.map(|squares| squares.sqrt() / count),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rival(kind: RivalKind, accuracies: &[f64]) -> PlainNetwork {
        PlainNetwork {
            kind,
            share: ImageShare::Study,
            images: 100,
            space: "space".into(),
            encoding: "subnet".into(),
            int8_ms: 1.0,
            macs: 10,
            post_training: MeanAccuracy::of(accuracies),
            int8: MeanAccuracy::of(accuracies),
            trained: Vec::new(),
        }
    }

    fn network(int8_accuracy: f64, rivals: Vec<PlainNetwork>) -> RivalledNetwork {
        RivalledNetwork {
            budget_ms: 1.0,
            encoding: "subnet".into(),
            int8_ms: 1.0,
            macs: 10,
            int8_accuracy,
            as_searched_accuracy: int8_accuracy - 0.1,
            rivals,
        }
    }

    #[test]
    fn the_standard_error_is_that_of_the_mean() {
        let mean = MeanAccuracy::of(&[0.5, 0.7]);
        assert!((mean.mean - 0.6).abs() < 1e-12);
        assert!((mean.standard_error.unwrap() - 0.1).abs() < 1e-12);
        assert_eq!(MeanAccuracy::of(&[0.5]).standard_error, None);
    }

    #[test]
    fn differences_are_averaged_over_networks() {
        let networks = [
            network(0.8, vec![rival(RivalKind::Chosen, &[0.5, 0.7])]),
            network(0.9, vec![rival(RivalKind::Chosen, &[0.6, 0.8])]),
        ];
        let of = |kind, share| RivalDifference::new(kind, share, &networks);
        let difference = of(RivalKind::Chosen, ImageShare::Study).unwrap();
        assert_eq!(difference.networks, 2);
        assert!((difference.deployed - 0.2).abs() < 1e-12);
        assert!((difference.as_searched - 0.1).abs() < 1e-12);
        // Two errors of 0.1 each, averaged.
        assert!((difference.standard_error.unwrap() - 0.1 / 2f64.sqrt()).abs() < 1e-12);
        assert_eq!(of(RivalKind::Uniform, ImageShare::Study), None);
        assert_eq!(of(RivalKind::Chosen, ImageShare::Supernet), None);
    }

    #[test]
    fn images_are_shared_among_the_networks() {
        let images = SeenImages {
            networks: 3,
            teach: 90,
            distil: 20,
            correct: 10,
            train: 300,
            finetune: 60,
        };
        assert_eq!(images.share(ImageShare::Study), 160);
        assert_eq!(images.share(ImageShare::Supernet), 100);
    }
}
