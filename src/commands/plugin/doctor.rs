//! What is wrong with the installed plugins, and with the tools that build them.

use std::process::Command;

use serde::Serialize;
use spacewright_engine::{EngineError, Registry};

use super::tools;
use crate::{
    catalog,
    render::{Failure, Output, Table},
};

#[derive(Serialize)]
struct Finding {
    about: String,
    good: bool,
    says: String,
    /// Whether everything else works without it.
    optional: bool,
}

impl Finding {
    fn new(about: impl Into<String>, result: Result<String, impl ToString>) -> Self {
        let (good, says) = match result {
            Ok(says) => (true, says),
            Err(says) => (false, says.to_string()),
        };
        Self { about: about.into(), good, says, optional: false }
    }

    fn optional(self) -> Self {
        Self { optional: true, ..self }
    }
}

pub fn doctor() -> Result<Output, Failure> {
    let mut findings = plugins()?;
    let version = |mut command: Command| {
        let version = tools::output(command.arg("--version").current_dir(tools::nobodys_folder()))?;
        Ok::<_, Failure>(version.lines().next().unwrap_or_default().to_owned())
    };
    findings.push(Finding::new("cargo", version(tools::cargo())).optional());
    let std = tools::WasmStd::find(tools::nobodys_folder()).map(|found| match found {
        tools::WasmStd::Installed => "installed in the toolchain".to_owned(),
        tools::WasmStd::Unpacked(folder) => format!("unpacked in {}", folder.display()),
    });
    findings.push(Finding::new(format!("standard library for {}", tools::WASM), std).optional());
    let compiler = tools::c_compiler().and_then(version);
    findings.push(Finding::new("C compiler for WebAssembly", compiler).optional());
    let mut table = Table::new(&["what", "state", "says"]);
    for finding in &findings {
        let state = match (finding.good, finding.optional) {
            (true, _) => "good",
            (false, true) => "missing",
            (false, false) => "wrong",
        };
        table.row([finding.about.clone(), state.into(), finding.says.clone()]);
    }
    let good = findings.iter().all(|finding| finding.good || finding.optional);
    Ok(Output::new(table.render(), &findings)?.good(good))
}

fn with_hint(error: EngineError) -> String {
    match &error.hint {
        Some(hint) => format!("{error}: {hint}"),
        None => error.to_string(),
    }
}

/// Each installed plugin, loaded next to those before it.
fn plugins() -> Result<Vec<Finding>, Failure> {
    let store = catalog::plugins()?;
    let mut registry = Registry::built_in()?;
    let mut findings = Vec::new();
    for plugin in store.list()? {
        let result = store.load(&plugin).map_err(with_hint).and_then(|loaded| {
            let left_out = registry.add_plugin(&loaded.origin, &loaded.plugin);
            if !left_out.is_empty() {
                return Err(left_out.join("; "));
            }
            let ms = loaded.load_time.as_secs_f64() * 1e3;
            Ok(format!("version {}, loads in {ms:.1} ms", plugin.version))
        });
        findings.push(Finding::new(format!("plugin {}", plugin.name), result));
    }
    Ok(findings)
}
