//! Puts together what was found, against what it beats: `report.json`.

use spacewright_core::{
    latency::Precision,
    study::{FieldError, Step, StepContext, StepError, StepNeeds, StudyContext},
};

use super::{
    correct::Correct,
    distil::{Distil, Distilled},
    evolve::{Evolve, RANDOM_SEARCH},
    export::{Export, ExportedNetwork, file_name},
    measure::Measure,
    outside::{self, JudgedOutside},
    search::{BudgetOutcome, Search},
    tables::Tables,
    teach::Teach,
    train::Train,
};
use crate::{
    report::{
        AgainstNetwork, BudgetNetwork, Front, LossCorrection, RivalNetwork, SpaceSummary,
        StageChoice, StudyReport, SumOfPartsError, publish_networks,
    },
    settings::{EvolveSettings, ExportSettings, ReportSettings, TeachSettings},
};

/// Says what was found.
pub struct Report;

impl Step for Report {
    const NAME: &'static str = "report";
    const SUMMARY: &'static str = "say what was found";
    const READS: &'static [&'static str] = &[
        Tables::NAME,
        Measure::NAME,
        Teach::NAME,
        Distil::NAME,
        Correct::NAME,
        Evolve::NAME,
        Train::NAME,
        Search::NAME,
        Export::NAME,
    ];
    const NEEDS: StepNeeds = StepNeeds { training: true, latencies: true, runtime: true };

    type Settings = (ReportSettings, EvolveSettings, ExportSettings, TeachSettings);
    type Output = StudyReport;

    fn check(
        &self,
        study: &StudyContext,
        (settings, ..): &Self::Settings,
    ) -> Result<(), FieldError> {
        outside::rivals(study, settings).map(drop)
    }

    fn run(
        &self,
        context: &dyn StepContext,
        (settings, evolve, export, teach): Self::Settings,
    ) -> Result<StudyReport, StepError> {
        let study = context.study();
        let hyperspace = &study.hyperspace;
        let latencies = context.get(&Measure::OUTPUT)?.own;
        let teacher = context.get(&Teach::OUTPUT)?;
        let evolved = context.get(&Evolve::OUTPUT)?;
        let outcomes = context.get(&Search::OUTPUT)?;
        let budget = |network: ExportedNetwork| BudgetNetwork {
            budget_ms: network.chosen.budget_ms,
            predicted_ms: network.chosen.predicted_ms,
            held_out_accuracy: network.chosen.held_out_accuracy,
            standard_error: network.chosen.standard_error,
            finetuned: network.finetuned.map(|own| own.phases),
            file: file_name(study, network.budget, Precision::Int8),
            fp32_file: file_name(study, network.budget, Precision::Fp32),
            network: network.verified,
            latency: network.latency,
            speed_up: network.latency.speed_up(),
        };
        let tables = context.get(&Tables::OUTPUT)?.into_iter();
        let diverged =
            tables.zip(context.get(&Distil::OUTPUT)?).filter_map(|(table, distilled)| {
                let diverged = matches!(distilled, Distilled::Diverged(_));
                diverged.then(|| table.task_name(hyperspace))
            });
        let uniform = evolved.uniform.iter();
        let uniform = uniform
            .map(|scored| SpaceSummary::new("one block type everywhere", scored, hyperspace));
        let random = SpaceSummary::new(RANDOM_SEARCH, &evolved.random, hyperspace);
        let budgets: Vec<BudgetNetwork> =
            context.get(&Export::OUTPUT)?.into_iter().map(budget).collect();
        let own = Front::new(budgets.iter().map(BudgetNetwork::point).collect());
        let (rivals, rivals_left_out) = outside::judge(context, &settings, &export)?;
        let found_by = evolved.found_by.as_deref().or(evolve.strategy.as_deref());
        let report = StudyReport {
            hyperspace: hyperspace.name.clone(),
            target: study.target.description().name,
            latency_source: study.target.latency_source()?.fingerprint(),
            seed: study.seed,
            trained_with: study.trained_with()?,
            teacher_accuracy: teacher.test_accuracy,
            teacher_held_out_accuracy: teacher.held_out_accuracy,
            teacher_before: teacher.before,
            teacher_block: teach.own_block().map(str::to_owned),
            correction: LossCorrection::new(context.get(&Correct::OUTPUT)?, hyperspace),
            space: SpaceSummary::new(found_by.unwrap_or_default(), &evolved.best[0], hyperspace),
            choices: StageChoice::of(&evolved.explanation, hyperspace),
            evaluations: evolved.evaluations,
            gap: evolved.gap,
            budgets,
            rivals_left_out,
            rivals: rivals.into_iter().map(|rival| rival_network(rival, &own)).collect(),
            infeasible_budgets: outcomes
                .into_iter()
                .filter(|outcome| matches!(outcome, BudgetOutcome::Infeasible { .. }))
                .collect(),
            other_spaces: std::iter::once(random).chain(uniform).collect(),
            devices: evolved.devices,
            supernet: context.get(&Train::OUTPUT)?,
            latency: SumOfPartsError::new(latencies.deciles_ms, &latencies.sum_of_parts),
            diverged_blocks: diverged.collect(),
            seconds: context.seconds()?,
        };
        let text = serde_json::to_string_pretty(&report)? + "\n";
        context.publish("report.json", text.as_bytes())?;
        publish_networks(context, &report)?;
        Ok(report)
    }
}

/// A rival, and what the study's networks are against it.
fn rival_network(rival: JudgedOutside, own: &Front) -> RivalNetwork {
    let JudgedOutside { name, quantized, latency } = rival;
    let accuracy = quantized.int8_accuracy.unwrap_or_default();
    RivalNetwork {
        model: name,
        network: quantized,
        latency,
        speed_up: latency.speed_up(),
        against: AgainstNetwork::new(own, (latency.int8_ms, accuracy)),
    }
}
