//! Whether block-wise losses rank subnets as their INT8 accuracy does: `proxy.json`, a table of the
//! subnets and a plot.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use spacewright_core::{
    method::{StepContext, StepError, Task},
    rank::{kendall_tau, spearman},
    space::{SubStage, Subnet},
    train::JudgeJob,
};

use super::{
    distil::Distilled,
    rivals::{Contender, Contenders},
    sampled::{self, Judge},
};
use crate::{
    plot::{self, Joined, Panel},
    rows,
    settings::{self, DistilSettings, ProxySettings},
    stage_weights::{fit, weighted},
};

/// Content of `proxy.json`. Agreement is 1 where a smaller loss always means a higher accuracy.
#[derive(Debug, Serialize, Deserialize)]
struct Report {
    /// The space that was found.
    space: String,
    /// Its subnets.
    n: usize,
    /// Of the sum of losses, over all of them.
    kendall_tau: Option<f64>,
    /// See `kendall_tau`.
    spearman: Option<f64>,
    stages: Vec<String>,
    /// Fitted on a part of the subnets; their mean is 1.
    weights: Vec<f64>,
    /// The weights as a line of a study file, below `[evolve]`.
    setting: String,
    /// The subnets that the weights were fitted on.
    fitted: Compared,
    /// The rest of them.
    held_out: Compared,
    /// Subnets of the random space.
    second: Compared,
    /// The held-out subnets of both spaces together: a score compares spaces.
    both: Compared,
    subnets: Vec<Judged>,
}

/// Sums of losses against accuracies.
#[derive(Debug, Serialize, Deserialize)]
struct Compared {
    space: String,
    n: usize,
    /// Every stage counts the same.
    raw: Agreement,
    /// Stages count as the weights say.
    weighted: Agreement,
}

/// `None` where all subnets have the same loss or the same accuracy.
#[derive(Debug, Serialize, Deserialize)]
struct Agreement {
    kendall_tau: Option<f64>,
    spearman: Option<f64>,
}

/// A subnet.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Judged {
    part: Part,
    subnet: String,
    /// Noise-to-signal ratio of each stage alone.
    losses: Vec<f64>,
    loss: f64,
    weighted_loss: f64,
    /// INT8, share of held-out images.
    accuracy: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    Fitted,
    HeldOut,
    Second,
}

pub fn run(context: &dyn StepContext) -> Result<(), StepError> {
    let settings: ProxySettings = settings::of(context, "proxy")?;
    let contenders = Contenders::of(context)?;
    let spaces =
        [(&contenders.found, settings.subnets), (&contenders.random, settings.second_subnets)];
    let study = context.parts();
    let draw = |(contender, count): (&Contender, usize)| {
        let stages = contender.space.elastic_stages(&study.hyperspace);
        let purpose = ["proxy", contender.name.as_str()];
        sampled::draw(&stages, &study.hyperspace.table_resolutions, count, study.seed, &purpose)
    };
    let drawn = spaces.map(draw);
    let losses = losses(context, spaces.map(|(contender, _)| contender), &drawn)?;
    let trainer = super::trainer(context)?;
    let judge = Judge {
        context,
        trainer: trainer.as_ref(),
        train: &context.train_context()?,
        calibration_images: settings.calibration_images,
        judge_images: settings.judge_images,
    };
    let mut tasks = Vec::new();
    for ((contender, _), subnets) in spaces.iter().zip(&drawn) {
        tasks.push(judge.task(format!("accuracy-{}", contender.name), contender, subnets)?);
    }
    let mut accuracies = Vec::new();
    for value in context.tasks(tasks, 1)? {
        accuracies.push(serde_json::from_value::<Vec<f64>>(value)?);
    }
    let report = report(context, &settings, &contenders, &drawn, &losses, &accuracies)?;
    let value = serde_json::to_value(&report)?;
    context.tasks(vec![Task::new("report", |_, _| Ok(value.clone()))], 1)?;
    publish(context, &report)
}

/// A sub-stage with the width of its input and its resolution.
type Row = (usize, SubStage, usize);

