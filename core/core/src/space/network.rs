//! From subnets to graphs.
//!
//! Operator sets are asked for the blocks of many stages, or of a whole subnet, at once: the shape
//! between two blocks is known before they are built ([`BlockRequest::usual_output`]).

use super::{ElasticStage, HeadBlock, Hyperspace, SubStage, Subnet};
use crate::{
    graph::{Graph, GraphError, Shape},
    operators::{BlockConfig, BlockRequest, OperatorError, Operators},
};

/// A named piece of a network: a stage, or a block of the head.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Name of the stage or head block.
    pub name: String,
    /// Its graph; node names start with the segment's name.
    pub graph: Graph,
}

/// The graphs of a sub-stage's blocks, in order, for an input of this shape. Nodes are named
/// `<stage>.<block index>.<node>`.
pub fn stage_blocks(
    operators: &Operators,
    stage: &ElasticStage,
    sub_stage: &SubStage,
    input: Shape,
) -> Result<Vec<Graph>, OperatorError> {
    Chain { input, blocks: stage_chain(stage, sub_stage).collect() }.graphs(operators)
}

/// What [`stage_blocks`] gives for each of many sub-stages, whose blocks are asked for together as
/// far as the shapes between them can be foreseen.
pub fn stage_blocks_batch(
    operators: &Operators,
    sub_stages: &[(&ElasticStage, &SubStage, Shape)],
) -> Result<Vec<Vec<Graph>>, OperatorError> {
    let chain = |(stage, sub_stage, input): &(&ElasticStage, &SubStage, Shape)| Chain {
        input: *input,
        blocks: stage_chain(stage, sub_stage).collect(),
    };
    let chains: Vec<Chain> = sub_stages.iter().map(chain).collect();
    chain_graphs(operators, &chains)
}

/// The graph of a sub-stage: its blocks in a row.
pub fn stage_graph(
    operators: &Operators,
    stage: &ElasticStage,
    sub_stage: &SubStage,
    input: Shape,
) -> Result<Graph, OperatorError> {
    join_blocks(stage, input, stage_blocks(operators, stage, sub_stage, input)?)
}

/// What [`stage_graph`] gives for each of many sub-stages, asked for as by [`stage_blocks_batch`].
pub fn stage_graph_batch(
    operators: &Operators,
    sub_stages: &[(&ElasticStage, &SubStage, Shape)],
) -> Result<Vec<Graph>, OperatorError> {
    let blocks = stage_blocks_batch(operators, sub_stages)?;
    let graph = |(&(stage, _, input), blocks)| join_blocks(stage, input, blocks);
    sub_stages.iter().zip(blocks).map(graph).collect()
}

/// The head for an input of this shape, block by block.
pub fn head_segments(
    operators: &Operators,
    hyperspace: &Hyperspace,
    input: Shape,
) -> Result<Vec<Segment>, OperatorError> {
    let graphs = Chain { input, blocks: head_chain(hyperspace).collect() }.graphs(operators)?;
    Ok(named_head(hyperspace, graphs))
}

/// All pieces of a subnet in order: elastic stages, then the head. `stages` are the elastic
/// stages of the space that the subnet belongs to.
pub fn subnet_segments(
    operators: &Operators,
    hyperspace: &Hyperspace,
    stages: &[ElasticStage],
    subnet: &Subnet,
) -> Result<Vec<Segment>, OperatorError> {
    let mut input = Shape::square(hyperspace.input_channels, subnet.resolution);
    let sub_stages = || stages.iter().zip(&subnet.stages);
    let blocks = sub_stages().flat_map(|(stage, sub_stage)| stage_chain(stage, sub_stage));
    let chain = Chain { input, blocks: blocks.chain(head_chain(hyperspace)).collect() };
    let mut graphs = chain.graphs(operators)?.into_iter();
    let mut segments = Vec::new();
    for (stage, sub_stage) in sub_stages() {
        let blocks = graphs.by_ref().take(sub_stage.blocks.len());
        let graph = join_blocks(stage, input, blocks)?;
        input = output_shape(&stage.candidate.block, &graph)?;
        segments.push(Segment { name: stage.name.clone(), graph });
    }
    segments.extend(named_head(hyperspace, graphs));
    Ok(segments)
}

