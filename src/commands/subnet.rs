//! `spacewright subnet …`

use serde::Serialize;
use spacewright_core::{
    graph::Shape,
    space::{Hyperspace, Segment, Space, Subnet, subnet_segments},
};

use crate::{
    catalog,
    cli::SubnetCommand,
    render::{Failure, Output, Table, grouped},
};

pub fn run(command: &SubnetCommand) -> Result<Output, Failure> {
    match command {
        SubnetCommand::Show { subnet, space, hyperspace } => {
            show(subnet, space.as_deref(), hyperspace.as_deref())
        }
    }
}

/// The space of a network: the one that is named, or the only one that it can be of.
pub fn space_of(
    encoding: &str,
    space: Option<&str>,
    hyperspace: Option<&str>,
) -> Result<(Hyperspace, Space), Failure> {
    if let Some(space) = space {
        return catalog::space(space, hyperspace);
    }
    let hyperspace = catalog::hyperspace(hyperspace.unwrap_or_default())?;
    let space = conclude_space(encoding, &hyperspace)?;
    Ok((hyperspace, space))
}

/// The parts of a network, in order.
pub fn segments(
    encoding: &str,
    hyperspace: &Hyperspace,
    space: &Space,
) -> Result<(Subnet, Vec<Segment>), Failure> {
    let elastic = space.elastic_stages(hyperspace);
    let subnet =
        Subnet::parse(encoding, &elastic, &hyperspace.resolutions).map_err(Failure::input)?;
    let segments = subnet_segments(&catalog::operators()?, hyperspace, &elastic, &subnet)
        .map_err(Failure::failed)?;
    Ok((subnet, segments))
}

#[derive(Serialize)]
struct SubnetReport {
    subnet: String,
    space: String,
    resolution: usize,
    macs: u64,
    params: u64,
    stages: Vec<StageReport>,
}

#[derive(Serialize)]
struct StageReport {
    name: String,
    block: String,
    blocks: usize,
    input: Shape,
    output: Shape,
    macs: u64,
    params: u64,
}

fn show(encoding: &str, space: Option<&str>, hyperspace: Option<&str>) -> Result<Output, Failure> {
    let (hyperspace, space) = space_of(encoding, space, hyperspace)?;
    let report = report(encoding, &hyperspace, &space)?;
    let mut table = Table::new(&["stage", "block", "blocks", "input", "output", "macs", "params"]);
    for stage in &report.stages {
        table.row([
            stage.name.clone(),
            stage.block.clone(),
            stage.blocks.to_string(),
            stage.input.to_string(),
            stage.output.to_string(),
            stage.macs.to_string(),
            stage.params.to_string(),
        ]);
    }
    let text = format!(
        "subnet  {}\nspace   {}\nmacs    {}\nparams  {}\n\n{}",
        report.subnet,
        report.space,
        grouped(&report.macs.to_string()),
        grouped(&report.params.to_string()),
        table.render()
    );
    Output::new(text, &report)
}

fn report(encoding: &str, hyperspace: &Hyperspace, space: &Space) -> Result<SubnetReport, Failure> {
    let (subnet, segments) = segments(encoding, hyperspace, space)?;
    let elastic = space.elastic_stages(hyperspace);
    let stages = elastic.iter().map(|stage| &stage.candidate.block).zip(&subnet.stages);
    let stages = stages.map(|(block, stage)| (block.clone(), stage.blocks.len()));
    let head = hyperspace.head.iter().map(|head| (head.block.clone(), 1));
    let stages = segments
        .into_iter()
        .zip(stages.chain(head))
        .map(|(segment, (block, blocks))| {
            Ok(StageReport {
                name: segment.name,
                block,
                blocks,
                input: segment.graph.input,
                output: segment.graph.output_shape()?,
                macs: segment.graph.macs()?,
                params: segment.graph.params()?,
            })
        })
        .collect::<Result<Vec<_>, spacewright_core::graph::GraphError>>()
        .map_err(Failure::failed)?;
    Ok(SubnetReport {
        subnet: subnet.to_string(),
        space: space.to_string(),
        resolution: subnet.resolution,
        macs: stages.iter().map(|stage| stage.macs).sum(),
        params: stages.iter().map(|stage| stage.params).sum(),
        stages,
    })
}

/// The space that a subnet must be of, with the first window that holds each stage's widths. An
/// error where a stage's kernels, expand ratios and other axes fit several block types.
fn conclude_space(encoding: &str, hyperspace: &Hyperspace) -> Result<Space, Failure> {
    let subnet = Subnet::parse_any(encoding).map_err(Failure::input)?;
    let stem = hyperspace.stem.len();
    let mut space =
        Space { hyperspace: hyperspace.name.clone(), blocks: Vec::new(), windows: Vec::new() };
    for (index, stage) in hyperspace.stages.iter().enumerate() {
        let Some(sub_stage) = subnet.stages.get(stem + index) else {
            let found = subnet.stages.len();
            let needed = stem + hyperspace.stages.len();
            return Err(Failure::input(format!("`{encoding}` has {found} stages, not {needed}")));
        };
        let fits = |block: usize, window: usize| {
            sub_stage.check(&hyperspace.choice_stage(index, block, Some(window))).is_ok()
        };
        let fitting: Vec<(usize, usize)> = (0..hyperspace.candidates.len())
            .filter_map(|block| {
                Some((block, (0..stage.windows()).find(|&window| fits(block, window))?))
            })
            .collect();
        match fitting[..] {
            [(block, window)] => {
                space.blocks.push(block);
                space.windows.push(window);
            }
            [] => {
                return Err(Failure::input(format!(
                    "`{encoding}`: no block type of `{}` allows what stage `{}` has",
                    hyperspace.name, stage.name
                ))
                .hint("give --space for a message about the position in the encoding"));
            }
            _ => {
                let named = |(block, _): &(usize, usize)| {
                    format!("{block} ({})", hyperspace.candidates[*block].block)
                };
                let types = fitting.iter().map(named).collect::<Vec<_>>().join(", ");
                return Err(Failure::input(format!(
                    "`{encoding}`: stage `{}` may be of block type {types}",
                    stage.name
                ))
                .hint("say which with --space"));
            }
        }
    }
    Ok(space)
}
