//! WebAssembly components: loaded into a store that has nothing but a `log` function.

mod bounds;
mod cache;
mod component;
mod instance;
mod items;

use std::{collections::BTreeMap, sync::Arc};

use spacewright_sdk::{INTERFACE, Kind, Plugin, text::shown};
use wasmtime::{
    Config, Engine,
    component::{Component, types::ComponentItem},
};

pub use self::component::componentize;
use self::{
    instance::{Guest, Host},
    items::{Hyperspaces, WasmOperatorSet, WasmQuantizer, WasmScorer, WasmSource, WasmTarget},
};
use super::{File, Loader, Meter, Opened, claims};

/// Types and calls, generated from the SDK's `wit/plugin.wit`.
#[allow(missing_docs, unused_qualifications, clippy::all)]
mod wit {
    wasmtime::component::bindgen!({
        path: "../../sdk/wit",
        world: "everything",
        additional_derives: [PartialEq],
    });
}

/// Conversions between those types and the ones of `core`.
#[allow(dead_code)]
mod convert {
    spacewright_sdk::conversions!(
        crate::plugins::wasm::wit::exports::spacewright::plugin,
        about operator_set quantizer latency_source scorer target
    );
}

/// What the names of all interfaces begin with.
const PACKAGE: &str = "spacewright:plugin/";
const HOST: &str = "spacewright:plugin/host";

/// Loads a component.
pub(super) fn load(loader: &Loader, file: &File<'_>) -> Result<Opened, String> {
    let engine = engine(loader)?;
    let component = cache::compile(&engine, loader.cache.as_deref(), file)?;
    let (interface, kinds) = interfaces(&engine, &component)?;
    let host = Host::new(engine, &component, loader.limits.clone(), file.meter.clone())?;
    let about = Guest::new(&host, wit::exports::spacewright::plugin::about::GuestIndices::new)?;
    let about = about.start("about", |store, guest| guest.call_describe(store))?;
    let mut plugin = Plugin::new(claims::about(convert::about::from_wit(about)));
    // The world of targets exports their latencies, too.
    let implied = |kind: &Kind| *kind == Kind::LatencySource && kinds.contains(&Kind::Target);
    for kind in kinds.iter().filter(|kind| !implied(kind)) {
        match kind {
            Kind::OperatorSet => plugin = plugin.operator_set(WasmOperatorSet::new(&host)?),
            Kind::Hyperspace => plugin.hyperspaces = Hyperspaces::all(&host)?,
            Kind::Quantizer => plugin = plugin.quantizer(WasmQuantizer::new(&host)?),
            Kind::LatencySource => plugin = plugin.latency_source(WasmSource::new(&host)?),
            Kind::Scorer => plugin = plugin.scorer(WasmScorer::new(&host)?),
            Kind::Target => plugin = plugin.target(WasmTarget::new(&host)?),
        }
    }
    // An instance of its own, made when it is first called.
    let about = Guest::new(&host, wit::exports::spacewright::plugin::about::GuestIndices::new)?;
    let ping = move || about.call("ping", |store, guest| guest.call_ping(store).map(Ok));
    Ok(Opened { interface, plugin, ping: Arc::new(ping) })
}

fn engine(loader: &Loader) -> Result<Engine, String> {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .wasm_wide_arithmetic(true)
        .consume_fuel(true)
        .max_wasm_stack(loader.limits.stack);
    Engine::new(&config).map_err(|error| format!("{error:#}"))
}

/// The version of the interface and the kinds that a component exports, after what it imports
/// has been looked at.
fn interfaces(engine: &Engine, component: &Component) -> Result<(String, Vec<Kind>), String> {
    let component = component.component_type();
    for (name, item) in component.imports(engine) {
        let functions = match item.ty {
            ComponentItem::ComponentInstance(instance) => instance
                .exports(engine)
                .any(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_))),
            ComponentItem::Type(_) => false,
            _ => true,
        };
        let known = name.split('@').next() == Some(HOST);
        if functions && !known {
            return Err(format!(
                "it imports `{}`: a plugin may import `{HOST}@{INTERFACE}` and nothing else",
                shown(name)
            ));
        }
        if known {
            check_version(name)?;
        }
    }
    let mut exported = BTreeMap::new();
    for (name, _) in component.exports(engine) {
        if let Some(interface) = name.strip_prefix(PACKAGE) {
            check_version(name)?;
            let interface = interface.split('@').next().unwrap_or(interface);
            exported.insert(interface.to_owned(), name.to_owned());
        }
    }
    if exported.is_empty() {
        let names: Vec<String> = component.exports(engine).map(|(name, _)| shown(name)).collect();
        let found = if names.is_empty() { "nothing".into() } else { names.join(", ") };
        return Err(format!("no plugin: it exports nothing of `{PACKAGE}…`, but {found}"));
    }
    if exported.remove("about").is_none() {
        return Err(format!("it does not export `{PACKAGE}about@{INTERFACE}`"));
    }
    let mut kinds = Vec::new();
    for (interface, name) in exported {
        let kind: Kind =
            interface.parse().map_err(|reason| format!("`{}`: {reason}", shown(&name)))?;
        kinds.push(kind);
    }
    if kinds.is_empty() {
        return Err("it offers nothing: it exports `about` alone".into());
    }
    Ok((INTERFACE.into(), kinds))
}

/// An interface of another version is refused: until it is declared stable, any change may
/// change the meaning of what crosses.
fn check_version(name: &str) -> Result<(), String> {
    match name.split_once('@') {
        Some((_, INTERFACE)) => Ok(()),
        Some((interface, version)) => Err(format!(
            "it is built for version {} of `{}`, this program has {INTERFACE}: build it with the \
             SDK of this version",
            shown(version),
            shown(interface)
        )),
        None => Err(format!("`{}` has no version", shown(name))),
    }
}

#[cfg(test)]
mod convert_tests;
