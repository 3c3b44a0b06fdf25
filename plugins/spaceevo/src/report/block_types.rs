//! How several studies rank block types: whether the choice depends on the teacher.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spacewright_core::{
    rank::kendall_tau,
    space::{Hyperspace, Space},
};

use crate::{settings::TeachSettings, steps::evolve::Evolved};

/// How several studies of one hyperspace, which differ in the teacher, say, rank block types: what
/// `spacewright --json study blocks` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BlockTypesReport {
    /// The block types, in the order of the hyperspace.
    pub blocks: Vec<String>,
    /// The studies, in the order that was asked for.
    pub studies: Vec<StudyOfBlockTypes>,
    /// Kendall's τ of the scores of every two studies, in their order: 1 where both rank the block types alike, 0 by
    /// chance; none where a study scores all alike.
    pub tau: Vec<Vec<Option<f64>>>,
    /// What teachers of other blocks say: for each block type its loss within the last latency limit, relative to the
    /// geometric mean over the block types that are no teacher's, on average over the studies whose teacher has other
    /// blocks. A teacher's own blocks copy it more easily than they are good. None where no such study has the loss.
    pub relative_loss: Vec<Option<f64>>,
    /// Kendall's τ of the losses within the last limit of every two studies, over the block types that are neither
    /// teacher's.
    pub tau_of_others: Vec<Vec<Option<f64>>>,
}

/// How a study ranks block types.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StudyOfBlockTypes {
    /// Its name.
    pub study: String,
    /// Block type of its teacher; none where that is a network from outside.
    pub teacher: Option<String>,
    /// The space that it found.
    pub space: Space,
    /// For each block type the best of the spaces that have it in every stage.
    pub uniform: Vec<UniformSpace>,
}

/// A space with one block type in every stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UniformSpace {
    /// Its encoding.
    pub space: Space,
    /// Its score; higher is better.
    pub score: f64,
    /// Mean summed loss of its best subnets within each latency limit, as the search reads losses; none where no subnet
    /// is as fast.
    pub losses: Vec<Option<f64>>,
}

impl StudyOfBlockTypes {
    /// Of what the step `evolve` of a study found with its teacher.
    pub fn new(study: String, teach: &TeachSettings, evolved: &Evolved) -> Self {
        let uniform = evolved.uniform.iter().map(|scored| {
            let limits = scored.score.constraints.iter();
            UniformSpace {
                space: scored.space.clone(),
                score: scored.score.score,
                losses: limits.map(|of| (of.feasible > 0.0).then_some(of.loss)).collect(),
            }
        });
        let teacher = teach.own_block().map(str::to_owned);
        Self { study, teacher, space: evolved.space().clone(), uniform: uniform.collect() }
    }

    /// Loss of a block type within the last limit.
    fn loss(&self, block: usize) -> Option<f64> {
        self.uniform.get(block)?.losses.last().copied().flatten()
    }

    fn is_taught_by(&self, block: &str) -> bool {
        self.teacher.as_deref() == Some(block)
    }
}

impl BlockTypesReport {
    /// All studies are of this hyperspace.
    pub fn new(hyperspace: &Hyperspace, studies: Vec<StudyOfBlockTypes>) -> Self {
        let scores = |study: &StudyOfBlockTypes| -> Vec<f64> {
            study.uniform.iter().map(|uniform| uniform.score).collect()
        };
        let row = |a: &StudyOfBlockTypes| {
            studies.iter().map(|b| kendall_tau(&scores(a), &scores(b))).collect()
        };
        let tau = studies.iter().map(row).collect();
        let blocks: Vec<String> =
            hyperspace.candidates.iter().map(|candidate| candidate.block.clone()).collect();
        let relative_loss = relative_losses(&blocks, &studies);
        let of_others = |a: &StudyOfBlockTypes| {
            studies.iter().map(|b| tau_of_others(&blocks, [a, b])).collect()
        };
        let tau_of_others = studies.iter().map(of_others).collect();
        Self { blocks, tau, relative_loss, tau_of_others, studies }
    }
}

