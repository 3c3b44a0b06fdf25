//! Between the types of `core` and those that are generated from `wit/plugin.wit`.
//!
//! The generators for plugins and for the program make the same types twice, so the conversions
//! are macros: this file and `convert_target.rs` are the only places where they are written.

/// Conversions of `exports::spacewright::plugin` of a generated module, interface by interface:
/// `conversions!(path, about operator_set …)`.
#[doc(hidden)]
#[macro_export]
macro_rules! conversions {
    ($wit:path, $($interface:ident)*) => {
        $($crate::conversions!(@$interface $wit);)*
    };

    (@about $wit:path) => {
        pub mod about {
            use $crate::About;
            use $wit as wit;

            pub fn to_wit(about: &About) -> wit::about::Plugin {
                let About { name, version, summary } = about.clone();
                wit::about::Plugin { name, version, summary }
            }

            pub fn from_wit(about: wit::about::Plugin) -> About {
                About { name: about.name, version: about.version, summary: about.summary }
            }
        }
    };

    (@operator_set $wit:path) => {
        pub mod operator_set {
            use $crate::{
                component::ConversionError,
                core::{
                    graph::{Graph, Shape},
                    operators::{BlockConfig, BlockRequest, BlockType},
                },
                text::{item_of, name_of},
            };
            use $wit as wit;

            pub fn block_type_to_wit(block: &BlockType) -> wit::operator_set::BlockType {
                let BlockType { name, summary, axes } = block.clone();
                wit::operator_set::BlockType { name, summary, axes }
            }

            pub fn block_type_from_wit(block: wit::operator_set::BlockType) -> BlockType {
                BlockType { name: block.name, summary: block.summary, axes: block.axes }
            }

            pub fn request_to_wit(request: &BlockRequest) -> wit::operator_set::BlockRequest {
                let Shape { channels, height, width } = request.input;
                let config = request.config.0.iter();
                wit::operator_set::BlockRequest {
                    block: request.block.clone(),
                    input: (channels as u32, height as u32, width as u32),
                    out_channels: request.out_channels as u32,
                    stride: request.stride as u32,
                    activation: name_of(&request.activation),
                    config: config.map(|(axis, value)| (axis.clone(), *value)).collect(),
                }
            }

            pub fn request_from_wit(
                request: wit::operator_set::BlockRequest,
            ) -> Result<BlockRequest, ConversionError> {
                let (channels, height, width) = request.input;
                Ok(BlockRequest {
                    block: request.block,
                    input: Shape::new(channels as usize, height as usize, width as usize),
                    out_channels: request.out_channels as usize,
                    stride: request.stride as usize,
                    activation: item_of("activation", &request.activation)?,
                    config: BlockConfig(request.config.into_iter().collect()),
                })
            }

            pub fn graph_to_wit(graph: &Graph) -> String {
                graph.to_string()
            }
        }
    };

    (@quantizer $wit:path) => {
        pub mod quantizer {
            use $crate::{
                component::{ConversionError, same_lengths},
                core::quant::{ActivationRange, TensorStats},
            };
            use $wit as wit;

            pub fn statistics_to_wit<'a>(
                items: impl Iterator<Item = &'a TensorStats> + Clone,
            ) -> wit::quantizer::Statistics {
                wit::quantizer::Statistics {
                    min: items.clone().map(|stats| stats.min).collect(),
                    max: items.clone().map(|stats| stats.max).collect(),
                    mean_abs: items.map(|stats| stats.mean_abs).collect(),
                }
            }

            pub fn statistics_from_wit(
                columns: wit::quantizer::Statistics,
            ) -> Result<Vec<TensorStats>, ConversionError> {
                let wit::quantizer::Statistics { min, max, mean_abs } = columns;
                same_lengths("statistics", &[min.len(), max.len(), mean_abs.len()])?;
                let rows = min.into_iter().zip(max).zip(mean_abs);
                Ok(rows.map(|((min, max), mean_abs)| TensorStats { min, max, mean_abs }).collect())
            }

            pub fn ranges_to_wit<'a>(
                items: impl Iterator<Item = &'a ActivationRange> + Clone,
            ) -> wit::quantizer::Ranges {
                wit::quantizer::Ranges {
                    non_negative: items.clone().map(|range| range.non_negative).collect(),
                    max: items.map(|range| range.max.unwrap_or(f32::INFINITY)).collect(),
                }
            }

            pub fn ranges_from_wit(
                columns: wit::quantizer::Ranges,
            ) -> Result<Vec<ActivationRange>, ConversionError> {
                let wit::quantizer::Ranges { non_negative, max } = columns;
                same_lengths("ranges", &[non_negative.len(), max.len()])?;
                let range = |(non_negative, max): (bool, f32)| ActivationRange {
                    non_negative,
                    max: (max != f32::INFINITY).then_some(max),
                };
                Ok(non_negative.into_iter().zip(max).map(range).collect())
            }

            pub fn affine_to_wit(items: &[(f32, f32)]) -> wit::quantizer::Affine {
                let (scale, offset) = items.iter().copied().unzip();
                wit::quantizer::Affine { scale, offset }
            }

            pub fn affine_from_wit(
                columns: wit::quantizer::Affine,
            ) -> Result<Vec<(f32, f32)>, ConversionError> {
                let wit::quantizer::Affine { scale, offset } = columns;
                same_lengths("affine", &[scale.len(), offset.len()])?;
                Ok(scale.into_iter().zip(offset).collect())
            }
        }
    };

    (@latency_source $wit:path) => {
        pub mod latency_source {
            use $crate::{
                component::{ConversionError, same_lengths},
                core::latency::{GraphColumns, Interval, Latency},
            };
            use $wit as wit;

            pub fn graphs_to_wit(columns: GraphColumns) -> wit::latency_source::Graphs {
                use wit::latency_source::Graphs;
                $crate::graph_columns!(columns, Graphs)
            }

            pub fn graphs_from_wit(columns: wit::latency_source::Graphs) -> GraphColumns {
                $crate::graph_columns!(columns, GraphColumns)
            }

            pub fn latencies_to_wit(latencies: &[Latency]) -> wit::latency_source::Latencies {
                let ends = |of: fn(Interval) -> f64| {
                    latencies.iter().map(|latency| latency.interval.map_or(0.0, of)).collect()
                };
                wit::latency_source::Latencies {
                    ms: latencies.iter().map(|latency| latency.ms).collect(),
                    spread_ms: latencies.iter().map(|latency| latency.spread_ms).collect(),
                    runs: latencies.iter().map(|latency| latency.runs).collect(),
                    low_ms: ends(|interval| interval.low_ms),
                    high_ms: ends(|interval| interval.high_ms),
                }
            }

            pub fn latencies_from_wit(
                columns: wit::latency_source::Latencies,
            ) -> Result<Vec<Latency>, ConversionError> {
                let wit::latency_source::Latencies { ms, spread_ms, runs, low_ms, high_ms } =
                    columns;
                let ends = [low_ms.len(), high_ms.len()];
                let lengths = [ms.len(), spread_ms.len(), runs.len(), ends[0], ends[1]];
                same_lengths("latencies", &lengths)?;
                let latency = |at: usize| Latency {
                    ms: ms[at],
                    spread_ms: spread_ms[at],
                    runs: runs[at],
                    interval: (low_ms[at] != 0.0 || high_ms[at] != 0.0)
                        .then(|| Interval { low_ms: low_ms[at], high_ms: high_ms[at] }),
                };
                Ok((0..ms.len()).map(latency).collect())
            }
        }
    };

    (@scorer $wit:path) => {
        pub mod scorer {
            use $crate::{
                component::{ConversionError, same_lengths},
                core::{
                    quality::{Cell, FixedLatency, HeadRow, ScoreColumns, StemRow},
                    score::{ConstraintScore, ScoreProblem, SpaceScore},
                    space::Space,
                },
                text::{item_of, name_of},
            };
            use $wit as wit;

            pub fn problem_to_wit(problem: &ScoreProblem) -> Result<wit::scorer::Problem, ConversionError> {
                let hyperspace = $crate::serde_json::to_string(&problem.hyperspace);
                Ok(wit::scorer::Problem {
                    hyperspace: hyperspace.map_err(|error| ConversionError::Hyperspace(error.to_string()))?,
                    cells: problem.cells.iter().map(|(cell, rows)| cell_to_wit(*cell, rows)).collect(),
                    fixed: fixed_to_wit(&problem.fixed),
                    constraints_ms: problem.constraints_ms.clone(),
                    composition: name_of(&problem.composition),
                })
            }

            pub fn problem_from_wit(problem: wit::scorer::Problem) -> Result<ScoreProblem, ConversionError> {
                let hyperspace = $crate::serde_json::from_str(&problem.hyperspace);
                Ok(ScoreProblem {
                    hyperspace: hyperspace.map_err(|error| ConversionError::Hyperspace(error.to_string()))?,
                    cells: problem.cells.into_iter().map(cell_from_wit).collect(),
                    fixed: fixed_from_wit(problem.fixed)?,
                    constraints_ms: problem.constraints_ms,
                    composition: item_of("composition", &problem.composition)?,
                })
            }

            fn cell_to_wit(cell: Cell, rows: &ScoreColumns) -> wit::scorer::Cell {
                let rows = rows.clone();
                wit::scorer::Cell {
                    stage: cell.stage as u32,
                    block: cell.block as u32,
                    window: cell.window as u32,
                    input_width: rows.input_width,
                    output_width: rows.output_width,
                    resolution: rows.resolution,
                    macs: rows.macs,
                    params: rows.params,
                    loss: rows.loss,
                    latency_ms: rows.latency_ms,
                }
            }

            fn cell_from_wit(cell: wit::scorer::Cell) -> (Cell, ScoreColumns) {
                let [stage, block, window] =
                    [cell.stage, cell.block, cell.window].map(|index| index as usize);
                let rows = ScoreColumns {
                    input_width: cell.input_width,
                    output_width: cell.output_width,
                    resolution: cell.resolution,
                    macs: cell.macs,
                    params: cell.params,
                    loss: cell.loss,
                    latency_ms: cell.latency_ms,
                };
                (Cell { stage, block, window }, rows)
            }

            fn fixed_to_wit(fixed: &FixedLatency) -> wit::scorer::FixedLatency {
                match fixed {
                    FixedLatency::PerResolution(ms) => wit::scorer::FixedLatency::PerResolution(
                        ms.iter().map(|(resolution, ms)| (*resolution as u32, *ms)).collect(),
                    ),
                    FixedLatency::Predicted { stem, head } => {
                        wit::scorer::FixedLatency::Predicted(wit::scorer::FixedParts {
                            stem_width: stem.iter().map(|row| row.width as u32).collect(),
                            stem_resolution: stem.iter().map(|row| row.resolution as u32).collect(),
                            stem_ms: stem.iter().map(|row| row.latency_ms).collect(),
                            head_width: head.iter().map(|row| row.width as u32).collect(),
                            head_resolution: head.iter().map(|row| row.resolution as u32).collect(),
                            head_ms: head.iter().map(|row| row.latency_ms).collect(),
                        })
                    }
                }
            }

            fn fixed_from_wit(fixed: wit::scorer::FixedLatency) -> Result<FixedLatency, ConversionError> {
                let parts = match fixed {
                    wit::scorer::FixedLatency::PerResolution(ms) => {
                        let ms = ms.into_iter().map(|(resolution, ms)| (resolution as usize, ms));
                        return Ok(FixedLatency::PerResolution(ms.collect()));
                    }
                    wit::scorer::FixedLatency::Predicted(parts) => parts,
                };
                let rows = |widths: Vec<u32>, resolutions: Vec<u32>, ms: Vec<f64>| {
                    same_lengths("fixed parts", &[widths.len(), resolutions.len(), ms.len()])?;
                    let rows = widths.into_iter().zip(resolutions).zip(ms);
                    Ok::<_, ConversionError>(rows.map(|((w, r), ms)| (w as usize, r as usize, ms)))
                };
                let stem = rows(parts.stem_width, parts.stem_resolution, parts.stem_ms)?;
                let head = rows(parts.head_width, parts.head_resolution, parts.head_ms)?;
                Ok(FixedLatency::Predicted {
                    stem: stem
                        .map(|(width, resolution, latency_ms)| StemRow { width, resolution, latency_ms })
                        .collect(),
                    head: head
                        .map(|(width, resolution, latency_ms)| HeadRow { width, resolution, latency_ms })
                        .collect(),
                })
            }

            pub fn spaces_to_wit(spaces: &[Space]) -> wit::scorer::Spaces {
                let indices = |of: fn(&Space) -> &[usize]| {
                    spaces.iter().flat_map(of).map(|index| *index as u32).collect()
                };
                wit::scorer::Spaces {
                    stages: spaces.first().map_or(0, |space| space.blocks.len() as u32),
                    blocks: indices(|space| &space.blocks),
                    windows: indices(|space| &space.windows),
                }
            }

            pub fn spaces_from_wit(
                spaces: wit::scorer::Spaces,
                hyperspace: &str,
            ) -> Result<Vec<Space>, ConversionError> {
                same_lengths("spaces", &[spaces.blocks.len(), spaces.windows.len()])?;
                let stages = (spaces.stages as usize).max(1);
                if spaces.blocks.len() % stages != 0 {
                    let choices = spaces.blocks.len();
                    return Err(ConversionError::Choices { choices, stages });
                }
                let indices = |part: &[u32]| part.iter().map(|index| *index as usize).collect();
                let parts = spaces.blocks.chunks(stages).zip(spaces.windows.chunks(stages));
                let space = |(blocks, windows): (&[u32], &[u32])| Space {
                    hyperspace: hyperspace.to_owned(),
                    blocks: indices(blocks),
                    windows: indices(windows),
                };
                Ok(parts.map(space).collect())
            }

            pub fn scores_to_wit(scores: &[SpaceScore]) -> wit::scorer::Scores {
                let parts = || scores.iter().flat_map(|score| &score.constraints);
                wit::scorer::Scores {
                    score: scores.iter().map(|score| score.score).collect(),
                    feasible: parts().map(|part| part.feasible).collect(),
                    loss: parts().map(|part| part.loss).collect(),
                    penalty: parts().map(|part| part.penalty).collect(),
                    part: parts().map(|part| part.score).collect(),
                }
            }

            /// `limits_ms` are those of the problem: each space has a part for each.
            pub fn scores_from_wit(
                scores: wit::scorer::Scores,
                limits_ms: &[f64],
            ) -> Result<Vec<SpaceScore>, ConversionError> {
                let parts = scores.score.len() * limits_ms.len();
                let lengths = [
                    scores.feasible.len(),
                    scores.loss.len(),
                    scores.penalty.len(),
                    scores.part.len(),
                ];
                if lengths != [parts; 4] {
                    let (spaces, limits) = (scores.score.len(), limits_ms.len());
                    return Err(ConversionError::Parts { spaces, limits, needed: parts, lengths });
                }
                let part = |at: usize, limit_ms: f64| ConstraintScore {
                    limit_ms,
                    feasible: scores.feasible[at],
                    loss: scores.loss[at],
                    penalty: scores.penalty[at],
                    score: scores.part[at],
                };
                let space = |(at, score): (usize, &f64)| SpaceScore {
                    score: *score,
                    constraints: limits_ms
                        .iter()
                        .enumerate()
                        .map(|(limit, ms)| part(at * limits_ms.len() + limit, *ms))
                        .collect(),
                };
                Ok(scores.score.iter().enumerate().map(space).collect())
            }
        }
    };

    (@target $wit:path) => {
        $crate::target_conversions!($wit);
    };
}

/// Moves the fields of one record of graph columns into another.
#[doc(hidden)]
#[macro_export]
macro_rules! graph_columns {
    ($from:expr, $to:ident) => {{
        let from = $from;
        $to {
            first_node: from.first_node,
            channels: from.channels,
            height: from.height,
            width: from.width,
            output: from.output,
            precision: from.precision,
            position: from.position,
            names: from.names,
            operator: from.operator,
            operators: from.operators,
            first_input: from.first_input,
            second_input: from.second_input,
            out_channels: from.out_channels,
            out_height: from.out_height,
            out_width: from.out_width,
            macs: from.macs,
            kernel: from.kernel,
            stride: from.stride,
            padding: from.padding,
            groups: from.groups,
            bias: from.bias,
            parameter: from.parameter,
        }
    }};
}
