//! Latency of networks as the sum of their parts: blocks of stem, stages and head.

use std::collections::HashMap;

use spacewright_core::{
    graph::{Graph, GraphHash, Shape},
    latency::{Latency, LatencyQuery, Position, Precision},
    method::{Parts, StepContext, StepError},
    space::{
        ElasticStage, Hyperspace, SubStage, Subnet, head_segments, network, stage_blocks,
        subnet_segments,
    },
};

/// A part of a network.
pub type Part = (Graph, Position);

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
        parts: impl IntoIterator<Item = &'a Part>,
    ) -> Result<(), StepError> {
        let mut keys = Vec::new();
        let mut queries = Vec::new();
        for (graph, position) in parts {
            let key = (graph.hash(), *position);
            if !self.known.contains_key(&key) {
                self.known.insert(key.clone(), f64::NAN);
                keys.push(key);
                queries.push(query(graph.clone(), *position, Precision::Int8));
            }
        }
        for (key, latency) in keys.into_iter().zip(self.latencies(context, &queries)?) {
            self.known.insert(key, latency.ms);
        }
        Ok(())
    }

    /// Milliseconds of subnets as the sums of their parts; asks for those that are not known yet.
    pub fn of(
        &mut self,
        context: &dyn StepContext,
        stages: &[ElasticStage],
        subnets: &[Subnet],
    ) -> Result<Vec<f64>, StepError> {
        let parts = |subnet: &Subnet| subnet_parts(context.parts(), stages, subnet);
        let parts: Vec<_> = subnets.iter().map(parts).collect::<Result<_, _>>()?;
        self.ask(context, parts.iter().flatten())?;
        Ok(parts.iter().map(|parts| self.sum(parts).unwrap_or(f64::NAN)).collect())
    }

    /// Milliseconds of all parts together; `None` where one was never asked for.
    pub fn sum<'a>(&self, parts: impl IntoIterator<Item = &'a Part>) -> Option<f64> {
        let known = |(graph, position): &Part| self.known.get(&(graph.hash(), *position));
        parts.into_iter().map(known).sum()
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
    Shape::square(width, resolution.div_ceil(hyperspace.input_stride(stage)))
}

/// The blocks of a sub-stage of choice stage `stage`, behind `input_width` channels.
pub fn row_parts(
    parts: &Parts,
    stage: usize,
    block: usize,
    input_width: usize,
    resolution: usize,
    sub_stage: &SubStage,
) -> Result<Vec<Part>, StepError> {
    let elastic = parts.hyperspace.choice_stage(stage, block, None);
    let input = stage_input(&parts.hyperspace, stage, input_width, resolution);
    let blocks = stage_blocks(&parts.operators, &elastic, sub_stage, input)?;
    Ok(blocks.into_iter().map(|graph| (graph, Position::Inside)).collect())
}

/// The blocks of the stem.
pub fn stem_parts(
    parts: &Parts,
    stages: &[ElasticStage],
    sub_stages: &[SubStage],
    resolution: usize,
) -> Result<Vec<Part>, StepError> {
    let mut shape = Shape::square(parts.hyperspace.input_channels, resolution);
    let mut result = Vec::new();
    for (stage, sub_stage) in stages.iter().zip(sub_stages) {
        for graph in stage_blocks(&parts.operators, stage, sub_stage, shape)? {
            shape = graph.output_shape()?;
            let position = if result.is_empty() { Position::First } else { Position::Inside };
            result.push((graph, position));
        }
    }
    Ok(result)
}

/// The blocks of the head behind `width` channels.
pub fn head_parts(parts: &Parts, width: usize, resolution: usize) -> Result<Vec<Part>, StepError> {
    let hyperspace = &parts.hyperspace;
    let input = stage_input(hyperspace, hyperspace.stages.len(), width, resolution);
    let segments = head_segments(&parts.operators, hyperspace, input)?;
    let last = segments.len().saturating_sub(1);
    let position = |index| if index == last { Position::Last } else { Position::Inside };
    Ok(segments.into_iter().enumerate().map(|(i, s)| (s.graph, position(i))).collect())
}

/// All parts of a subnet; `stages` are the elastic stages of its space.
pub fn subnet_parts(
    parts: &Parts,
    stages: &[ElasticStage],
    subnet: &Subnet,
) -> Result<Vec<Part>, StepError> {
    let stem = parts.hyperspace.stem.len();
    let mut all = stem_parts(parts, &stages[..stem], &subnet.stages[..stem], subnet.resolution)?;
    let mut width =
        subnet.stages[..stem].iter().rev().find_map(SubStage::width).unwrap_or_default();
    for (index, (stage, sub_stage)) in stages[stem..].iter().zip(&subnet.stages[stem..]).enumerate()
    {
        let input = stage_input(&parts.hyperspace, index, width, subnet.resolution);
        let blocks = stage_blocks(&parts.operators, stage, sub_stage, input)?;
        all.extend(blocks.into_iter().map(|graph| (graph, Position::Inside)));
        width = sub_stage.width().unwrap_or(width);
    }
    all.extend(head_parts(parts, width, subnet.resolution)?);
    Ok(all)
}

/// A subnet as one graph.
pub fn whole(parts: &Parts, stages: &[ElasticStage], subnet: &Subnet) -> Result<Graph, StepError> {
    Ok(network(subnet_segments(&parts.operators, &parts.hyperspace, stages, subnet)?)?)
}
