//! From a plugin's folder to one file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::{Value, json};
use spacewright_engine::Carrier;

use super::tools;
use crate::{
    catalog,
    cli::CarrierArg,
    render::{Failure, Output},
};

/// What `Cargo.toml` says of the plugin in `[package.metadata.spacewright]`.
#[derive(Deserialize)]
struct Manifest {
    package: Package,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    spacewright: Option<About>,
}

#[derive(Deserialize)]
struct About {
    carrier: Carrier,
}

pub fn build(folder: &Path, instead: Option<CarrierArg>) -> Result<Output, Failure> {
    let manifest = folder.join("Cargo.toml");
    let instead = instead.map(|carrier| match carrier {
        CarrierArg::Wasm => Carrier::Wasm,
        CarrierArg::Native => Carrier::Native,
    });
    let (name, carrier, built) = if manifest.exists() {
        let (name, carrier) = read(&manifest)?;
        let carrier = instead.unwrap_or(carrier);
        let built = cargo_build(folder, &name, carrier)?;
        (name, carrier, built)
    } else if folder.join("plugin.c").exists() {
        if instead == Some(Carrier::Native) {
            return Err(Failure::input("plugins in C are WebAssembly components"));
        }
        let name = fs::canonicalize(folder).ok();
        let name = name.as_deref().and_then(Path::file_name).unwrap_or_default();
        let built = c_build(folder)?;
        (name.to_string_lossy().into_owned(), Carrier::Wasm, built)
    } else {
        let message = format!("{}: neither Cargo.toml nor plugin.c is there", folder.display());
        return Err(Failure::input(message).hint("name the folder that `plugin new` has made"));
    };
    let content =
        fs::read(&built).map_err(|e| Failure::failed(format!("{}: {e}", built.display())))?;
    let content = match carrier {
        Carrier::Wasm => component(&content)?,
        _ => content,
    };
    let extension = match carrier {
        Carrier::Wasm => "wasm",
        _ => std::env::consts::DLL_EXTENSION,
    };
    let file = folder.join(format!("{name}.{extension}"));
    fs::write(&file, &content).map_err(|e| Failure::failed(format!("{}: {e}", file.display())))?;
    if carrier == Carrier::Wasm {
        catalog::plugins()?.open(&file)?;
    }
    let next = if carrier == Carrier::Native { "trust" } else { "check" };
    let text = format!(
        "built {} ({} bytes)\nnext: spacewright plugin {next} {0}",
        file.display(),
        content.len()
    );
    Output::new(text, &json!({ "file": file, "bytes": content.len(), "carrier": carrier }))
}

fn read(manifest: &Path) -> Result<(String, Carrier), Failure> {
    let wrong = |reason: String| Failure::input(format!("{}: {reason}", manifest.display()));
    let text = fs::read_to_string(manifest).map_err(|error| wrong(error.to_string()))?;
    let Manifest { package } = toml::from_str(&text).map_err(|e| wrong(e.message().to_owned()))?;
    let Some(about) = package.metadata.and_then(|metadata| metadata.spacewright) else {
        let reason = "no [package.metadata.spacewright]".to_owned();
        return Err(wrong(reason).hint("add it with carrier = \"wasm\" or \"native\""));
    };
    Ok((package.name, about.carrier))
}

/// Builds the crate as a dynamic library; the answer is its path.
fn cargo_build(folder: &Path, name: &str, carrier: Carrier) -> Result<PathBuf, Failure> {
    let mut command = tools::cargo();
    command
        .args(["build", "--release", "--lib", "--message-format", "json-render-diagnostics"])
        .current_dir(folder)
        .stderr(std::process::Stdio::inherit());
    match carrier {
        Carrier::Wasm => {
            command.args(["--target", tools::WASM]);
            tools::WasmStd::find(folder)?.apply(&mut command);
        }
        _ => drop(command.args(["--features", "native"])),
    }
    let output = command.output().map_err(|e| Failure::failed(format!("cargo: {e}")))?;
    if !output.status.success() {
        return Err(Failure::failed(format!("cargo could not build {}", folder.display())));
    }
    let library = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        let of_plugin = message["reason"] == "compiler-artifact"
            && message["target"]["crate_types"].as_array()?.iter().any(|kind| kind == "cdylib")
            && message["target"]["name"] == name.replace('-', "_");
        let files = message["filenames"].as_array().filter(|_| of_plugin)?;
        let mut files = files.iter().filter_map(Value::as_str).map(PathBuf::from);
        let extension =
            if carrier == Carrier::Wasm { "wasm" } else { std::env::consts::DLL_EXTENSION };
        files.find(|file| file.extension().is_some_and(|found| found == extension))
    };
    String::from_utf8_lossy(&output.stdout).lines().filter_map(library).next_back().ok_or_else(|| {
        Failure::failed(
            "cargo built no dynamic library: Cargo.toml needs crate-type = [\"cdylib\", \"rlib\"] \
             in [lib]",
        )
    })
}

#[cfg(feature = "wasm-plugins")]
fn c_build(folder: &Path) -> Result<PathBuf, Failure> {
    super::c::build(folder)
}

#[cfg(not(feature = "wasm-plugins"))]
fn c_build(_: &Path) -> Result<PathBuf, Failure> {
    Err(Failure::failed("this program was built without the feature `wasm-plugins`"))
}

#[cfg(feature = "wasm-plugins")]
fn component(module: &[u8]) -> Result<Vec<u8>, Failure> {
    spacewright_engine::plugins::componentize(module).map_err(Failure::failed)
}

#[cfg(not(feature = "wasm-plugins"))]
fn component(_: &[u8]) -> Result<Vec<u8>, Failure> {
    Err(Failure::failed("this program was built without the feature `wasm-plugins`"))
}
