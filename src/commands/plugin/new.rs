//! A plugin's folder, from templates.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;
use spacewright_sdk::Kind;

use super::names;
use crate::{
    cli::{CarrierArg, LanguageArg, PluginNewArgs},
    commands::target::fitted,
    render::{Failure, Output},
};

/// Where the project's crates are, as long as the program runs where it was built.
const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

macro_rules! template {
    ($name:literal) => {
        include_str!(concat!("../../../sdk/templates/", $name))
    };
}

#[cfg(feature = "wasm-plugins")]
pub(super) use template;

/// A file of the new folder: its path there, and its text.
pub type File = (String, String);

pub fn new(args: &PluginNewArgs) -> Result<Output, Failure> {
    let PluginNewArgs { kind, carrier, language, name, path, models } = args;
    names::check(name)?;
    let folder = path.clone().unwrap_or_else(|| PathBuf::from(name));
    if folder.symlink_metadata().is_ok() {
        return Err(Failure::input(format!("{} exists already", folder.display()))
            .hint("give another --path; nothing is overwritten"));
    }
    if !models.is_empty() && (*kind != Kind::Target || *language != LanguageArg::Rust) {
        return Err(Failure::input("--model is for targets in Rust"));
    }
    let models = models.iter().map(|file| model(file)).collect::<Result<Vec<_>, _>>()?;
    let files = match language {
        LanguageArg::Rust => rust(*kind, *carrier, name, models),
        #[cfg(feature = "wasm-plugins")]
        LanguageArg::C => super::c::files(*kind, *carrier, name)?,
        #[cfg(not(feature = "wasm-plugins"))]
        LanguageArg::C => return Err(Failure::input("this program makes no WebAssembly plugins")),
    };
    write_all(&folder, &files)?;
    let names: Vec<&str> = files.iter().map(|(file, _)| file.as_str()).collect();
    let text = format!(
        "made {} with {}\nnext: fill in {}, then spacewright plugin build {0}",
        folder.display(),
        names.join(", "),
        fill_in(*kind, *language)
    );
    Output::new(text, &json!({ "folder": folder, "files": names }))
}

/// Writes the files of a folder that is not there yet. Where one cannot be written, nothing is left.
fn write_all(folder: &Path, files: &[File]) -> Result<(), Failure> {
    let is_missing = |above: &&Path| !above.as_os_str().is_empty() && !above.exists();
    let made: Vec<&Path> = folder.ancestors().skip(1).take_while(is_missing).collect();
    let written = files.iter().try_for_each(|(file, text)| write(&folder.join(file), text));
    if written.is_err() {
        let _ = fs::remove_dir_all(folder);
        // The innermost first; one that is not empty stays.
        made.iter().for_each(|above| drop(fs::remove_dir(above)));
    }
    written
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", path.display()));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(path, text).map_err(failed)
}

/// A fitted model as a file of the plugin.
fn model(file: &Path) -> Result<File, Failure> {
    let model = fitted::read(file)?;
    let name = format!("model.{}.json", model.precision.name());
    Ok((name, model.to_json().map_err(Failure::failed)?))
}

/// What a new plugin of a kind starts from.
struct Start {
    /// Its code in Rust.
    code: &'static str,
    /// What it does, before it is filled in.
    summary: &'static str,
    /// How a study uses it.
    used: &'static str,
}

fn start_of(kind: Kind) -> Start {
    match kind {
        Kind::OperatorSet => Start {
            code: template!("rust/operator-set.rs.in"),
            summary: "Block types of my own",
            used: "`block = \"{{name}}-conv\"` in a `[[candidate]]` of a hyperspace",
        },
        Kind::Hyperspace => Start {
            code: template!("rust/hyperspace.rs.in"),
            summary: "Candidate spaces of my own",
            used: "`hyperspace = \"{{word}}\"` in a study file",
        },
        Kind::Quantizer => Start {
            code: template!("rust/quantizer.rs.in"),
            summary: "Quantization to the observed range",
            used: "`quantizer = \"{{name}}\"` in a study file",
        },
        Kind::LatencySource => Start {
            code: template!("rust/latency-source.rs.in"),
            summary: "Latencies from multiply-adds",
            used: "`latency = \"{{name}}\"` in a study file",
        },
        Kind::Scorer => Start {
            code: template!("rust/scorer.rs.in"),
            summary: "The best row of each stage, summed",
            used: "`scorer = \"{{name}}\"` in `[evolve]` of a study file",
        },
        Kind::Target => Start {
            code: template!("rust/target.rs.in"),
            summary: "Hardware whose latency follows from multiply-adds",
            used: "`spacewright run STUDY.toml --target {{name}}`",
        },
    }
}

