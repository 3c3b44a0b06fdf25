//! Latency of the quality tables' rows, of stem and head; budgets; how well parts add up.

mod composed;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use spacewright_core::{
    latency::{Position, Precision, milliseconds},
    quality::{FixedLatency, HeadRow, StemRow},
    random,
    space::{Space, SubStage, Subnet},
    study::{
        Artifact, FieldError, Section, Step, StepContext, StepError, StepNeeds, StudyContext, Task,
    },
    target::Target,
};

use self::composed::ComposedSubnet;
use super::tables::Tables;
use crate::{
    error::SpaceEvoError,
    network_parts::{self, NetworkPart, PartLatencies},
    settings::{Budget, MeasureSettings},
    tables::BlockRows,
};

/// What was measured on one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetLatencies {
    /// For each stage with each block type, in order: milliseconds of each row.
    pub rows_ms: Vec<Vec<f64>>,
    /// Stem and head.
    pub fixed: FixedLatency,
    /// Latency limits in milliseconds.
    pub budgets_ms: Vec<f64>,
    /// Deciles of the latency of random subnets of random spaces, from the fastest to the slowest.
    pub deciles_ms: Vec<f64>,
    /// Sums of parts against whole networks.
    pub sum_of_parts: Vec<SumOfParts>,
}

/// One whole network against the sum of its parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SumOfParts {
    /// The space that the network was drawn from.
    pub space: Space,
    /// Sum of its parts, in milliseconds.
    pub predicted_ms: f64,
    /// The whole, in milliseconds.
    pub measured_ms: f64,
}

/// What was measured on the study's target, and on others that its space has to suit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudyLatencies {
    /// On the study's target.
    pub own: TargetLatencies,
    /// On the others, by name.
    pub also: IndexMap<String, TargetLatencies>,
}

impl StudyLatencies {
    /// On every target, the study's own first; its name is `None`.
    pub fn each(&self) -> impl Iterator<Item = (Option<&str>, &TargetLatencies)> {
        let also = self.also.iter().map(|(name, latencies)| (Some(name.as_str()), latencies));
        std::iter::once((None, &self.own)).chain(also)
    }
}

/// Measures the blocks of the quality tables.
pub struct Measure;

impl Measure {
    /// What was measured on the study's target, or on another one.
    fn on(target: Option<&str>) -> Artifact<TargetLatencies> {
        match target {
            None => Artifact::new(Self::NAME, "latency"),
            Some(target) => Artifact::of_task(Self::NAME, format!("latency-{target}")),
        }
    }
}

impl Step for Measure {
    const NAME: &'static str = "measure";
    const SUMMARY: &'static str = "measure the blocks of the quality tables";
    const READS: &'static [&'static str] = &[Tables::NAME];
    const NEEDS: StepNeeds = StepNeeds::LATENCIES;

    type Settings = MeasureSettings;
    type Output = StudyLatencies;

    fn check(&self, study: &StudyContext, settings: &MeasureSettings) -> Result<(), FieldError> {
        let own = study.target.description().name;
        if settings.also.contains(&own) {
            let reason = format!("`{own}` is the study's own target");
            let hint = "name other targets only";
            return Err(FieldError::refused(MeasureSettings::NAME, "also", reason, hint));
        }
        let others = settings.also.iter().filter_map(|name| study.targets.get(name));
        let others = others.map(|target| (MeasureSettings::NAME, "also", target));
        for (section, field, target) in std::iter::once(("", "target", &study.target)).chain(others)
        {
            check_threads(target.as_ref(), settings.threads)?;
            check_precision(target.as_ref(), section, field)?;
        }
        Ok(())
    }

    fn run(
        &self,
        context: &dyn StepContext,
        settings: MeasureSettings,
    ) -> Result<StudyLatencies, StepError> {
        let tables = context.get(&Tables::OUTPUT)?;
        let (settings, tables) = (&settings, &tables);
        let task = |target: Option<&str>| {
            let (artifact, target) = (Self::on(target), target.map(str::to_owned));
            Task::new(artifact.task(), move |_, _| {
                measure(context, settings, tables, target.as_deref())
            })
        };
        // One after the other: two measurements would disturb each other.
        let mut measured = context.tasks(settings.targets().map(task).collect(), 1)?;
        for (target, latencies) in settings.targets().zip(&measured) {
            let budgets: Vec<String> =
                latencies.budgets_ms.iter().map(|ms| milliseconds(*ms) + " ms").collect();
            let on = target.map(|target| format!(" on {target}")).unwrap_or_default();
            let with = match settings.threads {
                1 => String::new(),
                threads => format!(" with {threads} threads"),
            };
            context.say(&format!("latency budgets{on}{with}: {}", budgets.join(", ")));
        }
        let own = measured.remove(0);
        Ok(StudyLatencies { own, also: settings.also.iter().cloned().zip(measured).collect() })
    }
}

