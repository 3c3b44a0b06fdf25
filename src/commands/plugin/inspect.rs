//! What a plugin is, and what its calls cost: the conformance kit asks it everything once.

use std::{collections::BTreeMap, time::Instant};

use serde::Serialize;
use spacewright_core::call::CallError;
use spacewright_engine::{
    Origin,
    plugins::{CallCost, Limits, Loaded},
};
use spacewright_sdk::{Kind, conformance};

use crate::render::{Failure, Output, Table};

#[derive(Serialize)]
struct Inspection {
    #[serde(flatten)]
    origin: Origin,
    summary: String,
    interface: String,
    kinds: Vec<Kind>,
    load_ms: f64,
    /// Nanoseconds of a call with nothing to do.
    ping_ns: f64,
    /// Whether there was time for all questions.
    asked_all: bool,
    /// Nanoseconds of the mean call, by call.
    call_ns: BTreeMap<&'static str, u64>,
    /// WebAssembly instructions of the mean call, by call.
    fuel: BTreeMap<&'static str, u64>,
}

pub fn inspect(plugin: &str) -> Result<Output, Failure> {
    let (start, limits) = (Instant::now(), Limits::inspection());
    let total_time = limits.total_time;
    let (loaded, which) = super::load(plugin, limits)?;
    let ping_ns = ping_ns(&loaded).map_err(Failure::failed)?;
    conformance::check(&loaded.plugin);
    let asked_all = total_time.is_none_or(|most| start.elapsed() < most);
    let costs = loaded.meter.costs();
    let mean = |total: fn(&CallCost) -> u64| {
        let mean = |(call, cost): (&&'static str, &CallCost)| (*call, total(cost) / cost.calls);
        costs.iter().map(mean).collect::<BTreeMap<_, _>>()
    };
    let inspection = Inspection {
        origin: loaded.origin,
        summary: loaded.plugin.about.summary.clone(),
        interface: loaded.interface,
        kinds: loaded.plugin.kinds(),
        load_ms: loaded.load_time.as_secs_f64() * 1e3,
        ping_ns,
        asked_all,
        call_ns: mean(|cost| cost.total_ns),
        fuel: mean(|cost| cost.fuel),
    };
    let Origin { plugin, version, carrier, sha256 } = &inspection.origin;
    let offers: Vec<&str> = inspection.kinds.iter().map(|kind| kind.name()).collect();
    let mut table = Table::new(&["call", "calls", "mean ns", "instructions"]);
    for (call, cost) in &costs {
        table.row([
            (*call).to_owned(),
            cost.calls.to_string(),
            inspection.call_ns[call].to_string(),
            match inspection.fuel[call] {
                0 => "-".into(),
                fuel => fuel.to_string(),
            },
        ]);
    }
    let note = match asked_all {
        true => "",
        false => "\nits time was over before all was asked; `plugin check` takes longer",
    };
    let text = format!(
        "{plugin} {version}: {}\n{which}\noffers     {}\ncarrier    {carrier}, interface {}\nSHA-256    \
         {sha256}\nloaded in  {:.2} ms\na call     {ping_ns:.1} ns with nothing to do{note}\n\n{}",
        inspection.summary,
        offers.join(", "),
        inspection.interface,
        inspection.load_ms,
        table.render()
    );
    Output::new(text, &inspection)
}

/// The fastest of some rounds.
fn ping_ns(loaded: &Loaded) -> Result<f64, CallError> {
    const CALLS: u32 = 1000;
    let round = |_| {
        let start = Instant::now();
        (0..CALLS).try_for_each(|_| (loaded.ping)())?;
        Ok(start.elapsed().as_nanos() as f64 / f64::from(CALLS))
    };
    let rounds = (0..20).map(round).collect::<Result<Vec<f64>, CallError>>()?;
    Ok(rounds.into_iter().fold(f64::INFINITY, f64::min))
}
