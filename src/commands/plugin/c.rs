//! Plugins in C: one file of the author's, and what `plugin build` makes beside it from the SDK's WIT
//! package.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use spacewright_sdk::{Kind, WIT};
use wit_bindgen_c::Opts;
use wit_bindgen_core::Files;
use wit_parser::Resolve;

use super::tools;
use crate::{
    cli::{CarrierArg, LanguageArg},
    commands::plugin::new::{File, fill, template},
    render::Failure,
};

/// The files of a new plugin in C.
pub fn files(kind: Kind, carrier: CarrierArg, name: &str) -> Result<Vec<File>, Failure> {
    let code = match kind {
        Kind::Target => template!("c/target.c").to_owned(),
        // The example is the template.
        Kind::Scorer => include_str!("../../../examples/plugins/least-loss/plugin.c")
            .replace("/* What a stage", "/* Fill in: what a stage")
            .replace("least-loss", "{{name}}"),
        _ => {
            return Err(Failure::input(format!("there is no template in C for the kind `{kind}`"))
                .hint("C has --kind target and --kind scorer; everything else is in Rust"));
        }
    };
    if carrier != CarrierArg::Wasm {
        return Err(Failure::input("plugins in C are WebAssembly components")
            .hint("leave out --carrier, or use Rust for a native library"));
    }
    let fill = |text: &str| fill(text, kind, carrier, LanguageArg::C, name);
    Ok(vec![
        ("plugin.c".to_owned(), fill(&code)),
        ("README.md".to_owned(), fill(template!("README.md.in"))),
        (".gitignore".to_owned(), "/target\n/*.wasm\n".to_owned()),
    ])
}

/// Compiles `plugin.c` of a folder, and what it needs, into one module; the answer is its path.
pub fn build(folder: &Path) -> Result<PathBuf, Failure> {
    let failed = |path: &Path, reason: &dyn fmt::Display| {
        Failure::failed(format!("{}: {reason}", path.display()))
    };
    let plugin = folder.join("plugin.c");
    let code = fs::read_to_string(&plugin).map_err(|error| failed(&plugin, &error))?;
    let included = |kind: &Kind| code.contains(&format!("#include \"{}.h\"", world(*kind)));
    let kind = Kind::ALL.into_iter().find(included).ok_or_else(|| {
        failed(&plugin, &"it includes no header of a kind, such as `target_plugin.h`")
    })?;
    let made = folder.join("target/c");
    for (name, text) in support(kind)? {
        let path = made.join(name);
        let parent = path.parent().unwrap_or(&made);
        fs::create_dir_all(parent).map_err(|error| failed(parent, &error))?;
        fs::write(&path, text).map_err(|error| failed(&path, &error))?;
    }
    let module = made.join("plugin.core.wasm");
    let mut command = tools::c_compiler()?;
    let target = if command.get_program() == "clang" { tools::WASM } else { "wasm32-freestanding" };
    command
        .arg(format!("--target={target}"))
        .args(["-Os", "-std=c11", "-Wall", "-Wextra", "-nostdlib", "-ffreestanding"])
        .args(["-mbulk-memory", "-fno-builtin", "-Wl,--no-entry", "-Wl,--strip-all"])
        .args([Path::new("-I"), &made.join("include"), Path::new("-I"), &made])
        .args([plugin, made.join("runtime.c"), made.join(format!("{}.c", world(kind)))])
        .arg("-o")
        .arg(&module);
    tools::output(&mut command)?;
    Ok(module)
}

/// The world of a kind, as C names it.
fn world(kind: Kind) -> String {
    format!("{}_plugin", kind.name().replace('-', "_"))
}

/// Bindings for a kind, and the little of the C library that they use.
fn support(kind: Kind) -> Result<Vec<File>, Failure> {
    let runtime = template!("c/runtime.c").replace("{{world}}", &world(kind));
    let mut files = vec![
        ("runtime.c".to_owned(), runtime),
        ("include/stdlib.h".to_owned(), template!("c/include/stdlib.h").to_owned()),
        ("include/string.h".to_owned(), template!("c/include/string.h").to_owned()),
    ];
    files.extend(bindings(&format!("{kind}-plugin"))?);
    Ok(files)
}

/// Header and source that are generated for a world.
fn bindings(world: &str) -> Result<Vec<File>, Failure> {
    let text = |error| Failure::failed(format!("{error:#}"));
    let mut resolve = Resolve::default();
    let package = resolve.push_str("plugin.wit", WIT).map_err(text)?;
    let world = resolve.select_world(&[package], Some(world)).map_err(text)?;
    let mut files = Files::default();
    // `plugin build` adds what the object file would say of the component's type.
    let options = Opts { no_object_file: true, ..Opts::default() };
    options.build().generate(&mut resolve, world, &mut files).map_err(text)?;
    let source = |name: &str| name.ends_with(".c") || name.ends_with(".h");
    let sources = files.iter().filter(|(name, _)| source(name));
    Ok(sources
        .map(|(name, bytes)| (name.to_owned(), String::from_utf8_lossy(bytes).into_owned()))
        .collect())
}
