//! Fitting predictors.

use std::{
    collections::HashSet,
    fs, mem,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::Serialize;
use spacewright_core::{
    kernel::{FusionRules, KernelReader},
    latency::{HeldOut, LatencyQuery, Precision},
    random::generator,
    target::LatencyKind,
};
use spacewright_engine::Registry;
use spacewright_latency_model::{
    AdaptiveError, Campaign, CampaignEnd, CampaignRound, Goal, KernelSums, Model, ModelDescription,
    PrecisionMeasurements, Settings, Split, fit_model, held_out,
};

use super::{brief, fitted, kind, rows};
use crate::{
    catalog,
    cli::{FitArgs, Global},
    measuring::Measuring,
    progress,
    render::{Failure, Output, Table},
};

/// Fewest measurements to fit a model to: with fewer, none of the five parts that are held out in turn
/// says anything.
const FEWEST_ROWS: usize = 20;

#[derive(Serialize)]
struct FitReport {
    target: String,
    rows: usize,
    files: Vec<PathBuf>,
    held_out: Vec<HeldOut>,
    /// Why measuring ended, where measurements were made now.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<CampaignEnd>,
    /// How long measurements took that were made now.
    #[serde(skip_serializing_if = "Option::is_none")]
    measuring_seconds: Option<f64>,
}

pub fn fit(registry: &Registry, args: &FitArgs, global: &Global) -> Result<Output, Failure> {
    fitted::check_name(&args.target)?;
    let (models, ended, seconds) = match (&args.blocks, &args.tables) {
        (None, None) => measured(registry, args, global)?,
        _ => (vec![of_files(registry, args, global)?], None, None),
    };
    let folder = args.output.clone().map_or_else(fitted::folder, Ok)?;
    let mut report = FitReport {
        target: args.target.clone(),
        rows: 0,
        files: Vec::new(),
        held_out: Vec::new(),
        ended,
        measuring_seconds: seconds,
    };
    for (model, rows) in models {
        let file = fitted::file(&folder, &args.target, model.precision);
        write(&file, &model)?;
        report.rows += rows;
        report.files.push(file);
        let named = |held_out: HeldOut| HeldOut {
            how: format!("{}, {}", model.precision.name(), held_out.how),
            ..held_out
        };
        report.held_out.extend(model.held_out.iter().cloned().map(named));
    }
    Output::new(text(&report), &report)
}

fn write(file: &Path, model: &Model) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::failed(format!("{}: {e}", file.display()));
    let text = model.to_json().map_err(Failure::failed)?;
    fs::create_dir_all(file.parent().unwrap_or(Path::new("."))).map_err(failed)?;
    let beside = file.with_extension("json.new");
    fs::write(&beside, text).map_err(failed)?;
    fs::rename(&beside, file).map_err(failed)
}

fn text(report: &FitReport) -> String {
    let mut table = Table::new(&["rows held out", "rows", "errors"]);
    for HeldOut { how, accuracy } in &report.held_out {
        table.row([how.clone(), accuracy.rows.to_string(), brief(accuracy)]);
    }
    let files: Vec<String> =
        report.files.iter().map(|file| format!("wrote {}", file.display())).collect();
    let ended = match report.ended {
        Some(CampaignEnd::Reached) => "the goal was reached\n",
        Some(CampaignEnd::Most) => "as many graphs were measured as were allowed\n",
        Some(CampaignEnd::Spent) => "the time for measuring was used up; run again to go on\n",
        Some(CampaignEnd::Exhausted) => "all candidates were measured\n",
        None => "",
    };
    format!("{} rows\n{ended}{}\n\n{}", report.rows, files.join("\n"), table.render())
}

/// Fits to files of measurements.
fn of_files(
    registry: &Registry,
    args: &FitArgs,
    global: &Global,
) -> Result<(Model, usize), Failure> {
    let operators = registry.operators();
    let rules = match registry.target(&args.target) {
        Ok(target) => target.description().fusion,
        Err(_) => FusionRules::common(),
    };
    let mut reader = KernelReader::new(&rules);
    let (mut all, mut widths) = (KernelSums::default(), Vec::new());
    let mut kernels = Vec::new();
    let mut add = |rows: Vec<rows::MeasuredGraph>| {
        for row in rows {
            kernels.clear();
            let LatencyQuery { graph, position, .. } = &row.query;
            reader.append(graph, *position, &mut kernels).map_err(Failure::failed)?;
            if all.push(&kernels, row.ms, 1.0) {
                widths.push(row.widths);
            }
        }
        Ok(())
    };
    let source = match (&args.blocks, &args.tables, &args.hyperspace) {
        (Some(file), ..) => {
            rows::blocks(file, &operators, args.precision.into(), add)?;
            file
        }
        (_, Some(folder), Some(hyperspace)) => {
            let hyperspace = catalog::hyperspace(hyperspace)?;
            rows::tables(folder, &hyperspace, &operators, &mut add)?;
            folder
        }
        _ => return Err(Failure::input("no measurements").hint("give --blocks or --tables")),
    };
    if all.len() < FEWEST_ROWS {
        let message =
            format!("{}: {} rows; a fit needs {FEWEST_ROWS}", source.display(), all.len());
        return Err(Failure::input(message).hint("some hundred make a good one: measure more"));
    }
    let settings = Settings::default();
    let mut splits = vec![Split::rows(all.len(), 5, 0)];
    let unseen_widths = Split::keys("width", &widths, 8);
    if unseen_widths.is_usable() {
        splits.push(unseen_widths);
    }
    let bar = progress::bar(splits.len() + 1, global.quiet);
    let mut predicted = Vec::new();
    for split in &splits {
        bar.set_message(split.how.clone());
        predicted.push(held_out(&all, &settings, split).map_err(Failure::input)?);
        bar.inc(1);
    }
    let hardware = args.hardware.clone().unwrap_or_else(|| args.target.clone());
    let statement = ModelDescription {
        name: args.target.clone(),
        summary: format!("Latencies of {hardware}, fitted to {} rows", all.len()),
        source: source.display().to_string(),
        fingerprint: hardware,
        precision: args.precision.into(),
    };
    let model =
        fit_model(&all, &settings, &rules, statement, &predicted).map_err(Failure::input)?;
    bar.finish_and_clear();
    Ok((model, all.len()))
}

