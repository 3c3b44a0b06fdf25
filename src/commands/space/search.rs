//! Searching a hyperspace, for one device or for several.

use std::{cell::Cell, fmt::Write, sync::Arc, time::Instant};

use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::Value;
use spacewright_core::{
    score::{PreparedScorer, ScoreError},
    search::{ScoredSpace, SearchBudget, Searched, Strategy},
    space::Hyperspace,
};
use spacewright_spaceevo::{
    multi_target::{self, OnTarget},
    strategies::AgingEvolution,
    trade_off,
};

use super::front::{FrontRow, rows, table};
use crate::{
    catalog,
    cli::{ScoringArgs, SpaceSearchArgs},
    commands::scoring,
    progress,
    render::{Failure, Output, Table},
};

#[derive(Serialize)]
struct SearchReport {
    best: String,
    /// On several devices, the mean share of the best score that each has alone.
    score: f64,
    /// How much better another space may be, as a share of the score, where it is known.
    gap: Option<f64>,
    evaluations: usize,
    seconds: f64,
    /// Of all walks, on each device alone too.
    scores_per_second: f64,
    top: Vec<TopSpace>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    devices: Vec<DeviceRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    front: Option<Vec<FrontRow>>,
}

#[derive(Serialize)]
struct TopSpace {
    space: String,
    score: f64,
}

/// The common space on one device.
#[derive(Serialize)]
struct DeviceRow {
    tables: String,
    constraints_ms: Vec<f64>,
    /// The best space of the device alone.
    best_alone: String,
    score_alone: f64,
    /// The common space's score on this device.
    score: f64,
    /// The share of `score_alone` that the common space loses.
    lost: f64,
}

/// Searches with one strategy, budget and progress bar.
struct Walker<'a> {
    hyperspace: &'a Hyperspace,
    budget: SearchBudget,
    bar: ProgressBar,
    /// Spaces that all walks scored.
    scored: Cell<usize>,
}

impl Walker<'_> {
    fn walk(
        &self,
        strategy: &dyn Strategy,
        options: &Value,
        scorer: &dyn PreparedScorer,
    ) -> Result<Searched, ScoreError> {
        let mut show = |evaluations: usize, best: &ScoredSpace| {
            self.bar.set_position(evaluations as u64);
            self.bar.set_message(format!("{} {:.4}", best.space, best.score.score));
            true
        };
        let found = strategy.search(self.hyperspace, scorer, &self.budget, options, &mut show)?;
        self.scored.set(self.scored.get() + found.evaluations);
        Ok(found)
    }
}

