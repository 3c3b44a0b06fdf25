//! Which elastic tensors a set of graphs needs, and how large.
//!
//! A weight is allocated at the largest shape that any configuration asks for; a configuration
//! uses the first channels of each axis and the centre of the kernel.

use std::collections::BTreeMap;

use spacewright_core::{
    graph::{Graph, Op, Shape, WeightRole},
    operators::{BlockConfig, OperatorError, Operators},
    quant::{ActivationRange, Scheme, WeightRange, place},
    space::{
        BlockChoice, Candidate, ElasticStage, Hyperspace, SubStage, head_segments,
        stage_graph_batch,
    },
    train::TrainError,
};

/// Shapes of all tensors, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layout {
    /// `<node>.<role>`: largest shape.
    pub weights: BTreeMap<String, (WeightRole, Vec<usize>)>,
    /// Nodes that have weight scales, with the integers that their weights may be.
    pub weight_scales: BTreeMap<String, WeightRange>,
    /// Quantized values.
    pub activations: BTreeMap<String, ActivationRange>,
    /// By concatenation, channels of all its inputs but the last.
    joined: BTreeMap<String, Vec<usize>>,
}

impl Layout {
    /// Enlarges the layout so that a graph fits.
    pub fn include(&mut self, graph: &Graph, scheme: &Scheme) -> Result<(), TrainError> {
        let placed = place(graph, scheme)?;
        for spec in placed.graph.weights()? {
            let node = &placed.graph.nodes[spec.node].name;
            if let (WeightRole::Weight, Some(range)) = (spec.role, placed.weights[spec.node]) {
                self.weight_scales.insert(node.clone(), range);
            }
            let entry = self.weights.entry(spec.name.clone());
            let (_, largest) = entry.or_insert_with(|| (spec.role, spec.shape.clone()));
            if spec.grouped && *largest != spec.shape {
                let (node, first, second) = (node.clone(), largest.clone(), spec.shape);
                return Err(TrainError::ElasticGroups { node, first, second });
            }
            for (size, needed) in largest.iter_mut().zip(&spec.shape) {
                *size = (*size).max(*needed);
            }
        }
        for (_, name, range) in placed.quantized() {
            self.activations.entry(name.to_owned()).or_insert(range);
        }
        self.include_joined(&placed.graph)
    }

    /// What reads the channels of several values has its weights in their order.
    fn include_joined(&mut self, graph: &Graph) -> Result<(), TrainError> {
        let shapes = graph.shapes()?;
        for node in graph.nodes.iter().filter(|node| node.op == Op::Concat) {
            let before = node.inputs.iter().rev().skip(1).rev();
            let second: Vec<usize> = before.map(|input| shapes[input.index()].channels).collect();
            let first = self.joined.entry(node.name.clone()).or_insert_with(|| second.clone());
            if *first != second {
                let (node, first) = (node.name.clone(), first.clone());
                return Err(TrainError::ElasticConcat { node, first, second });
            }
        }
        Ok(())
    }

    /// Includes every block that an elastic stage can have behind any of `input_widths`; the
    /// input is `size` pixels wide.
    pub fn include_stage(
        &mut self,
        operators: &Operators,
        scheme: &Scheme,
        stage: &ElasticStage,
        input_widths: &[usize],
        size: usize,
    ) -> Result<(), TrainError> {
        for graph in first_blocks(operators, stage, input_widths, size)? {
            self.include(&graph, scheme)?;
        }
        if stage.depths[1] == 1 {
            return Ok(());
        }
        let later = ElasticStage { stride: 1, ..stage.clone() };
        let size = size.div_ceil(stage.stride);
        let blocks = first_blocks(operators, &later, &stage.widths, size)?;
        for position in 1..stage.depths[1] {
            let (from, to) = (format!("{}.0.", stage.name), format!("{}.{position}.", stage.name));
            for graph in &blocks {
                self.include(&renamed(graph.clone(), &from, &to), scheme)?;
            }
        }
        Ok(())
    }