type FittedModels = (Vec<(Model, usize)>, Option<CampaignEnd>, Option<f64>);

/// Fits to what is measured now, the most informative graphs first.
fn measured(registry: &Registry, args: &FitArgs, global: &Global) -> Result<FittedModels, Failure> {
    let target = catalog::target(registry, &args.target)?;
    let description = target.description();
    if description.latency != LatencyKind::Measured {
        let message = format!("`{}` does not measure: {}", args.target, kind(description.latency));
        return Err(Failure::input(message).hint("give measurements with --blocks or --tables"));
    }
    let source = target.latency_source().map_err(|error| Failure::failed(error.reason))?;
    let hyperspace = catalog::hyperspace(args.hyperspace.as_deref().unwrap_or_default())?;
    let operators = registry.operators();
    let seed = global.seed.unwrap_or(0);
    let (most, validation) = (args.most as usize, args.validation as usize);
    if most <= validation {
        let message = format!("--most {most} leaves nothing to fit beside {validation} networks");
        return Err(Failure::input(message).hint("allow more, or give a smaller --validation"));
    }
    let mut rng = generator(seed, &["fit", &hyperspace.name]);
    let validation = rows::networks(&hyperspace, &operators, validation, &mut rng)?;
    // Whole networks only: parts that are measured alone keep their weights in nearer caches than
    // networks do.
    let mut pool = rows::networks(&hyperspace, &operators, most, &mut rng)?;
    let kept: HashSet<_> = validation.iter().map(|network| network.graph.hash()).collect();
    pool.retain(|network| !kept.contains(&network.graph.hash()));
    let settings = Settings::default();
    let precisions = source.precisions();
    let campaign = Campaign {
        rules: &description.fusion,
        precisions: &precisions,
        settings: &settings,
        goal: Goal { within_10: args.goal, most },
        seed,
    };
    let budget = Duration::from_secs_f64(60.0 * args.budget.min(1e6));
    let measuring = Measuring::new(budget.as_secs() as usize, global.quiet)?;
    let mut spent = Duration::ZERO;
    let ask = |queries: &[LatencyQuery]| {
        if spent >= budget {
            return Ok(None);
        }
        let start = Instant::now();
        let latencies = measuring.latencies(&*source, queries)?;
        spent += start.elapsed();
        measuring.at(spent.as_secs_f64());
        Ok::<_, Failure>(Some(latencies))
    };
    let say = |round: &CampaignRound| {
        let of = |(precision, accuracy): &(Precision, _)| {
            format!("{}: {}", precision.name(), brief(accuracy))
        };
        let accuracy: Vec<String> = round.accuracy.iter().map(of).collect();
        tracing::info!("{} graphs, {}", round.measured, accuracy.join("; "));
        measuring.say(accuracy.join("; "));
    };
    let (all, ended) = campaign.run(&validation, &pool, ask, say).map_err(|error| match error {
        AdaptiveError::Measure(failure) => failure,
        other => Failure::failed(other),
    })?;
    let model = |measured: PrecisionMeasurements| {
        let rows = measured.rows.len();
        let how = format!("whole networks of {} that the fit never saw", hyperspace.name);
        let networks = measured.validate(&how, &settings).map_err(Failure::failed)?;
        let random = held_out(&measured.rows, &settings, &Split::rows(rows, 5, seed))
            .map_err(Failure::failed)?;
        let statement = ModelDescription {
            name: args.target.clone(),
            summary: format!("{}, fitted on networks of {}", description.summary, hyperspace.name),
            source: format!("{rows} graphs of {}, measured by {}", hyperspace.name, args.target),
            fingerprint: source.fingerprint(),
            precision: measured.precision,
        };
        let stated = [networks, random];
        let model = fit_model(&measured.rows, &settings, &description.fusion, statement, &stated);
        Ok((model.map_err(Failure::failed)?, rows))
    };
    let models = all.into_iter().map(model).collect::<Result<Vec<_>, Failure>>()?;
    Ok((models, Some(ended), Some(mem::take(&mut spent).as_secs_f64())))
}
