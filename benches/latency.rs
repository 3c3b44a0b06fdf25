//! Kernels per second on one thread, with nothing cached: single kernels, graphs, and graphs as
//! columns. `cargo bench --bench latency` prints the largest rate of each.

use std::{
    hint::black_box,
    io::{Result, Write, stdout},
    time::Instant,
};

use spacewright_core::{
    graph::Graph,
    kernel::KernelReader,
    latency::{GraphColumns, LatencyQuery, Position, Precision},
    operators::Operators,
    random::generator,
    space::{Hyperspace, Subnet, network, subnet_segments},
};
use spacewright_latency_model::{Model, Predictor};
use spacewright_operators_cnn::operator_sets;
use spacewright_spaceevo::hyperspaces::built_in;

const MODEL: &str = include_str!("../hardware-targets/pixel-arm/model.json");
const GRAPHS: usize = 2000;
const ROUNDS: usize = 10;

fn main() -> Result<()> {
    let predictor = Predictor::new(Model::from_json(MODEL).expect("the model is valid"));
    let predictor = predictor.expect("the model is valid");
    let graphs = networks();
    let mut reader = KernelReader::new(&predictor.model().rules);
    let mut kernels = Vec::new();
    for graph in &graphs {
        reader.append(graph, Position::Whole, &mut kernels).expect("the graph is valid");
    }
    let mut ms = vec![0.0; kernels.len()];
    let query = |graph: &Graph| LatencyQuery {
        graph: graph.clone(),
        precision: Precision::Int8,
        position: Position::Whole,
    };
    let columns = GraphColumns::of(&graphs.iter().map(query).collect::<Vec<_>>());
    let columns = columns.expect("the graphs are valid");

    let mut out = stdout().lock();
    writeln!(out, "{} networks of {} kernels", graphs.len(), kernels.len())?;
    let mut rate = |what: &str, job: &mut dyn FnMut()| {
        let seconds = smallest(job);
        let millions = kernels.len() as f64 / seconds / 1e6;
        let per_network = seconds / graphs.len() as f64 * 1e6;
        writeln!(
            out,
            "{what:<12}{millions:6.2} million kernels/s, {per_network:7.2} us per network"
        )
    };
    rate("kernels", &mut || {
        predictor.kernels(black_box(&kernels), &mut ms);
        black_box(&ms);
    })?;
    rate("columns", &mut || {
        black_box(predictor.columns(black_box(&columns)).expect("the columns are valid"));
    })?;
    rate("graphs", &mut || {
        black_box(
            predictor
                .graphs(black_box(&graphs).iter().map(|graph| (graph, Position::Whole)))
                .expect("the graphs are valid"),
        );
    })
}

/// Random networks of the hyperspace that the model knows, with every block type.
fn networks() -> Vec<Graph> {
    let operators = Operators::new(operator_sets()).unwrap();
    let hyperspace: Hyperspace = built_in("mobilew").expect("it is built in");
    let mut rng = generator(0, &["bench"]);
    let graph = |index: usize| {
        let mut stages = hyperspace.stem_stages();
        stages.extend((0..hyperspace.stages.len()).map(|stage| {
            let block = (index + stage) % hyperspace.candidates.len();
            hyperspace.choice_stage(stage, block, None)
        }));
        let subnet = Subnet::random(&stages, &hyperspace.resolutions, &mut rng);
        let segments = subnet_segments(&operators, &hyperspace, &stages, &subnet);
        network(segments.expect("blocks fit")).expect("segments fit")
    };
    (0..GRAPHS).map(graph).collect()
}

/// Seconds of the fastest of several rounds.
fn smallest(job: &mut dyn FnMut()) -> f64 {
    let round = |_| {
        let start = Instant::now();
        job();
        start.elapsed().as_secs_f64()
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}
