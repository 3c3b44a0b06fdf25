//! `spacewright profile`: what INT8 does to operators and widths.

use std::{collections::BTreeSet, fs, path::Path};

use serde::Serialize;
use spacewright_core::{
    latency::{LatencyQuery, Precision},
    operators::Operators,
    random::generator,
    space::Hyperspace,
    target::LatencyKind,
};
use spacewright_profile::{
    Findings, Operator, OperatorCost, Plan, Profile, ProfileError, UsedOperators, profile,
    speed_ups, sweep,
};

use crate::{
    catalog,
    cli::{Global, ProfileArgs},
    commands::target::{kind, rows},
    measuring::Measuring,
    render::{Failure, Output, Table},
};

/// Random networks that show which operators a hyperspace has.
const LOOKED_AT: usize = 64;

#[derive(Serialize)]
struct ProfileReport<'a> {
    target: &'a str,
    latency: LatencyKind,
    /// What the latencies hold for: processor with its flags, runtime, threads.
    machine: String,
    rows: &'a [OperatorCost],
    widths: &'a [OperatorCost],
    findings: &'a Findings,
    paragraph: &'a str,
    files: Vec<String>,
}

pub fn run(args: &ProfileArgs, global: &Global) -> Result<Output, Failure> {
    let registry = catalog::registry()?;
    let target = catalog::target(&registry, &args.target)?;
    let source = target.latency_source().map_err(|error| Failure::failed(error.reason))?;
    if !Precision::ALL.iter().all(|precision| source.precisions().contains(precision)) {
        let known: Vec<&str> = source.precisions().into_iter().map(Precision::name).collect();
        let message =
            format!("the latencies of `{}` are known in {} only", args.target, known.join(" and "));
        return Err(Failure::input(message).hint("profile a target that knows both precisions"));
    }
    let used = args.hyperspace.as_deref().map(|name| {
        let hyperspace = catalog::hyperspace(name)?;
        Ok::<_, Failure>(UsedOperators {
            operators: operators_of(&hyperspace, &registry.operators())?,
            hyperspace: hyperspace.name,
        })
    });
    let used = used.transpose()?;
    let plan = if args.quick { Plan::quick() } else { Plan::full() };
    let measuring = Measuring::new(6 * plan.cases().count(), global.quiet)?;
    let ask = |queries: &[LatencyQuery]| measuring.latencies(&*source, queries);
    let profile =
        profile(&plan, ask, |_, _, case| measuring.say(case.to_owned())).map_err(|error| {
            match error {
                ProfileError::Source(failure) => failure,
                other => Failure::failed(other),
            }
        })?;
    drop(measuring);
    let findings = Findings::of(&profile);
    let latency = target.description().latency;
    let marked = format!("{} ({})", args.target, kind(latency));
    let paragraph = findings.paragraph(&marked, used.as_ref());
    let machine = source.fingerprint();
    let mut report = ProfileReport {
        target: &args.target,
        latency,
        machine,
        rows: &profile.grid,
        widths: &profile.sweep,
        findings: &findings,
        paragraph: &paragraph,
        files: Vec::new(),
    };
    if let Some(folder) = &args.output {
        write(folder, &profile, &marked, &mut report)?;
    }
    Output::new(text(&report, &marked), &report)
}

/// Operators that occur in networks of the hyperspace.
fn operators_of(
    hyperspace: &Hyperspace,
    operators: &Operators,
) -> Result<BTreeSet<Operator>, Failure> {
    let mut rng = generator(0, &["profile", &hyperspace.name]);
    let mut found = BTreeSet::new();
    for network in rows::networks(hyperspace, operators, LOOKED_AT, &mut rng)? {
        found.extend(Operator::in_graph(&network.graph).map_err(Failure::failed)?);
    }
    Ok(found)
}

fn write(
    folder: &Path,
    profile: &Profile,
    target: &str,
    report: &mut ProfileReport<'_>,
) -> Result<(), Failure> {
    let operators = speed_ups(&profile.grid, target).map_err(Failure::failed)?;
    let widths =
        sweep(&profile.sweep, &report.findings.wasteful, target).map_err(Failure::failed)?;
    let names = ["profile.csv", "operators.svg", "widths.svg", "profile.json"];
    report.files = names.iter().map(|name| folder.join(name).display().to_string()).collect();
    let json = serde_json::to_string_pretty(report).map_err(Failure::failed)? + "\n";
    let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    for (name, content) in names.iter().zip([profile.csv(), operators, widths, json]) {
        fs::write(folder.join(name), content).map_err(failed)?;
    }
    Ok(())
}

fn text(report: &ProfileReport<'_>, target: &str) -> String {
    let heading = [
        "operator",
        "map",
        "channels",
        "FP32 ms",
        "INT8 ms",
        "ratio",
        "alone FP32",
        "alone INT8",
        "alone ratio",
    ];
    let mut table = Table::new(&heading);
    for row in report.rows {
        let mark = if row.noisy { "~" } else { "" };
        let ms = |ms: f64| format!("{ms:.4}");
        table.row([
            format!("{mark}{}", row.operator),
            format!("{0}x{0}", row.size),
            row.width.to_string(),
            ms(row.fp32_ms),
            ms(row.int8_ms),
            format!("{:.2}", row.ratio),
            ms(row.alone_fp32_ms),
            ms(row.alone_int8_ms),
            format!("{:.2}", row.alone_ratio),
        ]);
    }
    let mut text = format!(
        "{target} on {}\nOne more operator inside a network, and a model of that operator alone; a ratio \
         above 1: INT8 is faster.\n\n{}\n{}\n",
        report.machine,
        table.render(),
        report.paragraph
    );
    for file in &report.files {
        text += &format!("wrote {file}\n");
    }
    text
}
