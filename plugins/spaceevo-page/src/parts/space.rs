//! The space, stage by stage.

use maud::{Markup, html};
use spacewright_core::search::SMALLEST_GAP;
use spacewright_spaceevo::report::StageChoice;

use super::{Part, block_types, table};
use crate::{
    chart::{Bar, BarRow, Bars, Csv, Figure, Key, at, color, keys},
    data::{PageData, PageStage},
    number::Shown,
};

pub fn part(data: &PageData) -> Part {
    Part {
        id: "space",
        title: "The space",
        lead: html! {
            "From " (Shown::count("report.evaluations", data.report.evaluations as u64))
            " spaces that were scored, the search took " b { (data.report.space.space) }
            ": the block type, the widths and the depths that each stage may have."
        },
        body: html! {
            (stages(data))
            (costs(data))
            (choices(data))
            (flattered(data))
            @if let Some(gap) = data.report.gap {
                p {
                    "It is proven that no space of the hyperspace has a better score"
                    @if gap >= SMALLEST_GAP { " by more than " (Shown::percent("report.gap", gap)) }
                    "."
                }
            }
        },
    }
}

/// Width of the drawing of stages, what stands below them, and the height of a block.
const WIDTH: f64 = 640.0;
const BELOW: f64 = 56.0;
const BLOCK: f64 = 20.0;

/// Each stage as a stack of blocks: as wide as its widths, as high as its depths.
fn stages(data: &PageData) -> Markup {
    let types = block_types(data);
    let heading = [
        "stage",
        "block",
        "smallest_width",
        "largest_width",
        "fewest_blocks",
        "most_blocks",
        "stride",
    ];
    let mut csv = Csv::new(&heading);
    for stage in &data.stages {
        let widths =
            [stage.widths.first(), stage.widths.last()].map(|w| w.map(|&width| width as f64));
        csv.row([
            (&stage.stage).into(),
            (&stage.block).into(),
            widths[0].into(),
            widths[1].into(),
            (stage.depths[0] as f64).into(),
            (stage.depths[1] as f64).into(),
            (stage.stride as f64).into(),
        ]);
    }
    let count = data.stages.len().max(1) as f64;
    let column = WIDTH / count;
    let widest = data.stages.iter().flat_map(|stage| &stage.widths).max();
    let unit = (column - 14.0) / widest.map_or(1.0, |&width| width as f64);
    let most = data.stages.iter().map(|stage| stage.depths[1]).max().unwrap_or(1) as f64;
    let bottom = 6.0 + most * BLOCK;
    let svg = html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (at(bottom + BELOW)) } role="img" tabindex="0"
            aria-label="The stages of the space with their widths and depths" {
            @for (index, stage) in data.stages.iter().enumerate() {
                @let colour = types.iter().position(|known| *known == stage.block).unwrap_or(0);
                (stack(stage, colour, (index as f64 + 0.5) * column, unit, bottom))
            }
        }
    };
    let of_stages = types.iter().enumerate();
    let of_stages = of_stages.filter(|(_, block)| data.stages.iter().any(|s| s.block == **block));
    let names: Vec<Key> =
        of_stages.map(|(color, name)| Key { name: name.clone(), color }).collect();
    let figure = Figure {
        id: "stages",
        title: "Stage by stage",
        about: "As wide as the channels, as high as the blocks of a stage. Solid is what every network of the \
                space has, pale what it may have.",
        svg,
        csv,
    };
    html! { (keys(&names)) (figure.markup()) }
}

