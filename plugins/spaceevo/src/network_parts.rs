//! Latency of networks as the sum of their parts: blocks of stem, stages and head.

use std::collections::HashMap;

use indexmap::IndexSet;
use spacewright_core::{
    graph::{Graph, GraphHash, Shape},
    latency::{Latency, LatencyQuery, Position, Precision},
    quality::TableRow,
    space::{
        ElasticStage, Hyperspace, SubStage, Subnet, head_segments, network, stage_blocks,
        stage_blocks_batch, subnet_segments,
    },
    study::{StepContext, StepError, StudyContext},
};

use crate::error::SpaceEvoError;

/// A part of a network: one block.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkPart {
    /// Stage and index of the block within it, or the name of the head block.
    pub name: String,
    /// The block.
    pub graph: Graph,
    /// Where it stands.
    pub position: Position,
}

impl NetworkPart {
    fn key(&self) -> (GraphHash, Position) {
        (self.graph.hash(), self.position)
    }
}

/// Answers from a latency source, by graph and position.
#[derive(Debug, Default)]
pub struct PartLatencies {
    known: HashMap<(GraphHash, Position), f64>,
    /// Another target than the study's.
    target: Option<String>,
}

impl PartLatencies {
    /// From another target than the study's, if one is named.
    pub fn on(target: Option<&str>) -> Self {
        Self { target: target.map(str::to_owned), ..Self::default() }
    }

    /// Asks the source.
    pub fn latencies(
        &self,
        context: &dyn StepContext,
        queries: &[LatencyQuery],
    ) -> Result<Vec<Latency>, StepError> {
        match &self.target {
            None => context.latencies(queries),
            Some(target) => context.latencies_on(target, queries),
        }
    }

    /// Asks for all parts that are not known yet (INT8).
    pub fn ask<'a>(
        &mut self,
        context: &dyn StepContext,
        parts: impl IntoIterator<Item = &'a NetworkPart>,
    ) -> Result<(), StepError> {
        let mut asked = IndexSet::new();
        let mut queries = Vec::new();
        for part in parts {
            let key = part.key();
            if !self.known.contains_key(&key) && asked.insert(key) {
                queries.push(query(part.graph.clone(), part.position, Precision::Int8));
            }
        }
        let answers = self.latencies(context, &queries)?;
        self.known.extend(asked.into_iter().zip(answers.into_iter().map(|answer| answer.ms)));
        Ok(())
    }

    /// Milliseconds of subnets as the sums of their parts; asks for those that are not known yet.
    pub fn of(
        &mut self,
        context: &dyn StepContext,
        stages: &[ElasticStage],
        subnets: &[Subnet],
    ) -> Result<Vec<f64>, StepError> {
        let parts = |subnet: &Subnet| subnet_parts(context.study(), stages, subnet);
        let parts: Vec<_> = subnets.iter().map(parts).collect::<Result<_, _>>()?;
        self.ask(context, parts.iter().flatten())?;
        Ok(parts.iter().map(|parts| self.sum(parts)).collect::<Result<_, _>>()?)
    }

    /// Milliseconds of one part, which was asked for.
    pub fn part(&self, part: &NetworkPart) -> Result<f64, SpaceEvoError> {
        let known = self.known.get(&part.key()).copied();
        known.ok_or_else(|| SpaceEvoError::NoLatency { part: part.name.clone() })
    }

    /// Milliseconds of all parts together, each of which was asked for.
    pub fn sum<'a>(
        &self,
        parts: impl IntoIterator<Item = &'a NetworkPart>,
    ) -> Result<f64, SpaceEvoError> {
        parts.into_iter().map(|part| self.part(part)).sum()
    }
}

/// A question to the target's latency source.
pub fn query(graph: Graph, position: Position, precision: Precision) -> LatencyQuery {
    LatencyQuery { graph, precision, position }
}

/// Shape that enters choice stage `stage`, or the head where `stage` is their number.
pub fn stage_input(
    hyperspace: &Hyperspace,
    stage: usize,
    width: usize,
    resolution: usize,
) -> Shape {
    Shape::square(width, hyperspace.input_side(stage, resolution))
}

/// The sub-stages of rows of one stage and block type, and the shapes that enter them.
pub fn sub_stages<'r>(
    hyperspace: &Hyperspace,
    stage: &'r ElasticStage,
    rows: impl IntoIterator<Item = &'r TableRow>,
) -> Vec<(&'r ElasticStage, &'r SubStage, Shape)> {
    let sub_stage = |row: &'r TableRow| {
        let input = stage_input(hyperspace, row.stage, row.input_width, row.resolution);
        (stage, &row.sub_stage, input)
    };
    rows.into_iter().map(sub_stage).collect()
}

