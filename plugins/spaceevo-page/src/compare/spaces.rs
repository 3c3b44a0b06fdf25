//! The spaces, stage by stage.

use maud::{Markup, html};
use spacewright_spaceevo::report::compare::{ComparedStudy, SpaceStage, StudiesReport};

use crate::{
    chart::{Csv, Figure, Key, LEFT, LETTERS, at, color, keys, shortened},
    number::Shown,
    parts::Part,
};

const WIDTH: f64 = 640.0;
/// Height of a study's row.
const ROW: f64 = 44.0;

pub fn part(report: &StudiesReport) -> Part {
    Part {
        id: "spaces",
        title: "The spaces",
        lead: html! {
            "What each search chose: the block type of every stage, and the widths that its networks may have."
        },
        body: html! { (strips(report)) (lost(report)) },
    }
}

/// Block types in the order in which they first occur: the positions are their colours.
fn block_types(report: &StudiesReport) -> Vec<&str> {
    let mut types: Vec<&str> = Vec::new();
    for stage in report.studies.iter().flat_map(|row| &row.stages) {
        if !types.contains(&stage.block.as_str()) {
            types.push(&stage.block);
        }
    }
    types
}

fn widths(stage: &SpaceStage) -> String {
    match &stage.widths[..] {
        [one] => one.to_string(),
        [first, .., last] => format!("{first}–{last}"),
        [] => String::new(),
    }
}

/// A row of stages for each study.
fn strips(report: &StudiesReport) -> Markup {
    let types = block_types(report);
    let mut csv = Csv::new(&["study", "space", "stage", "block", "widths"]);
    for row in &report.studies {
        for stage in &row.stages {
            let space = row.space.to_string();
            csv.row([
                (&row.study).into(),
                space.into(),
                (&stage.stage).into(),
                (&stage.block).into(),
                widths(stage).into(),
            ]);
        }
    }
    let most = report.studies.iter().map(|row| row.stages.len()).max().unwrap_or(1).max(1);
    let column = (WIDTH - LEFT) / most as f64;
    let height = ROW * report.studies.len() as f64 + 8.0;
    let svg = html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (at(height)) } role="img" tabindex="0"
            aria-label="The stages of each space with their block types and widths" {
            @for (index, row) in report.studies.iter().enumerate() {
                (strip(row, &types, 4.0 + ROW * index as f64, column))
            }
        }
    };
    let names: Vec<Key> = types
        .iter()
        .enumerate()
        .map(|(color, name)| Key { name: (*name).to_owned(), color })
        .collect();
    let figure = Figure {
        id: "space-strips",
        title: "Stage by stage",
        about: "A colour is a block type, below it stand the output channels.",
        svg,
        csv,
    };
    html! { (keys(&names)) (figure.markup()) }
}

fn strip(row: &ComparedStudy, types: &[&str], top: f64, column: f64) -> Markup {
    html! {
        text.row x=(LEFT - 10.0) y=(at(top + 17.0)) text-anchor="end" {
            (shortened(&row.study, LETTERS))
            title { (row.study) ": " (row.space) }
        }
        @for (index, stage) in row.stages.iter().enumerate() {
            @let left = LEFT + column * index as f64;
            @let of = types.iter().position(|known| *known == stage.block).unwrap_or(0);
            g.{ (color(of)) } {
                rect.mark x=(at(left)) y=(at(top)) width=(at(column - 4.0)) height="22" rx="2" {
                    title { (row.study) ", " (stage.stage) ": " (stage.block) ", " (widths(stage)) " channels" }
                }
            }
            text.small x=(at(left + column / 2.0 - 2.0)) y=(at(top + 36.0)) text-anchor="middle" {
                (widths(stage))
            }
        }
    }
}

/// What spaces for several targets lose on each.
fn lost(report: &StudiesReport) -> Markup {
    let several = report.studies.iter().enumerate().filter(|(_, row)| !row.lost.is_empty());
    html! {
        @for (position, row) in several {
            p.note {
                bdi { (row.study) } " was designed for several targets. Of the best score that each reaches alone, it \
                 loses "
                @for (index, (target, share)) in row.lost.iter().enumerate() {
                    @if index > 0 { ", " }
                    (Shown::percent(format!("report.studies.{position}.lost.{target}"), *share))
                    " on " (target)
                }
                "."
            }
        }
    }
}