fn stack(stage: &PageStage, colour: usize, middle: f64, unit: f64, bottom: f64) -> Markup {
    let widths =
        [stage.widths.first(), stage.widths.last()].map(|width| width.copied().unwrap_or(0));
    let depths = stage
        .depths
        .map(|depth| if depth == 1 { "1 block".into() } else { format!("{depth} blocks") });
    let tip = format!(
        "{}: {}, {} to {} channels, {} to {}, stride {}",
        stage.stage, stage.block, widths[0], widths[1], depths[0], depths[1], stage.stride
    );
    let shown = |low: usize, high: usize| {
        if low == high { low.to_string() } else { format!("{low}–{high}") }
    };
    html! {
        g.{ (color(colour)) } {
            @for level in 0..stage.depths[1] {
                @let y = bottom - (level as f64 + 1.0) * BLOCK;
                @for (width, pale) in [(widths[1], true), (widths[0], level >= stage.depths[0])] {
                    @let length = width as f64 * unit;
                    rect.mark.pale[pale] x=(at(middle - length / 2.0)) y=(at(y)) width=(at(length))
                        height=(at(BLOCK - 3.0)) rx="2" { title { (tip) } }
                }
            }
            text.row x=(at(middle)) y=(at(bottom + 17.0)) text-anchor="middle" { (stage.stage) }
            text.small x=(at(middle)) y=(at(bottom + 33.0)) text-anchor="middle" {
                (shown(widths[0], widths[1])) " wide"
            }
            text.small x=(at(middle)) y=(at(bottom + 48.0)) text-anchor="middle" {
                (shown(stage.depths[0], stage.depths[1])) " deep"
            }
        }
    }
}

fn named(block: &str, widths: &[usize]) -> String {
    let widths: Vec<String> = widths.iter().map(usize::to_string).collect();
    format!("{block} {}", widths.join("–"))
}

/// What the score would lose by the next best choice of each stage.
fn costs(data: &PageData) -> Markup {
    let types = block_types(data);
    let mut csv = Csv::new(&["stage", "choice", "next_best", "difference"]);
    let mut rows = Vec::new();
    for (index, choice) in data.report.choices.iter().enumerate() {
        let StageChoice { stage, block, widths, best_alternative, .. } = choice;
        let Some(other) = best_alternative else { continue };
        let (chosen, next) = (named(block, widths), named(&other.block, &other.widths));
        csv.row([stage.into(), (&chosen).into(), (&next).into(), other.difference.into()]);
        let shown = Shown::signed("", other.difference, 4);
        rows.push(BarRow {
            name: stage.clone(),
            bars: vec![Bar {
                value: -other.difference,
                text: shown.text().to_owned(),
                color: types.iter().position(|known| known == block).unwrap_or(0),
                tip: format!(
                    "{stage}: {chosen}; with {next} the score changes by {}",
                    shown.text()
                ),
                path: format!("-report.choices.{index}.best_alternative.difference"),
            }],
        });
    }
    if rows.is_empty() {
        return html! {};
    }
    let figure = Figure {
        id: "next-best",
        title: "What the next best choice would cost",
        about: "By how much the score falls where a stage alone is chosen otherwise: the longer, the more a \
                choice matters.",
        svg: Bars { rows }.svg("What the score loses by the next best choice of each stage"),
        csv,
    };
    figure.markup()
}

/// What to think of stages that have the teacher's own block type.
fn flattered(data: &PageData) -> Markup {
    let own = data.report.teacher_block.as_deref();
    let stages = data.report.choices.iter().filter(|choice| own == Some(&choice.block));
    let stages: Vec<&str> = stages.map(|choice| choice.stage.as_str()).collect();
    html! {
        @if let (Some(own), [_, ..]) = (own, &stages[..]) {
            p {
                "The teacher is of " b { (own) } " blocks itself, like " (stages.join(", "))
                ": such blocks copy it more easily than others do. What other teachers say, "
                code { "spacewright study blocks" } " tells."
            }
        }
    }
}

fn choices(data: &PageData) -> Markup {
    let rows = data.report.choices.iter().enumerate().map(|(index, choice)| {
        let path = format!("report.choices.{index}");
        vec![
            html! { (choice.stage) },
            html! { (named(&choice.block, &choice.widths)) },
            html! {
                @if let Some(other) = &choice.best_alternative { (named(&other.block, &other.widths)) }
                @else { "–" }
            },
            html! {
                @if let Some(other) = &choice.best_alternative {
                    (Shown::signed(format!("{path}.best_alternative.difference"), other.difference, 4))
                } @else { "–" }
            },
            html! {
                @for (budget, rows) in choice.support.iter().enumerate() {
                    @if budget > 0 { " · " }
                    @match rows {
                        Some(rows) => (Shown::plain(format!("{path}.support.{budget}"), *rows, 1)),
                        None => "–",
                    }
                }
            },
        ]
    });
    let rows = rows.collect();
    let heading = ["stage", "choice", "next best", "score", "rows that carry the score, by budget"];
    table(&heading, rows)
}