/// That the latencies of a target hold for so many threads.
fn check_threads(target: &dyn Target, threads: usize) -> Result<(), FieldError> {
    let known = target.threads();
    if known == threads {
        return Ok(());
    }
    let name = target.description().name;
    let reason = format!("latencies of `{name}` are those of {known} thread(s), not of {threads}");
    let hint = format!("threads = {known}, or a target that is measured on this machine");
    Err(FieldError::refused(MeasureSettings::NAME, "threads", reason, hint))
}

/// That the latencies of a target, which this field names, are known in integers. What is not there on this machine
/// says so where it is asked for latencies.
fn check_precision(target: &dyn Target, section: &str, field: &str) -> Result<(), FieldError> {
    let Ok(source) = target.latency_source() else { return Ok(()) };
    let precisions = source.precisions();
    if precisions.contains(&Precision::Int8) {
        return Ok(());
    }
    let known: Vec<&str> = precisions.into_iter().map(Precision::name).collect();
    let reason = format!(
        "latencies of `{}` come from `{}`, which knows {} alone; the networks of a study are in \
         int8",
        target.description().name,
        source.name(),
        known.join(", ")
    );
    let hint = "take a target, or a source of latencies (`latency`), that knows int8";
    Err(FieldError::refused(section, field, reason, hint))
}

fn measure(
    context: &dyn StepContext,
    settings: &MeasureSettings,
    tables: &[BlockRows],
    target: Option<&str>,
) -> Result<TargetLatencies, StepError> {
    let study = context.study();
    let row_parts = tables
        .iter()
        .map(|table| network_parts::row_parts(study, &table.rows))
        .collect::<Result<Vec<_>, StepError>>()?;
    let stems = stems(study, settings.stem_rows)?;
    let heads = heads(study)?;
    let subnets = composed::draw(study, settings.subnets, tables, (&stems, &heads))?;
    let mut latencies = PartLatencies::on(target);
    let all = row_parts
        .iter()
        .flatten()
        .chain(stems.iter().map(|stem| &stem.parts))
        .chain(heads.iter().map(|head| &head.parts));
    latencies.ask(context, all.flatten())?;

    let sum = |parts: &Vec<NetworkPart>| latencies.sum(parts);
    let sums = |rows: &Vec<Vec<NetworkPart>>| rows.iter().map(sum).collect();
    let rows_ms: Vec<Vec<f64>> =
        row_parts.iter().map(sums).collect::<Result<_, SpaceEvoError>>()?;
    let stem = |end: &NetworkEnd| {
        let NetworkEnd { width, resolution, parts } = end;
        Ok(StemRow { width: *width, resolution: *resolution, latency_ms: sum(parts)? })
    };
    let head = |end: &NetworkEnd| {
        let NetworkEnd { width, resolution, parts } = end;
        Ok(HeadRow { width: *width, resolution: *resolution, latency_ms: sum(parts)? })
    };
    let stem: Vec<StemRow> = stems.iter().map(stem).collect::<Result<_, SpaceEvoError>>()?;
    let head: Vec<HeadRow> = heads.iter().map(head).collect::<Result<_, SpaceEvoError>>()?;
    let subnet_ms = |subnet: &ComposedSubnet| {
        let rows = subnet.rows.iter().map(|&(table, row)| rows_ms[table][row]);
        rows.fold(stem[subnet.stem].latency_ms, |sum, ms| sum + ms) + head[subnet.head].latency_ms
    };
    let mut sampled: Vec<f64> = subnets.iter().map(subnet_ms).collect();
    sampled.sort_by(f64::total_cmp);
    let quantile = |q: f64| sampled[((sampled.len() - 1) as f64 * q).round() as usize];
    let fastest_rows: f64 = stages_rows(study, &rows_ms).map(shortest).sum();
    let fastest = fastest_rows
        + shortest(stem.iter().map(|row| row.latency_ms))
        + shortest(head.iter().map(|row| row.latency_ms));
    let budget = |budget: &Budget| match budget {
        Budget::Quantile(q) => Ok(quantile(*q)),
        Budget::Ms(ms) if *ms < UNREACHABLE * fastest => Err(unreachable_budget(*ms, &sampled)),
        Budget::Ms(ms) => Ok(*ms),
    };
    Ok(TargetLatencies {
        rows_ms,
        fixed: FixedLatency::Predicted { stem, head },
        budgets_ms: settings.budgets.iter().map(budget).collect::<Result<_, FieldError>>()?,
        deciles_ms: (0..=10).map(|tenth| quantile(f64::from(tenth) / 10.0)).collect(),
        sum_of_parts: check_sums(context, settings.whole_networks, &mut latencies)?,
    })
}