pub fn search(args: &SpaceSearchArgs, seed: u64, quiet: bool) -> Result<Output, Failure> {
    check(args)?;
    let hyperspace = catalog::hyperspace(&args.hyperspace)?;
    let strategy = catalog::registry()?.strategy(&args.strategy)?;
    let devices = devices(args);
    let scorers = devices
        .iter()
        .enumerate()
        .map(|(index, scoring)| {
            let flag = if index == 0 { "--constraint" } else { "--and" };
            scoring::prepare_search(scoring, &hyperspace, flag)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let walker = Walker {
        hyperspace: &hyperspace,
        budget: SearchBudget { evaluations: args.evaluations, seed },
        bar: progress::bar(args.evaluations, quiet),
        scored: Cell::default(),
    };
    let options = args.strategy_options.clone().unwrap_or(Value::Null);
    let start = Instant::now();
    let (found, on_devices) = found(&walker, &strategy, &options, &scorers)?;
    let seconds = start.elapsed().as_secs_f64();
    let scores_per_second = walker.scored.get() as f64 / seconds;
    let Some(best) = found.scored.first() else {
        return Err(Failure::input("no space was scored").hint("give --evaluations of at least 1"));
    };
    let front = args.front.map(|typed| {
        // Weighted sums have no bounds; every strategy finds their best, this one fast.
        let walk = |scorer: &dyn PreparedScorer| walker.walk(&AgingEvolution, &Value::Null, scorer);
        let front = trade_off::front(&hyperspace, &*scorers[0], typed.into(), &found.scored, walk);
        front.map(|front| rows(typed, front)).map_err(Failure::input)
    });
    let front = front.transpose()?;
    walker.bar.finish_and_clear();
    let top = |scored: &ScoredSpace| TopSpace {
        space: scored.space.to_string(),
        score: scored.score.score,
    };
    let report = SearchReport {
        best: best.space.to_string(),
        score: best.score.score,
        gap: found.gap(),
        evaluations: found.evaluations,
        scores_per_second,
        seconds,
        top: found.diverse(args.top.into(), args.apart).into_iter().map(top).collect(),
        devices: devices.iter().zip(on_devices).map(device_row).collect(),
        front,
    };
    Output::new(text(args, &report), &report)
}

/// What fails late otherwise.
fn check(args: &SpaceSearchArgs) -> Result<(), Failure> {
    if args.front == Some(crate::cli::FrontArg::Constraints) && args.scoring.constraints.len() < 2 {
        return Err(Failure::input("a front over constraints needs at least two of them")
            .hint("give --constraint once for each latency limit"));
    }
    Ok(())
}

/// The flags for each device.
fn devices(args: &SpaceSearchArgs) -> Vec<ScoringArgs> {
    let others = args.devices.iter().map(|device| ScoringArgs {
        tables: device.tables.clone(),
        constraints: device.constraints.clone(),
        ..args.scoring.clone()
    });
    std::iter::once(args.scoring.clone()).chain(others).collect()
}

fn found(
    walker: &Walker<'_>,
    strategy: &Arc<dyn Strategy>,
    options: &Value,
    scorers: &[Box<dyn PreparedScorer>],
) -> Result<(Searched, Vec<OnTarget>), Failure> {
    let walk = |scorer: &dyn PreparedScorer| walker.walk(&**strategy, options, scorer);
    if let [scorer] = scorers {
        return Ok((walk(&**scorer).map_err(Failure::input)?, Vec::new()));
    }
    let scorers: Vec<&dyn PreparedScorer> = scorers.iter().map(|scorer| &**scorer).collect();
    let common =
        multi_target::search(&scorers, walker.budget.seed, walk).map_err(Failure::input)?;
    Ok((common.found, common.targets))
}

fn device_row((scoring, on): (&ScoringArgs, OnTarget)) -> DeviceRow {
    DeviceRow {
        tables: scoring.tables.display().to_string(),
        constraints_ms: scoring.constraints.clone(),
        best_alone: on.alone.space.to_string(),
        score_alone: on.alone.score.score,
        score: on.common.score,
        lost: on.lost(),
    }
}

fn text(args: &SpaceSearchArgs, report: &SearchReport) -> String {
    let mut table = Table::new(&["space", "score"]);
    for space in &report.top {
        table.row([space.space.clone(), format!("{:.5}", space.score)]);
    }
    let mut text = format!(
        "{} spaces scored in {:.1} s; the best:\n{}",
        report.evaluations,
        report.seconds,
        table.render()
    );
    if !report.devices.is_empty() {
        let mut table =
            Table::new(&["tables", "limits ms", "best alone", "alone", "common", "lost"]);
        for device in &report.devices {
            let limits: Vec<String> = device.constraints_ms.iter().map(f64::to_string).collect();
            table.row([
                device.tables.clone(),
                limits.join(" "),
                device.best_alone.clone(),
                format!("{:.5}", device.score_alone),
                format!("{:.5}", device.score),
                format!("{:.2} %", 100.0 * device.lost),
            ]);
        }
        let _ = write!(text, "\nthe best, {}, on each device:\n{}", report.best, table.render());
    }
    if let (Some(typed), Some(front)) = (args.front, &report.front) {
        let table = self::table(typed, &args.scoring.constraints, front);
        let _ = write!(text, "\n{} spaces that no other beats:\n{table}", front.len());
    }
    text
}
