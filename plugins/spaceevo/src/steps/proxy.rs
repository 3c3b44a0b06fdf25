//! Whether block-wise losses rank subnets as their INT8 accuracy does.

use std::{collections::BTreeMap, iter};

use spacewright_core::{
    quality::TableRow,
    space::{SubStage, Subnet},
    study::{Step, StepContext, StepError, StepNeeds, Task},
    train::JudgeJob,
};

use super::{
    correct::Correct,
    distil::{Distil, Distilled},
    evolve::Evolve,
    rivals::{Contender, Contenders, TrainManual, TrainRandom},
    sampled::{self, SubnetJudge},
    teach::Teach,
    train::Train,
};
use crate::{
    network_parts::{stem_width, whole_network},
    report::{ProxyReport, SampledSubnets, publish_proxy},
    settings::{DistilSettings, ProxySettings, RivalSettings},
    tables::task_name,
};

/// Compares block-wise losses of subnets with their accuracy.
pub struct Proxy;

impl Step for Proxy {
    const NAME: &'static str = "proxy";
    const SUMMARY: &'static str = "compare block-wise losses of subnets with their accuracy";
    const READS: &'static [&'static str] = &[
        Teach::NAME,
        Distil::NAME,
        Correct::NAME,
        Evolve::NAME,
        Train::NAME,
        TrainRandom::NAME,
        TrainManual::NAME,
    ];
    const NEEDS: StepNeeds = StepNeeds::TRAINING;
    const EXTRA: bool = true;

    type Settings = (DistilSettings, RivalSettings, ProxySettings);
    type Output = ProxyReport;

    fn run(
        &self,
        context: &dyn StepContext,
        (distil, rivals, settings): Self::Settings,
    ) -> Result<ProxyReport, StepError> {
        let contenders = Contenders::of(context, &rivals)?;
        let spaces = contenders.all();
        let ProxySettings { subnets, second_subnets, manual_subnets, .. } = settings;
        let counts = [subnets, second_subnets].into_iter().chain(iter::repeat(manual_subnets));
        let study = context.study();
        let draw = |(contender, count): (&&Contender, usize)| {
            let stages = contender.space.elastic_stages(&study.hyperspace);
            let resolutions = &study.hyperspace.table_resolutions;
            let purpose = ["proxy", contender.name.as_str()];
            sampled::draw(&stages, resolutions, count, study.seed, &purpose)
        };
        let drawn: Vec<Vec<Subnet>> = spaces.iter().zip(counts).map(draw).collect();
        let losses = losses(context, &distil, &spaces, &drawn)?;
        let trainer = super::trainer(context)?;
        let judge = SubnetJudge {
            context,
            trainer: trainer.as_ref(),
            train: &context.train_context()?,
            calibration_images: settings.calibration_images,
            judge_images: settings.judge_images,
        };
        let mut tasks = Vec::new();
        for (contender, subnets) in spaces.iter().zip(&drawn) {
            tasks.push(judge.task(format!("accuracy-{}", contender.name), contender, subnets)?);
        }
        let accuracies = context.tasks(tasks, 1)?;
        let judged = spaces.iter().zip(drawn).zip(losses).zip(accuracies);
        let sampled = judged.map(|(((contender, subnets), losses), accuracies)| {
            let stages = contender.space.elastic_stages(&study.hyperspace);
            let multiply_adds = |subnet| Ok(whole_network(study, &stages, subnet)?.macs()?);
            Ok::<_, StepError>(SampledSubnets {
                name: contender.name.clone(),
                space: contender.space.clone(),
                multiply_adds: subnets
                    .iter()
                    .map(multiply_adds)
                    .collect::<Result<_, StepError>>()?,
                subnets,
                losses,
                accuracies,
            })
        });
        let stages = study.hyperspace.stages.iter().map(|stage| stage.name.clone()).collect();
        let factors = context.get(&Correct::OUTPUT)?.factors;
        let sampled: Vec<SampledSubnets> = sampled.collect::<Result<_, _>>()?;
        let report = ProxyReport::new(stages, &factors, settings.fit_share, &sampled);
        publish_proxy(context, &report)?;
        Ok(report)
    }
}

