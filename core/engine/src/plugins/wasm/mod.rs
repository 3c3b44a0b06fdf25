//! WebAssembly components: loaded into a store that has nothing but a `log` function.

mod bounds;
mod calls;
mod clock;
pub(super) mod compile;
mod component;
mod contents;
mod instance;

use std::{collections::BTreeMap, sync::Arc};

use spacewright_plugin::{INTERFACE, Kind, Plugin, text::shown};
use wasmtime::{
    Engine,
    component::{Component, types::ComponentItem},
};

pub use self::component::{ComponentizeError, componentize};
use self::{
    calls::Items,
    instance::{Guest, Host, Size},
    wit::exports::spacewright::plugin::about::GuestIndices as AboutIndices,
};
use super::{File, Loader, Meter, Opened, claims, error::LoadError, said::Said};

/// Types and calls, generated from `core/plugin/wit/plugin.wit`.
#[allow(missing_docs, unused_qualifications, clippy::all)]
mod wit {
    wasmtime::component::bindgen!({
        path: "../plugin/wit",
        world: "everything",
        additional_derives: [PartialEq],
    });
}

/// Conversions between those types and the ones of `core`.
#[allow(dead_code)]
mod convert {
    spacewright_plugin::conversions!(
        crate::plugins::wasm::wit::exports::spacewright::plugin,
        about operator_set quantizer latency_source scorer target
    );
}

/// What the names of all interfaces begin with.
const PACKAGE: &str = "spacewright:plugin/";
const HOST: &str = "spacewright:plugin/host";

/// Loads a component. What it has said of itself already it is not asked, and what it is not asked
/// for is not compiled.
pub(super) fn load(loader: &Loader, file: &File<'_>, said: Arc<Said>) -> Result<Opened, LoadError> {
    let host = Host::new(loader, file.content.clone(), said.clone(), file.meter.clone());
    let kinds = said.kinds.or_ask(|| host.kinds())?;
    let about = Guest::new(&host, AboutIndices::new);
    let about = said.about.or_ask(|| {
        let about = about.start("about", |store, guest| guest.call_describe(store))?;
        Ok::<_, LoadError>(convert::about::from_wit(about))
    })?;
    let plugin = Plugin::load(claims::about(about), &kinds, &Items(&host))?;
    // An instance of its own, made when it is first called.
    let about = Guest::new(&host, AboutIndices::new);
    let nothing = Size { items: 0, item_bytes: 0 };
    let ping = move || about.call("ping", nothing, |store, guest| guest.call_ping(store).map(Ok));
    Ok(Opened { interface: INTERFACE.into(), plugin, ping: Arc::new(ping) })
}

/// The kinds that a component exports, after what it imports has been looked at.
fn exported_kinds(engine: &Engine, component: &Component) -> Result<Vec<Kind>, LoadError> {
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
            return Err(LoadError::File(format!(
                "it imports `{}`: a plugin may import `{HOST}@{INTERFACE}` and nothing else",
                shown(name)
            )));
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
        let reason = format!("no plugin: it exports nothing of `{PACKAGE}…`, but {found}");
        return Err(LoadError::File(reason));
    }
    if exported.remove("about").is_none() {
        return Err(LoadError::File(format!("it does not export `{PACKAGE}about@{INTERFACE}`")));
    }
    if exported.is_empty() {
        return Err(LoadError::OffersNothing(": it exports `about` alone"));
    }
    let kind = |(interface, name): (String, String)| {
        interface.parse().map_err(|source| LoadError::Kind { interface: shown(&name), source })
    };
    let mut kinds: Vec<Kind> = exported.into_iter().map(kind).collect::<Result<_, _>>()?;
    // The world of targets exports their latencies, too.
    if kinds.contains(&Kind::Target) {
        kinds.retain(|kind| *kind != Kind::LatencySource);
    }
    Ok(kinds)
}

/// An interface of another version is refused: until it is declared stable, any change may
/// change the meaning of what crosses.
fn check_version(name: &str) -> Result<(), LoadError> {
    match name.split_once('@') {
        Some((_, INTERFACE)) => Ok(()),
        Some((interface, version)) => Err(LoadError::Version {
            what: format!("`{}`", shown(interface)),
            found: shown(version),
        }),
        None => Err(LoadError::File(format!("`{}` has no version", shown(name)))),
    }
}

#[cfg(test)]
mod convert_tests;
