//! Fronts as part of a search's report.

use serde::Serialize;
use spacewright_spaceevo::trade_off::{Objectives, OnFront};

use crate::{cli::FrontArg, render::Table};

/// A space that no other beats.
#[derive(Serialize)]
pub struct FrontRow {
    space: String,
    score: f64,
    /// What each limit contributes to the score.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    contributions: Vec<f64>,
    /// By limit, the mean summed loss of the best feasible subnets: the smaller, the better.
    qualities: Vec<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log10_subnets: Option<f64>,
}

impl From<FrontArg> for Objectives {
    fn from(typed: FrontArg) -> Self {
        match typed {
            FrontArg::Constraints => Self::Constraints,
            FrontArg::Size => Self::Size,
        }
    }
}

pub fn rows(typed: FrontArg, front: Vec<OnFront>) -> Vec<FrontRow> {
    let row = |on: OnFront| FrontRow {
        space: on.scored.space.to_string(),
        score: on.scored.score.score,
        log10_subnets: (typed == FrontArg::Size).then(|| -on.objectives[1]),
        qualities: on.scored.score.constraints.iter().map(|part| part.loss).collect(),
        contributions: if typed == FrontArg::Size { Vec::new() } else { on.objectives },
    };
    front.into_iter().map(row).collect()
}

pub fn table(typed: FrontArg, limits_ms: &[f64], front: &[FrontRow]) -> String {
    let mut heading = vec!["space".to_owned(), "score".to_owned()];
    match typed {
        FrontArg::Constraints => heading.extend(limits_ms.iter().map(|ms| format!("{ms} ms"))),
        FrontArg::Size => heading.push("log10 of subnets".to_owned()),
    }
    let mut table = Table::new(&heading.iter().map(String::as_str).collect::<Vec<_>>());
    for row in front {
        let mut cells = vec![row.space.clone(), format!("{:.5}", row.score)];
        cells.extend(row.contributions.iter().map(|score| format!("{score:.5}")));
        cells.extend(row.log10_subnets.map(|size| format!("{size:.2}")));
        table.cells(cells);
    }
    table.render()
}