/// The sub-stages of a subnet, stage by stage.
fn rows_of(contender: &Contender, subnet: &Subnet, stem: usize) -> Vec<TableRow> {
    let (stem, stages) = subnet.stages.split_at(stem);
    let mut width = stem_width(stem);
    let row = |(stage, sub_stage): (usize, &SubStage)| {
        let row = TableRow {
            stage,
            block: contender.space.blocks[stage],
            window: contender.space.windows[stage],
            input_width: width,
            resolution: subnet.resolution,
            sub_stage: sub_stage.clone(),
        };
        width = sub_stage.width().unwrap_or(width);
        row
    };
    stages.iter().enumerate().map(row).collect()
}

/// The distilled weights that judge a row, and the row without the window: rows of two windows
/// are judged once where they are the same.
fn judged_as(row: TableRow) -> ((usize, usize), TableRow) {
    ((row.stage, row.block), TableRow { window: 0, ..row })
}

type RowsByBlock = BTreeMap<(usize, usize), Vec<TableRow>>;

/// Losses of the stages of each subnet of each space: every sub-stage is judged exactly, with the
/// distilled weights of its stage and block type, as the rows of the quality tables are.
fn losses(
    context: &dyn StepContext,
    settings: &DistilSettings,
    spaces: &[&Contender],
    drawn: &[Vec<Subnet>],
) -> Result<Vec<Vec<Vec<f64>>>, StepError> {
    let stem = context.study().hyperspace.stem.len();
    let mut wanted = RowsByBlock::new();
    for (contender, subnets) in spaces.iter().zip(drawn) {
        for row in subnets.iter().flat_map(|subnet| rows_of(contender, subnet, stem)) {
            let (block, row) = judged_as(row);
            let rows = wanted.entry(block).or_default();
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
    }
    let judged = judge(context, settings, &wanted)?;
    let loss = |row: TableRow| {
        let (block, row) = judged_as(row);
        let position = wanted[&block].iter().position(|known| *known == row).unwrap_or_default();
        judged[&block][position]
    };
    let of_space = |(contender, subnets): (&&Contender, &Vec<Subnet>)| {
        let of_subnet = |subnet| rows_of(contender, subnet, stem).into_iter().map(loss).collect();
        subnets.iter().map(of_subnet).collect()
    };
    Ok(spaces.iter().zip(drawn).map(of_space).collect())
}

/// INT8 losses of sub-stages, by stage and block type.
fn judge(
    context: &dyn StepContext,
    settings: &DistilSettings,
    wanted: &RowsByBlock,
) -> Result<BTreeMap<(usize, usize), Vec<f64>>, StepError> {
    let study = context.study();
    let trainer = super::trainer(context)?;
    let train = &context.train_context()?;
    let (mut losses, mut blocks, mut tasks) = (BTreeMap::new(), Vec::new(), Vec::new());
    for (&(stage, block), rows) in wanted {
        let artifact = Distil::of(&study.hyperspace, stage, block);
        let distilled = context.get(&artifact)?;
        if let Distilled::Diverged(_) = distilled {
            losses.insert((stage, block), distilled.losses(rows.len()));
            continue;
        }
        let job = JudgeJob {
            stage,
            block,
            teacher: Teach::teacher(context)?,
            features: context.file(&Distil::FEATURES)?,
            weights: context.file(&artifact)?,
            rows: rows.clone(),
            calibration_images: settings.calibration_images,
        };
        let trainer = trainer.as_ref();
        blocks.push((stage, block));
        let name = format!("loss-{}", task_name(&study.hyperspace, stage, block));
        tasks.push(Task::new(name, move |_, monitor| Ok(trainer.judge(train, &job, monitor)?)));
    }
    losses.extend(blocks.into_iter().zip(context.tasks_anywhere(tasks, study.threads)?));
    Ok(losses)
}
