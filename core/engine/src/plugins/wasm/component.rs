//! From a core module to a component.

use std::{collections::BTreeSet, fmt::Write as _};

use spacewright_sdk::{INTERFACE, WIT};
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::PACKAGE;

/// Makes a component of a module whose exports are named after the interfaces of the SDK's WIT
/// package: `spacewright:plugin/<interface>@<version>#<function>`.
pub fn componentize(module: &[u8]) -> Result<Vec<u8>, String> {
    let text = |error| format!("{error:#}");
    let interfaces = exported_interfaces(module)?;
    if interfaces.is_empty() {
        return Err(format!(
            "the module exports no interface of `spacewright:plugin@{INTERFACE}`: call \
             `spacewright_sdk::export!` in it, and build it as a `cdylib`"
        ));
    }
    let mut world = format!(
        "package spacewright:built;\n\nworld built {{\n    import {PACKAGE}host@{INTERFACE};\n"
    );
    for interface in interfaces {
        let _ = writeln!(world, "    export {interface};");
    }
    world.push_str("}\n");
    let mut resolve = Resolve::default();
    resolve.push_str("plugin.wit", WIT).map_err(text)?;
    let package = resolve.push_str("built.wit", &world).map_err(text)?;
    let world = resolve.select_world(&[package], Some("built")).map_err(text)?;
    let mut module = module.to_vec();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).map_err(text)?;
    let mut encoder = ComponentEncoder::default().validate(true).module(&module).map_err(text)?;
    encoder.encode().map_err(text)
}

fn exported_interfaces(module: &[u8]) -> Result<BTreeSet<String>, String> {
    let mut interfaces = BTreeSet::new();
    for payload in Parser::new(0).parse_all(module) {
        let Payload::ExportSection(exports) = payload.map_err(|error| error.to_string())? else {
            continue;
        };
        for export in exports {
            let export = export.map_err(|error| error.to_string())?;
            let interface = export.name.split_once('#').map(|(interface, _)| interface);
            interfaces
                .extend(interface.filter(|name| name.starts_with(PACKAGE)).map(str::to_owned));
        }
    }
    Ok(interfaces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_without_a_plugin_says_what_is_missing() {
        let empty = b"\0asm\x01\0\0\0";
        let error = componentize(empty).unwrap_err();
        assert!(error.contains("`spacewright_sdk::export!`"), "{error}");
        assert!(componentize(b"not wasm").is_err());
    }
}