/// Below which share of the sum of the fastest parts that were drawn no subnet can be.
const UNREACHABLE: f64 = 0.5;

/// Latencies of all rows of each stage, whatever the block type.
fn stages_rows<'r>(
    study: &StudyContext,
    rows_ms: &'r [Vec<f64>],
) -> impl Iterator<Item = impl Iterator<Item = f64> + 'r> {
    let blocks = study.hyperspace.candidates.len().max(1);
    rows_ms.chunks(blocks).map(|tables| tables.iter().flatten().copied())
}

fn shortest(latencies_ms: impl Iterator<Item = f64>) -> f64 {
    latencies_ms.fold(f64::INFINITY, f64::min)
}

/// `sampled` holds latencies of random subnets, from the fastest to the slowest.
fn unreachable_budget(budget_ms: f64, sampled: &[f64]) -> FieldError {
    let reason = format!("no network takes only {} ms", milliseconds(budget_ms));
    let range = [sampled.first(), sampled.last()].map(|ms| milliseconds(*ms.unwrap_or(&f64::NAN)));
    let hint = format!("random subnets take {} to {} ms: set budgets within", range[0], range[1]);
    FieldError::refused(MeasureSettings::NAME, "budgets", reason, hint)
}

/// A stem, or a head, with the width at which it meets the stages.
struct NetworkEnd {
    width: usize,
    resolution: usize,
    parts: Vec<NetworkPart>,
}

/// Sub-stages of the stem: smallest, largest and random ones, at every resolution of the tables.
fn stems(study: &StudyContext, most: usize) -> Result<Vec<NetworkEnd>, StepError> {
    let stages = study.hyperspace.stem_stages();
    let mut rng = random::generator(study.seed, &["measure", "stem"]);
    let mut choices: Vec<Vec<SubStage>> = vec![
        stages.iter().map(SubStage::smallest).collect(),
        stages.iter().map(SubStage::largest).collect(),
    ];
    let random = |_| stages.iter().map(|stage| SubStage::random(stage, &mut rng)).collect();
    // More than are wanted, as some are drawn twice.
    choices.extend((0..4 * most).map(random).collect::<Vec<_>>());
    let mut distinct: Vec<Vec<SubStage>> = Vec::new();
    for choice in choices {
        if distinct.len() < most && !distinct.contains(&choice) {
            distinct.push(choice);
        }
    }
    let mut stems = Vec::new();
    for choice in &distinct {
        let width = network_parts::stem_width(choice);
        for &resolution in &study.hyperspace.table_resolutions {
            let parts = network_parts::stem_parts(study, &stages, choice, resolution)?;
            stems.push(NetworkEnd { width, resolution, parts });
        }
    }
    Ok(stems)
}

