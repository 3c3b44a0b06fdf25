//! Plugins in C: bindings are generated from the SDK's WIT package, for one world of it.

use spacewright_sdk::{Kind, WIT};
use wit_bindgen_c::Opts;
use wit_bindgen_core::Files;
use wit_parser::Resolve;

use crate::{
    cli::{CarrierArg, LanguageArg},
    commands::plugin::new::{File, fill},
    render::Failure,
};

/// The files of a new plugin in C.
pub fn files(kind: Kind, carrier: CarrierArg, name: &str) -> Result<Vec<File>, Failure> {
    let code = match kind {
        Kind::Target => include_str!("../../../sdk/templates/c/target.c"),
        Kind::Scorer => include_str!("../../../sdk/templates/c/scorer.c"),
        _ => {
            return Err(Failure::input(format!("there is no template in C for a {kind}"))
                .hint("C has --kind target and --kind scorer; everything else is in Rust"));
        }
    };
    if carrier != CarrierArg::Wasm {
        return Err(Failure::input("plugins in C are WebAssembly components")
            .hint("leave out --carrier, or use Rust for a native library"));
    }
    let fill = |text: &str| fill(text, kind, carrier, LanguageArg::C, name);
    let mut files = vec![
        ("plugin.c".to_owned(), fill(code)),
        ("runtime.c".to_owned(), fill(include_str!("../../../sdk/templates/c/runtime.c"))),
        (
            "include/stdlib.h".to_owned(),
            include_str!("../../../sdk/templates/c/include/stdlib.h").to_owned(),
        ),
        (
            "include/string.h".to_owned(),
            include_str!("../../../sdk/templates/c/include/string.h").to_owned(),
        ),
        ("README.md".to_owned(), fill(include_str!("../../../sdk/templates/README.md.in"))),
        (".gitignore".to_owned(), "/target\n".to_owned()),
    ];
    files.extend(bindings(&format!("{kind}-plugin")).map_err(Failure::failed)?);
    Ok(files)
}

/// Header and source that are generated for a world.
fn bindings(world: &str) -> Result<Vec<File>, String> {
    let text = |error| format!("{error:#}");
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