fn fill_in(kind: Kind, language: LanguageArg) -> &'static str {
    match (language, kind) {
        (LanguageArg::C, _) => "plugin.c",
        (LanguageArg::Rust, Kind::Hyperspace) => "hyperspace.toml",
        (LanguageArg::Rust, _) => "src/lib.rs",
    }
}

fn rust(kind: Kind, carrier: CarrierArg, name: &str, models: Vec<File>) -> Vec<File> {
    let included: Vec<String> =
        models.iter().map(|(file, _)| format!("include_str!(\"../{file}\")")).collect();
    let latency_model = match models.is_empty() {
        true => String::new(),
        false => {
            let place = dependency("hardware-targets/libraries/latency-model");
            format!("spacewright-latency-model = {{ {place} }}\n")
        }
    };
    let code = match models.is_empty() {
        true => start_of(kind).code,
        false => template!("rust/fitted.rs.in"),
    };
    let code = code
        .replace("{{latency}}\n", template!("rust/latency.rs.in"))
        .replace("{{tests}}", template!("rust/tests.rs.in"))
        .replace("{{models}}", &included.join(", "));
    let manifest = template!("rust/Cargo.toml.in").replace("{{latency-model}}", &latency_model);
    let summary = match models.is_empty() {
        true => "{{summary}}",
        false => "Hardware whose latencies were fitted to measurements",
    };
    let fill = |text: &str| {
        fill(&text.replace("{{summary}}", summary), kind, carrier, LanguageArg::Rust, name)
    };
    let mut files = vec![
        ("Cargo.toml".to_owned(), fill(&manifest)),
        ("src/lib.rs".to_owned(), fill(&code)),
        ("README.md".to_owned(), fill(template!("README.md.in"))),
        (".gitignore".to_owned(), "/target\n/*.so\n/*.wasm\n".to_owned()),
    ];
    if kind == Kind::Hyperspace {
        files.push(("hyperspace.toml".to_owned(), fill(template!("rust/hyperspace.toml.in"))));
    }
    files.extend(models);
    files
}

/// Where a crate of the project is found.
fn dependency(folder: &str) -> String {
    let path = Path::new(PROJECT).join(folder);
    match path.is_dir() {
        true => format!("path = \"{}\"", path.display().to_string().replace('\\', "/")),
        // A program of another version refuses what is built with this one's interface.
        false => format!(
            "git = \"{}\", tag = \"v{}\"",
            env!("CARGO_PKG_REPOSITORY"),
            env!("CARGO_PKG_VERSION")
        ),
    }
}

/// A template with its places filled.
pub fn fill(
    text: &str,
    kind: Kind,
    carrier: CarrierArg,
    language: LanguageArg,
    name: &str,
) -> String {
    let (carrier_name, extension) = match carrier {
        CarrierArg::Wasm => ("wasm", "wasm"),
        CarrierArg::Native => ("native", std::env::consts::DLL_EXTENSION),
    };
    let sdk = dependency("sdk");
    let file = format!("{name}.{extension}");
    let trust = match carrier {
        CarrierArg::Wasm => String::new(),
        CarrierArg::Native => format!("    spacewright plugin trust {file}\n"),
    };
    let test = match language {
        LanguageArg::Rust => {
            "    cargo test                              # the conformance kit, in-process\n"
        }
        LanguageArg::C => "",
    };
    let Start { summary, used, .. } = start_of(kind);
    let word = name.replace('-', "_");
    let places = [
        // First, as it names the plugin itself.
        ("{{use}}", used),
        ("{{name}}", name),
        ("{{word}}", &word),
        ("{{kind}}", kind.name()),
        ("{{carrier}}", carrier_name),
        ("{{summary}}", summary),
        ("{{sdk}}", &sdk),
        ("{{file}}", &file),
        ("{{test}}", test),
        ("{{trust}}", &trust),
        ("{{fill-in}}", fill_in(kind, language)),
    ];
    places.iter().fold(text.to_owned(), |text, (place, value)| text.replace(place, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_file_cannot_be_written_nothing_is_left() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("deep/below/plugin");
        let file = |name: &str| (name.to_owned(), "text".to_owned());
        // The second one lies below the first, which is no folder.
        write_all(&folder, &[file("Cargo.toml"), file("Cargo.toml/lib.rs")]).unwrap_err();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        write_all(&folder, &[file("Cargo.toml"), file("src/lib.rs")]).unwrap();
        assert_eq!(fs::read_to_string(folder.join("src/lib.rs")).unwrap(), "text");
    }
}
