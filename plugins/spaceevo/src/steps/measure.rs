//! Latency of the quality tables' rows, of stem and head; budgets; how well parts add up.

use rand::{Rng, seq::IndexedRandom};
use serde::{Deserialize, Serialize};
use spacewright_core::{
    latency::{Position, Precision},
    method::{Parts, StepContext, StepError, Task},
    quality::{FixedLatency, HeadRow, StemRow},
    random,
    space::{Space, SubStage, Subnet},
};

use crate::{
    parts::{self, Part, PartLatencies},
    rows::{self, Row},
    settings::{self, Budget, MeasureSettings, TableSettings},
};

/// What the step found.
#[derive(Debug, Serialize, Deserialize)]
pub struct Measured {
    /// Per (stage, block), in order: milliseconds of each row.
    pub rows_ms: Vec<Vec<f64>>,
    /// Stem and head.
    pub fixed: FixedLatency,
    /// Latency limits in milliseconds.
    pub budgets_ms: Vec<f64>,
    /// Deciles of the latency of random subnets of random spaces, from the fastest to the slowest.
    pub deciles_ms: Vec<f64>,
    /// Sums of parts against whole networks.
    pub sum_of_parts: Vec<PartsCheck>,
}

/// One whole network against the sum of its parts.
#[derive(Debug, Serialize, Deserialize)]
pub struct PartsCheck {
    pub space: Space,
    pub predicted_ms: f64,
    pub measured_ms: f64,
}

pub fn run(context: &dyn StepContext) -> Result<(), StepError> {
    let settings: MeasureSettings = settings::of(context, "measure")?;
    let settings = &settings;
    let task = |target: Option<&str>| {
        let (name, target) = (task_name(target), target.map(str::to_owned));
        Task::new(name, move |_, _| {
            Ok(serde_json::to_value(measure(context, settings, target.as_deref())?)?)
        })
    };
    let targets: Vec<Option<&str>> = settings.targets().collect();
    // One after the other: two measurements would disturb each other.
    context.tasks(targets.iter().map(|target| task(*target)).collect(), 1)?;
    for target in targets {
        let measured = of(context, target)?;
        let budgets: Vec<String> =
            measured.budgets_ms.iter().map(|ms| format!("{ms:.3} ms")).collect();
        let on = target.map(|target| format!(" on {target}")).unwrap_or_default();
        context.say(&format!("latency budgets{on}: {}", budgets.join(", ")));
    }
    Ok(())
}

/// Whether the other targets exist.
pub fn check(parts: &Parts, settings: &MeasureSettings) -> Result<(), StepError> {
    let own = parts.target.description().name;
    for (index, name) in settings.also.iter().enumerate() {
        super::named("[measure] also", name, &parts.targets)?;
        if settings.also[..index].contains(name) {
            let message = format!("[measure] also: `{name}` is there twice");
            return Err(StepError::Study { message, hint: "name it once".into() });
        }
        if *name == own {
            let message = format!("[measure] also: `{name}` is the study's own target");
            return Err(StepError::Study { message, hint: "name other targets only".into() });
        }
    }
    Ok(())
}

impl MeasureSettings {
    /// The study's target, as `None`, then the others.
    pub fn targets(&self) -> impl Iterator<Item = Option<&str>> {
        std::iter::once(None).chain(self.also.iter().map(|name| Some(name.as_str())))
    }
}

fn task_name(target: Option<&str>) -> String {
    target.map_or_else(|| "latency".into(), |target| format!("latency-{target}"))
}

/// What was found on the study's target, or on another one that the settings name.
pub fn of(context: &dyn StepContext, target: Option<&str>) -> Result<Measured, StepError> {
    super::result(context, &format!("measure/{}", task_name(target)))
}

fn measure(
    context: &dyn StepContext,
    settings: &MeasureSettings,
    target: Option<&str>,
) -> Result<Measured, StepError> {
    let study = context.parts();
    let hyperspace = &study.hyperspace;
    let table: TableSettings = settings::of(context, "tables")?;
    let tables: Vec<(usize, usize, Vec<Row>)> = rows::stage_blocks(hyperspace)
        .map(|(stage, block)| {
            (stage, block, rows::rows(hyperspace, stage, block, table.rows, study.seed))
        })
        .collect();
    let mut row_parts: Vec<Vec<Vec<Part>>> = Vec::new();
    for (stage, block, rows) in &tables {
        let parts = |row: &Row| {
            parts::row_parts(study, *stage, *block, row.input_width, row.resolution, &row.sub_stage)
        };
        row_parts.push(rows.iter().map(parts).collect::<Result<_, _>>()?);
    }
    let stems = stems(study, settings.stem_rows)?;
    let heads = heads(study)?;
    let mut latencies = PartLatencies::on(target);
    let all = row_parts
        .iter()
        .flatten()
        .chain(stems.iter().map(|s| &s.2))
        .chain(heads.iter().map(|h| &h.2));
    latencies.ask(context, all.flatten())?;

    let sum = |parts: &Vec<Part>| latencies.sum(parts).unwrap_or(f64::NAN);
    let rows_ms: Vec<Vec<f64>> =
        row_parts.iter().map(|rows| rows.iter().map(sum).collect()).collect();
    let fixed = FixedLatency::Predicted {
        stem: stems
            .iter()
            .map(|(width, resolution, parts)| StemRow {
                width: *width,
                resolution: *resolution,
                latency_ms: sum(parts),
            })
            .collect(),
        head: heads
            .iter()
            .map(|(width, resolution, parts)| HeadRow {
                width: *width,
                resolution: *resolution,
                latency_ms: sum(parts),
            })
            .collect(),
    };
    let mut sampled = distribution(study, settings.subnets, &tables, &rows_ms, &fixed)?;
    sampled.sort_by(f64::total_cmp);
    let quantile = |q: f64| sampled[((sampled.len() - 1) as f64 * q).round() as usize];
    let budget = |budget: &Budget| match budget {
        Budget::Quantile(q) => quantile(*q),
        Budget::Ms(ms) => *ms,
    };
    Ok(Measured {
        rows_ms,
        fixed,
        budgets_ms: settings.budgets.iter().map(budget).collect(),
        deciles_ms: (0..=10).map(|tenth| quantile(f64::from(tenth) / 10.0)).collect(),
        sum_of_parts: check_sums(context, settings.whole_networks, &mut latencies)?,
    })
}