fn join_blocks(
    stage: &ElasticStage,
    input: Shape,
    blocks: impl IntoIterator<Item = Graph>,
) -> Result<Graph, OperatorError> {
    let graph_error =
        |source| OperatorError::Graph { block: stage.candidate.block.clone(), source };
    blocks.into_iter().try_fold(Graph::identity(input), Graph::then).map_err(graph_error)
}

fn named_head(hyperspace: &Hyperspace, graphs: impl IntoIterator<Item = Graph>) -> Vec<Segment> {
    let named = |(head, graph): (&HeadBlock, Graph)| Segment { name: head.name.clone(), graph };
    hyperspace.head.iter().zip(graphs).map(named).collect()
}

fn output_shape(block: &str, graph: &Graph) -> Result<Shape, OperatorError> {
    let graph_error = |source| OperatorError::Graph { block: block.to_owned(), source };
    graph.output_shape().map_err(graph_error)
}

/// Blocks of which each reads the output of the one before.
struct Chain {
    input: Shape,
    blocks: Vec<ChainBlock>,
}

struct ChainBlock {
    /// Stands before the names of its nodes.
    prefix: String,
    /// All but the input, which is set when the block is asked for.
    request: BlockRequest,
    /// Whether its output most likely is the usual one, so that the next block can be asked for
    /// before this one is known.
    has_usual_output: bool,
}

fn stage_chain<'a>(
    stage: &'a ElasticStage,
    sub_stage: &'a SubStage,
) -> impl Iterator<Item = ChainBlock> + 'a {
    sub_stage.blocks.iter().enumerate().map(|(index, choice)| ChainBlock {
        prefix: format!("{}.{index}.", stage.name),
        request: BlockRequest {
            block: stage.candidate.block.clone(),
            input: NOT_YET_KNOWN,
            out_channels: choice.width,
            stride: if index == 0 { stage.stride } else { 1 },
            activation: stage.candidate.activation,
            config: choice.config.clone(),
        },
        has_usual_output: true,
    })
}

fn head_chain(hyperspace: &Hyperspace) -> impl Iterator<Item = ChainBlock> + '_ {
    hyperspace.head.iter().map(|head| ChainBlock {
        prefix: format!("{}.", head.name),
        request: BlockRequest {
            block: head.block.clone(),
            input: NOT_YET_KNOWN,
            out_channels: head.width,
            stride: 1,
            activation: head.activation,
            config: BlockConfig(head.config.clone()),
        },
        has_usual_output: false,
    })
}

const NOT_YET_KNOWN: Shape = Shape::new(0, 0, 0);

impl Chain {
    fn graphs(self, operators: &Operators) -> Result<Vec<Graph>, OperatorError> {
        Ok(chain_graphs(operators, &[self])?.remove(0))
    }

    /// Shape of what the block behind these graphs reads.
    fn input_behind(&self, graphs: &[Graph]) -> Result<Shape, OperatorError> {
        match graphs.last() {
            Some(graph) => output_shape(&self.blocks[graphs.len() - 1].request.block, graph),
            None => Ok(self.input),
        }
    }

    /// Requests for the blocks behind these graphs, as far as their inputs can be foreseen, or
    /// for the first of them only.
    fn requests_behind(
        &self,
        graphs: &[Graph],
        foresee: bool,
    ) -> Result<Vec<BlockRequest>, OperatorError> {
        let mut input = self.input_behind(graphs)?;
        let mut requests = Vec::new();
        for block in &self.blocks[graphs.len()..] {
            let request = BlockRequest { input, ..block.request.clone() };
            input = request.usual_output();
            requests.push(request);
            if !(foresee && block.has_usual_output) {
                break;
            }
        }
        Ok(requests)
    }
}