fn relative_losses(blocks: &[String], studies: &[StudyOfBlockTypes]) -> Vec<Option<f64>> {
    let is_known = |block: usize| studies.iter().all(|study| study.loss(block).is_some());
    let is_nobodys = |name: &str| !studies.iter().any(|study| study.is_taught_by(name));
    let yardstick: Vec<usize> =
        (0..blocks.len()).filter(|&block| is_known(block) && is_nobodys(&blocks[block])).collect();
    let mean = |values: Vec<f64>| {
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let unit = |study: &StudyOfBlockTypes| {
        let logarithms = yardstick.iter().filter_map(|&block| Some(study.loss(block)?.ln()));
        mean(logarithms.collect()).map(f64::exp)
    };
    let relative = |block: usize| {
        let others = studies.iter().filter(|study| !study.is_taught_by(&blocks[block]));
        mean(others.filter_map(|study| Some(study.loss(block)? / unit(study)?)).collect())
    };
    (0..blocks.len()).map(relative).collect()
}

fn tau_of_others(blocks: &[String], pair: [&StudyOfBlockTypes; 2]) -> Option<f64> {
    let losses = |block: usize| {
        let is_own = pair.iter().any(|study| study.is_taught_by(&blocks[block]));
        (!is_own).then(|| Some([pair[0].loss(block)?, pair[1].loss(block)?])).flatten()
    };
    let known: Vec<[f64; 2]> = (0..blocks.len()).filter_map(losses).collect();
    let of = |study: usize| known.iter().map(|losses| losses[study]).collect::<Vec<f64>>();
    kendall_tau(&of(0), &of(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hyperspaces::built_in;

    fn study(name: &str, teacher: Option<usize>, scores: [f64; 5]) -> StudyOfBlockTypes {
        let hyperspace = built_in("mini").unwrap();
        let uniform = scores.iter().enumerate().map(|(block, &score)| UniformSpace {
            space: Space::parse(&format!("mini-{}-0000", block.to_string().repeat(4)), &hyperspace)
                .unwrap(),
            score,
            losses: vec![None, Some(1.0 - score)],
        });
        let uniform: Vec<UniformSpace> = uniform.collect();
        let teacher = teacher.map(|block| hyperspace.candidates[block].block.clone());
        StudyOfBlockTypes { study: name.into(), teacher, space: uniform[4].space.clone(), uniform }
    }

    #[test]
    fn studies_agree_where_they_rank_block_types_alike() {
        let studies = vec![
            study("a", None, [0.1, 0.2, 0.3, 0.4, 0.5]),
            study("b", None, [0.2, 0.1, 0.6, 0.7, 0.8]),
            study("c", None, [0.5, 0.4, 0.3, 0.2, 0.1]),
            study("d", None, [0.5; 5]),
        ];
        let report = BlockTypesReport::new(&built_in("mini").unwrap(), studies);
        assert_eq!(report.blocks.len(), 5);
        assert_eq!(report.tau[0], [Some(1.0), Some(0.8), Some(-1.0), None]);
        assert_eq!(report.tau[1][0], report.tau[0][1]);
    }

    /// Losses of 0.8, 0.6, 0.4, 0.4 and 0.2; each teacher halves that of its own blocks, and the second one's are twice
    /// as large.
    #[test]
    fn no_teacher_judges_its_own_blocks() {
        let losses = [0.8, 0.6, 0.4, 0.4, 0.2];
        let by = |own: usize, unit: f64| {
            let mut scores = losses.map(|loss| 1.0 - unit * loss);
            scores[own] = 1.0 - unit * losses[own] / 2.0;
            study("a", Some(own), scores)
        };
        let report =
            BlockTypesReport::new(&built_in("mini").unwrap(), vec![by(0, 1.0), by(1, 2.0)]);
        let geometric_mean = (0.4f64 * 0.4 * 0.2).cbrt();
        for (relative, loss) in report.relative_loss.iter().zip(losses) {
            assert!((relative.unwrap() - loss / geometric_mean).abs() < 1e-12, "{relative:?}");
        }
        assert!(report.tau[0][1] < Some(0.7), "{:?}", report.tau);
        assert_eq!(report.tau_of_others[0][1], Some(1.0));
        let outside = study("b", None, losses);
        let alone = BlockTypesReport::new(&built_in("mini").unwrap(), vec![by(0, 1.0), outside]);
        assert!(alone.relative_loss[0].is_some(), "one from outside judges all");
    }
}
