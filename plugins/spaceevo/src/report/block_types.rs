//! How several studies rank block types: whether the choice depends on the teacher.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spacewright_core::{
    rank::kendall_tau,
    space::{Hyperspace, Space},
};

use crate::steps::evolve::Evolved;

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
}

/// How a study ranks block types.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StudyOfBlockTypes {
    /// Its name.
    pub study: String,
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
    /// Of what the step `evolve` of a study found.
    pub fn new(study: String, evolved: &Evolved) -> Self {
        let uniform = evolved.uniform.iter().map(|scored| {
            let limits = scored.score.constraints.iter();
            UniformSpace {
                space: scored.space.clone(),
                score: scored.score.score,
                losses: limits.map(|of| (of.feasible > 0.0).then_some(of.loss)).collect(),
            }
        });
        Self { study, space: evolved.space().clone(), uniform: uniform.collect() }
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
        let blocks = hyperspace.candidates.iter().map(|candidate| candidate.block.clone());
        Self { blocks: blocks.collect(), tau: studies.iter().map(row).collect(), studies }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hyperspaces::built_in;

    fn study(name: &str, scores: [f64; 5]) -> StudyOfBlockTypes {
        let hyperspace = built_in("mini").unwrap();
        let uniform = scores.iter().enumerate().map(|(block, &score)| UniformSpace {
            space: Space::parse(&format!("mini-{}-0000", block.to_string().repeat(4)), &hyperspace)
                .unwrap(),
            score,
            losses: vec![None, Some(1.0 - score)],
        });
        let uniform: Vec<UniformSpace> = uniform.collect();
        StudyOfBlockTypes { study: name.into(), space: uniform[4].space.clone(), uniform }
    }

    #[test]
    fn studies_agree_where_they_rank_block_types_alike() {
        let studies = vec![
            study("a", [0.1, 0.2, 0.3, 0.4, 0.5]),
            study("b", [0.2, 0.1, 0.6, 0.7, 0.8]),
            study("c", [0.5, 0.4, 0.3, 0.2, 0.1]),
            study("d", [0.5; 5]),
        ];
        let report = BlockTypesReport::new(&built_in("mini").unwrap(), studies);
        assert_eq!(report.blocks.len(), 5);
        assert_eq!(report.tau[0], [Some(1.0), Some(0.8), Some(-1.0), None]);
        assert_eq!(report.tau[1][0], report.tau[0][1]);
    }
}