/// The width that a stem gives.
pub fn stem_width(stem: &[SubStage]) -> usize {
    stem.iter().rev().find_map(SubStage::width).unwrap_or_default()
}

/// The blocks of the sub-stages of rows of one stage and block type, row by row.
pub fn row_parts(
    study: &StudyContext,
    rows: &[TableRow],
) -> Result<Vec<Vec<NetworkPart>>, StepError> {
    let Some(first) = rows.first() else { return Ok(Vec::new()) };
    let elastic = study.hyperspace.choice_stage(first.stage, first.block, None);
    let sub_stages = sub_stages(&study.hyperspace, &elastic, rows);
    let blocks = stage_blocks_batch(&study.operators, &sub_stages)?;
    Ok(blocks.into_iter().map(|blocks| inside(&elastic.name, blocks).collect()).collect())
}

/// Blocks of a stage between other parts of a network.
fn inside(stage: &str, blocks: Vec<Graph>) -> impl Iterator<Item = NetworkPart> {
    blocks.into_iter().enumerate().map(move |(index, graph)| NetworkPart {
        name: format!("{stage}.{index}"),
        graph,
        position: Position::Inside,
    })
}

/// The blocks of the stem.
pub fn stem_parts(
    study: &StudyContext,
    stages: &[ElasticStage],
    sub_stages: &[SubStage],
    resolution: usize,
) -> Result<Vec<NetworkPart>, StepError> {
    let mut shape = Shape::square(study.hyperspace.input_channels, resolution);
    let mut parts: Vec<NetworkPart> = Vec::new();
    for (stage, sub_stage) in stages.iter().zip(sub_stages) {
        for part in inside(&stage.name, stage_blocks(&study.operators, stage, sub_stage, shape)?) {
            shape = part.graph.output_shape()?;
            parts.push(part);
        }
    }
    if let Some(first) = parts.first_mut() {
        first.position = Position::First;
    }
    Ok(parts)
}

/// The blocks of the head behind `width` channels.
pub fn head_parts(
    study: &StudyContext,
    width: usize,
    resolution: usize,
) -> Result<Vec<NetworkPart>, StepError> {
    let hyperspace = &study.hyperspace;
    let input = stage_input(hyperspace, hyperspace.stages.len(), width, resolution);
    let segments = head_segments(&study.operators, hyperspace, input)?;
    let part = |segment: spacewright_core::space::Segment| NetworkPart {
        name: segment.name,
        graph: segment.graph,
        position: Position::Inside,
    };
    let mut parts: Vec<NetworkPart> = segments.into_iter().map(part).collect();
    if let Some(last) = parts.last_mut() {
        last.position = Position::Last;
    }
    Ok(parts)
}

/// All parts of a subnet; `stages` are the elastic stages of its space.
pub fn subnet_parts(
    study: &StudyContext,
    stages: &[ElasticStage],
    subnet: &Subnet,
) -> Result<Vec<NetworkPart>, StepError> {
    let stem = study.hyperspace.stem.len();
    let mut all = stem_parts(study, &stages[..stem], &subnet.stages[..stem], subnet.resolution)?;
    let mut width = stem_width(&subnet.stages[..stem]);
    for (index, (stage, sub_stage)) in stages[stem..].iter().zip(&subnet.stages[stem..]).enumerate()
    {
        let input = stage_input(&study.hyperspace, index, width, subnet.resolution);
        let blocks = stage_blocks(&study.operators, stage, sub_stage, input)?;
        all.extend(inside(&stage.name, blocks));
        width = sub_stage.width().unwrap_or(width);
    }
    all.extend(head_parts(study, width, subnet.resolution)?);
    Ok(all)
}

/// A subnet as one graph.
pub fn whole_network(
    study: &StudyContext,
    stages: &[ElasticStage],
    subnet: &Subnet,
) -> Result<Graph, StepError> {
    Ok(network(subnet_segments(&study.operators, &study.hyperspace, stages, subnet)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_without_a_latency_is_named() {
        let part = |name: &str, width| NetworkPart {
            name: name.to_owned(),
            graph: Graph::identity(Shape::square(width, 1)),
            position: Position::Inside,
        };
        let parts = [part("stage1.0", 1), part("stage1.1", 2), part("stage2.0", 3)];
        let known = [(parts[0].key(), 0.5), (parts[1].key(), 0.25)];
        let latencies = PartLatencies { known: HashMap::from(known), target: None };
        assert_eq!(latencies.sum(&parts[..2]).unwrap(), 0.75);
        assert_eq!(
            latencies.sum(&parts).unwrap_err().to_string(),
            "no latency of `stage2.0` is known: the latency source has left it out"
        );
    }
}
