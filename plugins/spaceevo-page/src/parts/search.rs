//! The search for the space.

use maud::{Markup, html};
use spacewright_spaceevo::report::SpaceSummary;

use super::{Part, command, lacking, spaces};
use crate::{
    chart::{Axis, Bar, BarRow, Bars, Csv, Figure, Line, Plot, Stroke},
    data::PageData,
    number::Shown,
};

pub fn part(data: &PageData) -> Part {
    let compared = match &data.spaces {
        Some(spaces) => spaces::markup(data, spaces),
        None => lacking(
            "A score is a prediction. Whether networks of this space really err less than those of a random \
             space and of manual ones is not known yet. This trains them all alike:",
            &command(data, "bench spaces"),
        ),
    };
    Part {
        id: "search",
        title: "The search",
        lead: html! {
            "The search looked for the space with the best score, "
            (Shown::plain("report.space.score", data.report.space.score, 4))
            ": the higher, the better the networks that it should hold within the budgets."
        },
        body: html! { (course(data)) (scores(data)) (compared) },
    }
}

fn course(data: &PageData) -> Markup {
    if data.traces.is_empty() {
        return html! {
            p.note { "How the search came to this space was not kept by the version that ran it." }
        };
    }
    let mut csv = Csv::new(&["search", "spaces_scored", "best_score"]);
    let mut lines = Vec::new();
    for (color, trace) in data.traces.iter().enumerate() {
        for point in &trace.points {
            csv.row([
                (&trace.search).into(),
                (point.evaluations as f64).into(),
                point.score.into(),
            ]);
        }
        let points = trace.points.iter().map(|point| (point.evaluations as f64, point.score));
        let label = Some(trace.search.clone());
        lines.push(Line { points: points.collect(), color, stroke: Stroke::Steps, label });
    }
    let points = || lines.iter().flat_map(|line| &line.points);
    let x = Axis::from_zero("spaces that were scored", points().map(|point| point.0));
    let y = Axis::around("best score so far", points().map(|point| point.1));
    let plot = Plot { lines: lines.clone(), height: 300.0, ..Plot::new(x, y) };
    let figure = Figure {
        id: "best-so-far",
        title: "The best score so far",
        about: "",
        svg: plot
            .svg("The best score of each search against the number of spaces that it had scored"),
        csv,
    };
    figure.markup()
}

fn scores(data: &PageData) -> Markup {
    let mut csv = Csv::new(&["found_by", "space", "score"]);
    let found = std::iter::once(("report.space.score".to_owned(), &data.report.space));
    let others = data.report.other_spaces.iter().enumerate();
    let others = others.map(|(at, space)| (format!("report.other_spaces.{at}.score"), space));
    let bar = |(path, summary): (String, &SpaceSummary)| {
        let SpaceSummary { found_by, space, blocks, score, .. } = summary;
        csv.row([found_by.into(), space.into(), (*score).into()]);
        let color = usize::from(path != "report.space.score");
        let uniform = blocks.windows(2).all(|pair| pair[0] == pair[1]);
        let name = match blocks.first() {
            Some(block) if color == 1 && uniform => format!("all {block}"),
            _ => found_by.clone(),
        };
        let tip = format!("{space} ({found_by}): {score:.4}; {}", blocks.join(", "));
        let bar = Bar { value: *score, text: format!("{score:.4}"), color: 4 * color, tip, path };
        BarRow { name, bars: vec![bar] }
    };
    let rows = found.chain(others).map(bar).collect();
    let figure = Figure {
        id: "scores",
        title: "Scores of spaces",
        about: "The space that was found, the best of a random search with the same descent at its end, and the best with each block type alone.",
        svg: Bars { rows }.svg("Scores of the space that was found and of others"),
        csv,
    };
    figure.markup()
}
