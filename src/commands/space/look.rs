//! Counting, showing and drawing spaces.

use indexmap::IndexMap;
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;
use serde::Serialize;
use spacewright_core::space::{ElasticStage, Space, Subnet, network, subnet_segments};

use crate::{
    catalog,
    render::{Failure, Output, Table, grouped, magnitude},
    report::or_dash,
};

#[derive(Serialize)]
struct CountReport {
    hyperspace: String,
    spaces: String,
    candidates: usize,
    windows: Vec<usize>,
    uniform: usize,
}

pub fn count(hyperspace: &str) -> Result<Output, Failure> {
    let hyperspace = catalog::hyperspace(hyperspace)?;
    let report = CountReport {
        spaces: hyperspace.space_count().to_string(),
        candidates: hyperspace.candidates.len(),
        windows: hyperspace.stages.iter().map(|stage| stage.windows()).collect(),
        uniform: hyperspace.uniform_spaces().len(),
        hyperspace: hyperspace.name,
    };
    let text = format!(
        "{} has {} spaces: {} block types and {:?} width windows in its stages",
        report.hyperspace,
        grouped(&report.spaces),
        report.candidates,
        report.windows
    );
    Output::new(text, &report)
}

#[derive(Serialize)]
struct SpaceReport {
    space: String,
    hyperspace: String,
    subnets: String,
    resolutions: Vec<usize>,
    stages: Vec<StageReport>,
}

#[derive(Serialize)]
struct StageReport {
    name: String,
    block: String,
    activation: &'static str,
    stride: usize,
    widths: Vec<usize>,
    depths: [usize; 2],
    choices: IndexMap<String, Vec<f64>>,
    sub_stages: String,
}

impl StageReport {
    fn of(stage: ElasticStage) -> Self {
        Self {
            sub_stages: stage.sub_stage_count().to_string(),
            name: stage.name,
            block: stage.candidate.block,
            activation: stage.candidate.activation.name(),
            stride: stage.stride,
            widths: stage.widths,
            depths: stage.depths,
            choices: stage.candidate.choices,
        }
    }
}

pub fn show(space: &str, hyperspace: Option<&str>) -> Result<Output, Failure> {
    let (hyperspace, space) = catalog::space(space, hyperspace)?;
    let report = SpaceReport {
        space: space.to_string(),
        hyperspace: hyperspace.name.clone(),
        subnets: space.subnet_count(&hyperspace).to_string(),
        stages: space.elastic_stages(&hyperspace).into_iter().map(StageReport::of).collect(),
        resolutions: hyperspace.resolutions,
    };
    let mut table = Table::new(&[
        "stage",
        "block",
        "activation",
        "stride",
        "widths",
        "depths",
        "kernels",
        "expand",
        "other",
        "sub-stages",
    ]);
    for stage in &report.stages {
        let values = |axis: &str| or_dash(stage.choices.get(axis), |v| words(v));
        let others =
            stage.choices.iter().filter(|(axis, _)| !["kernel", "expand"].contains(&&***axis));
        let others: Vec<String> = others.map(|(axis, v)| format!("{axis} {}", words(v))).collect();
        table.row([
            stage.name.clone(),
            stage.block.clone(),
            stage.activation.to_owned(),
            stage.stride.to_string(),
            words(&stage.widths),
            format!("{}-{}", stage.depths[0], stage.depths[1]),
            values("kernel"),
            values("expand"),
            if others.is_empty() { "-".to_owned() } else { others.join("; ") },
            magnitude(&stage.sub_stages),
        ]);
    }
    let text = format!(
        "space        {}\nsubnets      {}\nresolutions  {}\n\n{}",
        report.space,
        magnitude(&report.subnets),
        words(&report.resolutions),
        table.render()
    );
    Output::new(text, &report)
}

fn words<T: ToString>(values: &[T]) -> String {
    values.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
}

#[derive(Serialize)]
struct SampleReport {
    hyperspace: String,
    spaces: Vec<SampledSpace>,
}

#[derive(Serialize)]
struct SampledSpace {
    space: String,
    subnets: String,
    smallest_macs: u64,
    largest_macs: u64,
}

pub fn sample(hyperspace: &str, count: usize, seed: u64) -> Result<Output, Failure> {
    let hyperspace = catalog::hyperspace(hyperspace)?;
    let operators = catalog::operators()?;
    let rng = &mut Pcg64Mcg::seed_from_u64(seed);
    let mut spaces = Vec::new();
    for _ in 0..count {
        let space = Space::random(&hyperspace, rng);
        let stages = space.elastic_stages(&hyperspace);
        let macs = |subnet: &Subnet| {
            let segments = subnet_segments(&operators, &hyperspace, &stages, subnet)
                .map_err(Failure::failed)?;
            network(segments).and_then(|graph| graph.macs()).map_err(Failure::failed)
        };
        spaces.push(SampledSpace {
            space: space.to_string(),
            subnets: space.subnet_count(&hyperspace).to_string(),
            smallest_macs: macs(&Subnet::smallest(&stages, &hyperspace.resolutions))?,
            largest_macs: macs(&Subnet::largest(&stages, &hyperspace.resolutions))?,
        });
    }
    let mut table = Table::new(&["space", "subnets", "smallest MMACs", "largest MMACs"]);
    for sampled in &spaces {
        table.row([
            sampled.space.clone(),
            magnitude(&sampled.subnets),
            format!("{:.1}", sampled.smallest_macs as f64 / 1e6),
            format!("{:.1}", sampled.largest_macs as f64 / 1e6),
        ]);
    }
    Output::new(table.render(), &SampleReport { hyperspace: hyperspace.name, spaces })
}