    /// The layout of a whole supernet: elastic stages and the hyperspace's head.
    pub fn of_supernet(
        operators: &Operators,
        scheme: &Scheme,
        hyperspace: &Hyperspace,
        stages: &[ElasticStage],
        resolution: usize,
    ) -> Result<Self, TrainError> {
        let mut layout = Self::default();
        let mut widths = vec![hyperspace.input_channels];
        let mut size = resolution;
        for stage in stages {
            layout.include_stage(operators, scheme, stage, &widths, size)?;
            widths.clone_from(&stage.widths);
            size = size.div_ceil(stage.stride);
        }
        for &width in &widths {
            for segment in head_segments(operators, hyperspace, Shape::square(width, size))? {
                layout.include(&segment.graph, scheme)?;
            }
        }
        Ok(layout)
    }
}

fn renamed(mut graph: Graph, from: &str, to: &str) -> Graph {
    for node in &mut graph.nodes {
        if let Some(rest) = node.name.strip_prefix(from) {
            node.name = format!("{to}{rest}");
        }
    }
    graph
}

/// The graphs of a stage's first block in every configuration and width, behind inputs of each of
/// these widths; the input is `size` pixels wide.
pub fn first_blocks(
    operators: &Operators,
    stage: &ElasticStage,
    input_widths: &[usize],
    size: usize,
) -> Result<Vec<Graph>, OperatorError> {
    let mut blocks = Vec::new();
    for config in configs(&stage.candidate) {
        for &input in input_widths {
            for &width in &stage.widths {
                let choice = BlockChoice { width, config: config.clone() };
                blocks.push((Shape::square(input, size), SubStage { blocks: vec![choice] }));
            }
        }
    }
    let requests: Vec<_> =
        blocks.iter().map(|(input, sub_stage)| (stage, sub_stage, *input)).collect();
    stage_graph_batch(operators, &requests)
}

/// Every configuration of a candidate.
fn configs(candidate: &Candidate) -> Vec<BlockConfig> {
    candidate.choices.iter().fold(vec![BlockConfig::default()], |configs, (axis, values)| {
        let extended = |config: &BlockConfig, value: f64| {
            let mut config = config.clone();
            config.0.insert(axis.clone(), value);
            config
        };
        configs.iter().flat_map(|c| values.iter().map(move |&value| extended(c, value))).collect()
    })
}

#[cfg(test)]
mod tests {
    use spacewright_core::graph::{ConvSpec, GraphBuilder};

    use super::*;
    use crate::testing;

    /// A graph that joins branches of these widths.
    fn joined(widths: &[usize]) -> Graph {
        let mut b = GraphBuilder::new(Shape::square(3, 8));
        let x = b.input();
        let branch = |(at, width): (usize, &usize)| {
            b.conv(&format!("branch{at}"), x, ConvSpec::new(*width, 1))
        };
        let branches: Vec<_> = widths.iter().enumerate().map(branch).collect();
        let all = b.concat("all", &branches);
        let y = b.conv("project", all, ConvSpec::new(4, 1));
        b.finish(y)
    }

    #[test]
    fn channels_behind_an_elastic_width_would_move() {
        let scheme = testing::context().job.scheme;
        let mut layout = Layout::default();
        layout.include(&joined(&[8, 4, 4]), &scheme).unwrap();
        layout.include(&joined(&[8, 4, 6]), &scheme).unwrap();
        assert_eq!(layout.weights["project.weight"].1, [4, 18, 1, 1]);
        let error = layout.include(&joined(&[6, 4, 6]), &scheme).unwrap_err().to_string();
        assert_eq!(
            error,
            "node `all`: what is concatenated cannot be elastic in width, but for the last of it \
             ([8, 4] and [6, 4] channels before)"
        );
    }
}
