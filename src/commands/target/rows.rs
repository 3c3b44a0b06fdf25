//! Where measured latencies come from: files, and networks drawn at random.

use std::{fs, path::Path};

use rand::Rng;
use spacewright_core::{
    latency::{LatencyQuery, Position, Precision},
    operators::Operators,
    quality::Cell,
    space::{Hyperspace, Space, Subnet, network, subnet_segments},
};
use spacewright_latency_model::{CandidateGraph, read_blocks};
use spacewright_spaceevo::tables::published::row_latencies;

use crate::render::Failure;

/// A graph with its measured latency.
pub struct MeasuredGraph {
    /// Type of its blocks.
    pub name: String,
    pub query: LatencyQuery,
    /// Widths of its blocks but for those that are the same in every network.
    pub widths: Vec<u64>,
    pub ms: f64,
}

/// Measured graphs that are handed over together, so that not all of them are in memory at once.
const TOGETHER: usize = 1000;

/// Widths of image and heads in published networks: they are never new.
const FIXED_WIDTHS: [usize; 3] = [3, 1280, 1920];

/// The rows of a file of blocks, in batches.
pub fn blocks(
    file: &Path,
    operators: &Operators,
    precision: Precision,
    mut each: impl FnMut(Vec<MeasuredGraph>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let name = file.display().to_string();
    let text =
        fs::read_to_string(file).map_err(|error| Failure::input(format!("{name}: {error}")))?;
    let blocks = read_blocks(&name, &text, operators).map_err(Failure::input)?;
    if blocks.is_empty() {
        return Err(Failure::input(format!("{name}: no rows")));
    }
    for blocks in blocks.chunks(TOGETHER) {
        let row = |block: &spacewright_latency_model::BlockLatency| {
            let request = &block.request;
            let graph = operators
                .graph(request)
                .map_err(|error| Failure::input(format!("{name}, line {}: {error}", block.line)))?;
            let widths = [request.input.channels, request.out_channels].into_iter();
            Ok(MeasuredGraph {
                name: request.block.clone(),
                query: LatencyQuery { graph, precision, position: Position::Inside },
                widths: widths
                    .filter(|width| !FIXED_WIDTHS.contains(width))
                    .map(|width| width as u64)
                    .collect(),
                ms: block.ms,
            })
        };
        each(blocks.iter().map(row).collect::<Result<_, Failure>>()?)?;
    }
    Ok(())
}

/// The rows of published tables, cell by cell.
pub fn tables(
    folder: &Path,
    hyperspace: &Hyperspace,
    operators: &Operators,
    mut each: impl FnMut(Vec<MeasuredGraph>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for cell in Cell::of_hyperspace(hyperspace) {
        let name = &hyperspace.candidates[cell.block].block;
        let rows = row_latencies(folder, hyperspace, operators, cell).map_err(|error| {
            Failure::input(error)
                .hint("--tables names the folder of the tables, or the folder above it")
        })?;
        let rows = rows.into_iter().map(|row| MeasuredGraph {
            name: name.clone(),
            query: row.query,
            widths: row.widths.into_iter().map(|width| width as u64).collect(),
            ms: row.ms,
        });
        each(rows.collect())?;
    }
    Ok(())
}

/// Whole networks, drawn at random from a hyperspace.
pub fn networks(
    hyperspace: &Hyperspace,
    operators: &Operators,
    count: usize,
    rng: &mut impl Rng,
) -> Result<Vec<CandidateGraph>, Failure> {
    let one = |_| {
        let stages = Space::random(hyperspace, rng).elastic_stages(hyperspace);
        let subnet = Subnet::random(&stages, &hyperspace.resolutions, rng);
        let segments =
            subnet_segments(operators, hyperspace, &stages, &subnet).map_err(Failure::failed)?;
        let graph = network(segments).map_err(Failure::failed)?;
        Ok(CandidateGraph { graph, position: Position::Whole })
    };
    (0..count).map(one).collect()
}