fn heads(study: &StudyContext) -> Result<Vec<NetworkEnd>, StepError> {
    let hyperspace = &study.hyperspace;
    let mut heads = Vec::new();
    for &width in hyperspace.input_widths(hyperspace.stages.len()) {
        for &resolution in &hyperspace.table_resolutions {
            let parts = network_parts::head_parts(study, width, resolution)?;
            heads.push(NetworkEnd { width, resolution, parts });
        }
    }
    Ok(heads)
}

fn check_sums(
    context: &dyn StepContext,
    count: usize,
    latencies: &mut PartLatencies,
) -> Result<Vec<SumOfParts>, StepError> {
    let study = context.study();
    let hyperspace = &study.hyperspace;
    let mut rng = random::generator(study.seed, &["measure", "whole networks"]);
    let mut sums = Vec::new();
    for _ in 0..count {
        let space = Space::random(hyperspace, &mut rng);
        let stages = space.elastic_stages(hyperspace);
        let subnet = Subnet::random(&stages, &hyperspace.table_resolutions, &mut rng);
        let parts = network_parts::subnet_parts(study, &stages, &subnet)?;
        latencies.ask(context, &parts)?;
        let whole = network_parts::whole_network(study, &stages, &subnet)?;
        let query = network_parts::query(whole, Position::Whole, Precision::Int8);
        let measured = latencies.latencies(context, std::slice::from_ref(&query))?[0];
        let predicted_ms = latencies.sum(&parts)?;
        sums.push(SumOfParts { space, predicted_ms, measured_ms: measured.ms });
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use spacewright_core::{
        latency::{Latency, LatencyError, LatencyQuery, LatencySource},
        target::{TargetDescription, TargetError},
    };

    use super::*;

    struct Predicted;

    impl Target for Predicted {
        fn description(&self) -> TargetDescription {
            TargetDescription::modelled("npu", "A model.", "onnx")
        }

        fn latency_source(&self) -> Result<Arc<dyn LatencySource>, TargetError> {
            Err(TargetError::new("npu", "it is not asked"))
        }
    }

    #[test]
    fn predicted_latencies_hold_for_the_threads_that_they_were_fitted_with() {
        check_threads(&Predicted, 1).unwrap();
        let error = check_threads(&Predicted, 4).unwrap_err();
        assert_eq!(
            error.to_string(),
            "[measure] threads: latencies of `npu` are those of 1 thread(s), not of 4"
        );
        assert!(error.hint().starts_with("threads = 1, or a target"), "{}", error.hint());
    }

    /// A target, and its latencies, that are known in floating point alone.
    struct FloatOnly;

    impl Target for FloatOnly {
        fn description(&self) -> TargetDescription {
            TargetDescription::modelled("npu", "A model.", "onnx")
        }

        fn latency_source(&self) -> Result<Arc<dyn LatencySource>, TargetError> {
            Ok(Arc::new(Self))
        }
    }

    impl LatencySource for FloatOnly {
        fn name(&self) -> &str {
            "my-source"
        }

        fn fingerprint(&self) -> String {
            "1".into()
        }

        fn precisions(&self) -> Vec<Precision> {
            vec![Precision::Fp32]
        }

        fn latencies(&self, _: &[LatencyQuery]) -> Result<Vec<Latency>, LatencyError> {
            Err(LatencyError::new("it is not asked"))
        }
    }

    #[test]
    fn latencies_in_floating_point_alone_are_refused() {
        check_precision(&Predicted, "", "target").unwrap();
        let error = check_precision(&FloatOnly, "", "target").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`target`: latencies of `npu` come from `my-source`, which knows fp32 alone; the \
             networks of a study are in int8"
        );
        let error = check_precision(&FloatOnly, MeasureSettings::NAME, "also").unwrap_err();
        assert!(error.to_string().starts_with("[measure] also: "), "{error}");
    }
}