type Fixed = (usize, usize, Vec<Part>);

/// Sub-stages of the stem: smallest, largest and random ones, at every resolution of the tables.
fn stems(study: &Parts, most: usize) -> Result<Vec<Fixed>, StepError> {
    let stages = study.hyperspace.stem_stages();
    let mut rng = random::generator(study.seed, &["measure", "stem"]);
    let mut choices: Vec<Vec<SubStage>> = vec![
        stages.iter().map(SubStage::smallest).collect(),
        stages.iter().map(SubStage::largest).collect(),
    ];
    let random = |_| stages.iter().map(|stage| SubStage::random(stage, &mut rng)).collect();
    choices.extend((0..4 * most).map(random).collect::<Vec<_>>());
    let mut distinct: Vec<Vec<SubStage>> = Vec::new();
    for choice in choices {
        if distinct.len() < most && !distinct.contains(&choice) {
            distinct.push(choice);
        }
    }
    let mut stems = Vec::new();
    for choice in &distinct {
        let width = choice.iter().rev().find_map(SubStage::width).unwrap_or_default();
        for &resolution in &study.hyperspace.table_resolutions {
            stems.push((width, resolution, parts::stem_parts(study, &stages, choice, resolution)?));
        }
    }
    Ok(stems)
}

fn heads(study: &Parts) -> Result<Vec<Fixed>, StepError> {
    let hyperspace = &study.hyperspace;
    let mut heads = Vec::new();
    for &width in hyperspace.input_widths(hyperspace.stages.len()) {
        for &resolution in &hyperspace.table_resolutions {
            heads.push((width, resolution, parts::head_parts(study, width, resolution)?));
        }
    }
    Ok(heads)
}

/// Latencies of random subnets of random spaces, composed of rows whose widths match.
fn distribution(
    study: &Parts,
    count: usize,
    tables: &[(usize, usize, Vec<Row>)],
    rows_ms: &[Vec<f64>],
    fixed: &FixedLatency,
) -> Result<Vec<f64>, StepError> {
    let FixedLatency::Predicted { stem, head } = fixed else {
        return Err(StepError::Failed("stem and head were not measured".into()));
    };
    let candidates = study.hyperspace.candidates.len();
    let mut rng = random::generator(study.seed, &["measure", "distribution"]);
    let one = |rng: &mut rand_pcg::Pcg64Mcg| {
        let start = stem.choose(rng)?;
        let (mut width, mut total) = (start.width, start.latency_ms);
        for stage in 0..study.hyperspace.stages.len() {
            let table = stage * candidates + rng.random_range(0..candidates);
            let window = rng.random_range(0..study.hyperspace.stages[stage].windows());
            let rows = &tables[table].2;
            let fits = |row: &Row| {
                row.window == window
                    && row.input_width == width
                    && row.resolution == start.resolution
            };
            let fitting: Vec<usize> = (0..rows.len()).filter(|&index| fits(&rows[index])).collect();
            let row = *fitting.choose(rng)?;
            total += rows_ms[table][row];
            width = rows[row].sub_stage.width()?;
        }
        let ends = |h: &&HeadRow| h.width == width && h.resolution == start.resolution;
        Some(total + head.iter().find(ends)?.latency_ms)
    };
    let drawn: Option<Vec<f64>> = (0..count).map(|_| one(&mut rng)).collect();
    drawn.ok_or_else(|| {
        StepError::Failed(
            "the stem's rows reach a width that no row of the first stage takes".into(),
        )
    })
}

fn check_sums(
    context: &dyn StepContext,
    count: usize,
    latencies: &mut PartLatencies,
) -> Result<Vec<PartsCheck>, StepError> {
    let study = context.parts();
    let hyperspace = &study.hyperspace;
    let mut rng = random::generator(study.seed, &["measure", "whole networks"]);
    let mut checks = Vec::new();
    for _ in 0..count {
        let space = Space::random(hyperspace, &mut rng);
        let stages = space.elastic_stages(hyperspace);
        let subnet = Subnet::random(&stages, &hyperspace.table_resolutions, &mut rng);
        let parts = parts::subnet_parts(study, &stages, &subnet)?;
        latencies.ask(context, &parts)?;
        let whole = parts::whole(study, &stages, &subnet)?;
        let query = parts::query(whole, Position::Whole, Precision::Int8);
        let measured = latencies.latencies(context, std::slice::from_ref(&query))?[0];
        let predicted_ms = latencies.sum(&parts).unwrap_or(f64::NAN);
        checks.push(PartsCheck { space, predicted_ms, measured_ms: measured.ms });
    }
    Ok(checks)
}