/// The graphs of each chain's blocks, asked for in as few batches as possible.
fn chain_graphs(operators: &Operators, chains: &[Chain]) -> Result<Vec<Vec<Graph>>, OperatorError> {
    let mut known: Vec<Vec<Graph>> = vec![Vec::new(); chains.len()];
    let mut foresee = true;
    loop {
        let requests = chains
            .iter()
            .zip(&known)
            .map(|(chain, graphs)| chain.requests_behind(graphs, foresee))
            .collect::<Result<Vec<Vec<BlockRequest>>, _>>()?;
        if requests.iter().all(Vec::is_empty) {
            return Ok(known);
        }
        let mut answers = match operators.graphs(&requests.concat()) {
            // A block may refuse an input that only was foreseen.
            Err(_) if foresee => {
                foresee = false;
                continue;
            }
            answers => answers?.into_iter(),
        };
        for ((chain, known), requests) in chains.iter().zip(&mut known).zip(requests) {
            let answers: Vec<Graph> = answers.by_ref().take(requests.len()).collect();
            for (request, graph) in requests.iter().zip(answers) {
                if request.input != chain.input_behind(known)? {
                    break;
                }
                known.push(graph.prefixed(&chain.blocks[known.len()].prefix));
            }
        }
    }
}

/// Joins segments into one graph; an error where it is larger than a network may be.
pub fn network(segments: Vec<Segment>) -> Result<Graph, GraphError> {
    let mut graphs = segments.into_iter().map(|segment| segment.graph);
    let first = graphs.next().ok_or_else(|| GraphError::Structure {
        node: "output".into(),
        reason: "a network needs at least one segment".into(),
    })?;
    let network = graphs.try_fold(first, Graph::then)?;
    network.check_network_bounds()?;
    Ok(network)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use rand::SeedableRng;
    use rand_pcg::Pcg32;

    use super::*;
    use crate::{
        graph::{ConvSpec, GraphBuilder},
        operators::{BlockType, OperatorSet},
        space::{Space, testing},
    };

    /// Blocks of one convolution. `wide` pools small inputs to 1×1, and `odd` refuses inputs of 8×8.
    /// Remembers how many blocks each call asked for.
    #[derive(Default)]
    struct Toy(Mutex<Vec<usize>>);

    impl OperatorSet for Toy {
        fn name(&self) -> &str {
            "toy"
        }

        fn block_types(&self) -> Vec<BlockType> {
            let named = |name: &str| BlockType {
                name: name.into(),
                summary: String::new(),
                axes: vec!["kernel".into()],
            };
            ["plain", "wide", "odd", "classify"].map(named).to_vec()
        }

        fn graphs(&self, requests: &[BlockRequest]) -> Result<Vec<Graph>, OperatorError> {
            self.0.lock().unwrap().push(requests.len());
            let graph = |r: &BlockRequest| {
                let mut b = GraphBuilder::new(r.input);
                let pixels = r.input.height * r.input.width;
                let kernel = r.config.get("kernel").unwrap_or(1.0) as usize;
                let mut x = b.input();
                if (r.block == "classify" && pixels > 1) || (r.block == "wide" && pixels < 100) {
                    x = b.global_avg_pool("pool", x);
                }
                if r.block == "odd" && pixels == 64 {
                    return Err(OperatorError::Other(format!("no {}", r.input).into()));
                }
                if r.block == "classify" && pixels == 1 {
                    let x = b.linear("linear", x, r.out_channels);
                    return Ok(b.finish(x));
                }
                let x = b.conv("conv", x, ConvSpec::new(r.out_channels, kernel).stride(r.stride));
                Ok(b.finish(x))
            };
            requests.iter().map(graph).collect()
        }
    }

    /// The segments of a subnet, each block asked for when its input is known.
    fn one_by_one(
        operators: &Operators,
        hyperspace: &Hyperspace,
        stages: &[ElasticStage],
        subnet: &Subnet,
    ) -> Result<Vec<Segment>, OperatorError> {
        let mut shape = Shape::square(hyperspace.input_channels, subnet.resolution);
        let mut graph = |block: ChainBlock| {
            let request = BlockRequest { input: shape, ..block.request };
            let graph = operators.graph(&request)?.prefixed(&block.prefix);
            shape = output_shape(&request.block, &graph)?;
            Ok::<_, OperatorError>(graph)
        };
        let mut segments = Vec::new();
        for (stage, sub_stage) in stages.iter().zip(&subnet.stages) {
            let blocks = stage_chain(stage, sub_stage).map(&mut graph);
            let blocks = blocks.collect::<Result<Vec<Graph>, _>>()?;
            let graph = join_blocks(stage, blocks[0].input, blocks)?;
            segments.push(Segment { name: stage.name.clone(), graph });
        }
        let head = head_chain(hyperspace).map(graph).collect::<Result<Vec<Graph>, _>>()?;
        segments.extend(named_head(hyperspace, head));
        Ok(segments)
    }

    #[test]
    fn a_batch_gives_what_blocks_give_one_by_one() {
        let (mut given, mut refused) = (0, 0);
        let hyperspace = testing::hyperspace();
        let operators = Operators::new([Arc::new(Toy::default()) as Arc<dyn OperatorSet>]).unwrap();
        let rng = &mut Pcg32::seed_from_u64(3);
        for space in hyperspace.spaces() {
            let stages = space.elastic_stages(&hyperspace);
            for resolution in [16, 32] {
                let subnet = Subnet::random(&stages, &[resolution], rng);
                let batch = subnet_segments(&operators, &hyperspace, &stages, &subnet);
                let expected = one_by_one(&operators, &hyperspace, &stages, &subnet);
                assert_eq!(batch, expected, "{space} {subnet}");
                *(if batch.is_ok() { &mut given } else { &mut refused }) += 1;
            }
        }
        assert!(given > 20 && refused > 20, "{given} {refused}");
    }

    #[test]
    fn a_subnet_is_asked_for_at_once_up_to_its_head() {
        let mut hyperspace = testing::hyperspace();
        let logits = hyperspace.head[0].clone();
        hyperspace.head.push(HeadBlock { name: "again".into(), ..logits });
        let toy = Arc::new(Toy::default());
        let operators = Operators::new([Arc::clone(&toy) as Arc<dyn OperatorSet>]).unwrap();
        let space = Space { hyperspace: "toy".into(), blocks: vec![0, 0], windows: vec![0, 0] };
        let stages = space.elastic_stages(&hyperspace);
        let subnet = Subnet::largest(&stages, &hyperspace.resolutions);
        subnet_segments(&operators, &hyperspace, &stages, &subnet).unwrap();
        assert_eq!(*toy.0.lock().unwrap(), [1 + 2 + 3 + 1, 1]);
    }

    #[test]
    fn many_sub_stages_are_asked_for_at_once() {
        let hyperspace = testing::hyperspace();
        let toy = Arc::new(Toy::default());
        let operators = Operators::new([Arc::clone(&toy) as Arc<dyn OperatorSet>]).unwrap();
        let stages = [0, 1].map(|index| hyperspace.choice_stage(index, 0, None));
        let sub_stages = stages.each_ref().map(SubStage::largest);
        let input = Shape::square(8, 32);
        let requests = [(&stages[0], &sub_stages[0], input), (&stages[1], &sub_stages[1], input)];
        let graphs = stage_blocks_batch(&operators, &requests).unwrap();
        assert_eq!(*toy.0.lock().unwrap(), [2 + 3]);
        for (&(stage, sub_stage, input), graphs) in requests.iter().zip(graphs) {
            assert_eq!(graphs, stage_blocks(&operators, stage, sub_stage, input).unwrap());
        }
    }
}
