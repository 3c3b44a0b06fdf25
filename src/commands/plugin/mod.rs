//! Plugins: written, built, checked, installed, looked at.

mod build;
#[cfg(feature = "wasm-plugins")]
mod c;
mod doctor;
mod inspect;
mod names;
mod new;
mod tools;
mod trust;

use std::path::Path;

use serde_json::json;
use spacewright_engine::plugins::{Installed, Limits, Loaded};
use spacewright_sdk::conformance;

use crate::{
    catalog,
    cli::PluginCommand,
    render::{Failure, Output, Table},
};

pub fn run(command: &PluginCommand) -> Result<Output, Failure> {
    match command {
        PluginCommand::New(args) => new::new(args),
        PluginCommand::Build { folder, carrier } => build::build(folder, *carrier),
        PluginCommand::Check { plugin } => check(plugin),
        PluginCommand::Install { file } => install(file),
        PluginCommand::Trust { file, yes } => trust::trust(file, *yes),
        PluginCommand::Untrust { library } => trust::untrust(library),
        PluginCommand::List => list(),
        PluginCommand::Inspect { plugin } => inspect::inspect(plugin),
        PluginCommand::Doctor => doctor::doctor(),
        PluginCommand::Remove { name } => remove(name),
    }
}

/// A plugin by its file, or by the name of an installed one, and which of both it is: a folder may
/// have the name of an installed plugin.
fn load(plugin: &str, limits: Limits) -> Result<(Loaded, String), Failure> {
    let store = catalog::plugins_within(limits)?;
    let path = Path::new(plugin);
    if path.is_file() {
        return Ok((store.open(path)?, format!("file       {plugin}")));
    }
    let installed = store.find(plugin).map_err(|error| {
        let message = format!("no file {plugin}, and {error}");
        Failure::input(message).hint("name a file, or a plugin that `plugin list` shows")
    })?;
    let from = installed.from.display();
    Ok((store.load(&installed)?, format!("installed  from {from}")))
}

fn check(plugin: &str) -> Result<Output, Failure> {
    let (loaded, which) = load(plugin, Limits::trial())?;
    let mut report = conformance::check(&loaded.plugin);
    let left_out = catalog::plugins()?
        .others(&loaded.origin.plugin)?
        .add_plugin(&loaded.origin, &loaded.plugin);
    let fits = if left_out.is_empty() { Ok(()) } else { Err(left_out.join("; ")) };
    report.push("plugin", "all that it offers fits beside what is built in and installed", fits);
    Ok(Output::new(format!("{which}\n{report}"), &report)?.good(report.is_good()))
}

fn install(file: &Path) -> Result<Output, Failure> {
    let (installed, replaced) = catalog::plugins_within(Limits::trial())?.install(file)?;
    let Installed { name, version, .. } = &installed;
    let instead = match &replaced {
        Some(old) if old.sha256 == installed.sha256 => ", as it was already".into(),
        Some(old) => {
            let short = |plugin: &Installed| plugin.sha256.chars().take(8).collect::<String>();
            let (new, gone) = (short(&installed), short(old));
            format!(", SHA-256 {new}, instead of {} ({}), {gone}", old.version, kinds(old))
        }
        None => String::new(),
    };
    let text = format!("installed `{name}` {version} ({}){instead}", kinds(&installed));
    Output::new(text, &json!({ "installed": installed, "replaced": replaced }))
}

fn list() -> Result<Output, Failure> {
    let plugins = catalog::plugins()?.list()?;
    if plugins.is_empty() {
        let text = "no plugins are installed; `spacewright plugin install FILE` installs one";
        return Output::new(text.into(), &json!({ "plugins": [] }));
    }
    let header =
        ["plugin", "version", "offers", "carrier", "interface", "bytes", "SHA-256", "summary"];
    let mut table = Table::new(&header);
    for plugin in &plugins {
        table.row([
            plugin.name.clone(),
            plugin.version.clone(),
            kinds(plugin),
            plugin.carrier.to_string(),
            plugin.interface.clone(),
            plugin.size.to_string(),
            plugin.sha256.chars().take(12).collect(),
            plugin.summary.clone(),
        ]);
    }
    Output::new(table.render(), &json!({ "plugins": plugins }))
}

fn kinds(plugin: &Installed) -> String {
    plugin.kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")
}

fn remove(name: &str) -> Result<Output, Failure> {
    let removed = catalog::plugins()?.remove(name)?;
    Output::new(format!("removed `{name}` {}", removed.version), &json!({ "removed": removed }))
}