/// Losses of the stages of each subnet of each space: every sub-stage is judged exactly, with the
/// weights of its distilled (stage, block), as the rows of the quality tables are.
fn losses(
    context: &dyn StepContext,
    spaces: [&Contender; 2],
    drawn: &[Vec<Subnet>; 2],
) -> Result<[Vec<Vec<f64>>; 2], StepError> {
    let hyperspace = &context.parts().hyperspace;
    let rows_of = |contender: &Contender, subnet: &Subnet| -> Vec<((usize, usize), Row)> {
        let (stem, stages) = subnet.stages.split_at(hyperspace.stem.len());
        let mut width = stem.iter().rev().find_map(SubStage::width).unwrap_or_default();
        let row = |(stage, sub_stage): (usize, &SubStage)| {
            let row = (width, sub_stage.clone(), subnet.resolution);
            width = sub_stage.width().unwrap_or(width);
            ((stage, contender.space.blocks[stage]), row)
        };
        stages.iter().enumerate().map(row).collect()
    };
    let mut wanted: BTreeMap<(usize, usize), Vec<Row>> = BTreeMap::new();
    for (contender, subnets) in spaces.iter().zip(drawn) {
        for (cell, row) in subnets.iter().flat_map(|subnet| rows_of(contender, subnet)) {
            let rows = wanted.entry(cell).or_default();
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
    }
    let judged = judge(context, &wanted)?;
    let loss = |(cell, row): ((usize, usize), Row)| {
        let position = wanted[&cell].iter().position(|known| *known == row).unwrap_or_default();
        judged[&cell][position]
    };
    let of_space = |index: usize| {
        let subnets = drawn[index].iter();
        subnets.map(|s| rows_of(spaces[index], s).into_iter().map(loss).collect()).collect()
    };
    Ok([of_space(0), of_space(1)])
}

/// INT8 losses of sub-stages, by (stage, block).
fn judge(
    context: &dyn StepContext,
    wanted: &BTreeMap<(usize, usize), Vec<Row>>,
) -> Result<BTreeMap<(usize, usize), Vec<f64>>, StepError> {
    let settings: DistilSettings = settings::of(context, "distil")?;
    let study = context.parts();
    let trainer = super::trainer(context)?;
    let train = &context.train_context()?;
    let (mut losses, mut cells, mut tasks) = (BTreeMap::new(), Vec::new(), Vec::new());
    for (&(stage, block), rows) in wanted {
        let name = rows::task_name(&study.hyperspace, stage, block);
        let artifact = format!("distil/{name}");
        let distilled: Distilled = super::result(context, &artifact)?;
        if let Distilled::Diverged(_) = distilled {
            losses.insert((stage, block), distilled.losses(rows.len()));
            continue;
        }
        let job = JudgeJob {
            stage,
            block,
            features: context.path("teach/features")?,
            weights: context.path(&artifact)?,
            rows: rows.clone(),
            calibration_images: settings.calibration_images,
        };
        let trainer = trainer.as_ref();
        cells.push((stage, block));
        tasks.push(Task::new(format!("loss-{name}"), move |_, monitor| {
            Ok(serde_json::to_value(trainer.judge(train, &job, monitor)?)?)
        }));
    }
    for (cell, value) in cells.into_iter().zip(context.tasks(tasks, study.threads)?) {
        losses.insert(cell, serde_json::from_value(value)?);
    }
    Ok(losses)
}

fn report(
    context: &dyn StepContext,
    settings: &ProxySettings,
    contenders: &Contenders,
    drawn: &[Vec<Subnet>; 2],
    losses: &[Vec<Vec<f64>>; 2],
    accuracies: &[Vec<f64>],
) -> Result<Report, StepError> {
    let n = drawn[0].len();
    let fitted = (settings.fit_share * n as f64).round() as usize;
    let weights = fit(&losses[0][..fitted], &accuracies[0][..fitted]);
    let mut subnets = Vec::new();
    for (space, drawn) in drawn.iter().enumerate() {
        for (index, subnet) in drawn.iter().enumerate() {
            let losses = losses[space][index].clone();
            subnets.push(Judged {
                part: match space {
                    0 if index < fitted => Part::Fitted,
                    0 => Part::HeldOut,
                    _ => Part::Second,
                },
                subnet: subnet.to_string(),
                loss: losses.iter().sum(),
                weighted_loss: weighted(&losses, &weights),
                losses,
                accuracy: accuracies[space][index],
            });
        }
    }
    let (found, random) = (&contenders.found.space, &contenders.random.space);
    let of = |parts: &[Part], space: String| {
        let subnets: Vec<&Judged> =
            subnets.iter().filter(|subnet| parts.contains(&subnet.part)).collect();
        Compared {
            space,
            n: subnets.len(),
            raw: agreement(&subnets, |subnet| subnet.loss),
            weighted: agreement(&subnets, |subnet| subnet.weighted_loss),
        }
    };
    let all: Vec<&Judged> = subnets.iter().take(n).collect();
    let Agreement { kendall_tau, spearman } = agreement(&all, |subnet| subnet.loss);
    let rounded: Vec<String> = weights.iter().map(|weight| format!("{weight:.3}")).collect();
    Ok(Report {
        space: found.to_string(),
        n,
        kendall_tau,
        spearman,
        stages: context.parts().hyperspace.stages.iter().map(|stage| stage.name.clone()).collect(),
        setting: format!("score = {{ stage_weights = [{}] }}", rounded.join(", ")),
        fitted: of(&[Part::Fitted], found.to_string()),
        held_out: of(&[Part::HeldOut], found.to_string()),
        second: of(&[Part::Second], random.to_string()),
        both: of(&[Part::HeldOut, Part::Second], format!("{found}, {random}")),
        weights,
        subnets,
    })
}

fn agreement(subnets: &[&Judged], loss: impl Fn(&Judged) -> f64) -> Agreement {
    let losses: Vec<f64> = subnets.iter().map(|subnet| -loss(subnet)).collect();
    let accuracies: Vec<f64> = subnets.iter().map(|subnet| subnet.accuracy).collect();
    Agreement {
        kendall_tau: kendall_tau(&losses, &accuracies),
        spearman: spearman(&losses, &accuracies),
    }
}

fn publish(context: &dyn StepContext, report: &Report) -> Result<(), StepError> {
    let text = serde_json::to_string_pretty(report)? + "\n";
    context.publish("proxy.json", text.as_bytes())?;
    let mut csv = format!("part,subnet,{},loss,weighted_loss,accuracy\n", report.stages.join(","));
    for Judged { part, subnet, losses, loss, weighted_loss, accuracy } in &report.subnets {
        let losses: Vec<String> = losses.iter().map(f64::to_string).collect();
        let part = match part {
            Part::Fitted => "fitted",
            Part::HeldOut => "held out",
            Part::Second => "second space",
        };
        let losses = losses.join(",");
        csv += &format!("{part},{subnet},{losses},{loss},{weighted_loss},{accuracy}\n");
    }
    context.publish("proxy.csv", csv.as_bytes())?;
    let points = |part: Part, x: fn(&Judged) -> f64| {
        let of_part = report.subnets.iter().filter(move |subnet| subnet.part == part);
        of_part.map(|subnet| (x(subnet), 100.0 * subnet.accuracy)).collect::<Vec<_>>()
    };
    let parts = [Part::Fitted, Part::HeldOut, Part::Second];
    let panel = |x: &'static str, value: fn(&Judged) -> f64| Panel {
        x,
        y: "INT8 accuracy in %",
        series: parts.map(|part| points(part, value)).into(),
        joined: Joined::Dots,
    };
    let panels = [
        panel("sum of block-wise losses", |subnet| subnet.loss),
        panel("weighted sum of block-wise losses", |subnet| subnet.weighted_loss),
    ];
    let names = [
        format!("{}, fitted", report.space),
        format!("{}, held out", report.space),
        format!("{}, random space", report.second.space),
    ];
    let svg = plot::svg("Block-wise loss and accuracy of subnets", &names, &panels)?;
    context.publish("proxy.svg", svg.as_bytes()).map(drop)
}
