//! From a core module to a component.

use std::{collections::BTreeSet, fmt::Write as _};

use spacewright_plugin::{INTERFACE, WIT};
use thiserror::Error;
use wasmparser::{BinaryReaderError, Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::PACKAGE;

/// Why no component can be made of a file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ComponentizeError {
    /// Nothing in it belongs to a plugin.
    #[error(
        "the module exports no interface of `spacewright:plugin@{INTERFACE}`: call \
         `spacewright_sdk::export!` in it, and build it as a `cdylib`"
    )]
    NoInterface,
    /// It is no module, or one whose exports do not have the types of the interfaces.
    #[error("{0}")]
    Module(String),
}

/// Makes a component of a module whose exports are named after the interfaces of the SDK's WIT
/// package: `spacewright:plugin/<interface>@<version>#<function>`.
pub fn componentize(module: &[u8]) -> Result<Vec<u8>, ComponentizeError> {
    let text = |error| ComponentizeError::Module(format!("{error:#}"));
    let interfaces = exported_interfaces(module)
        .map_err(|error| ComponentizeError::Module(error.to_string()))?;
    if interfaces.is_empty() {
        return Err(ComponentizeError::NoInterface);
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

fn exported_interfaces(module: &[u8]) -> Result<BTreeSet<String>, BinaryReaderError> {
    let mut interfaces = BTreeSet::new();
    for payload in Parser::new(0).parse_all(module) {
        let Payload::ExportSection(exports) = payload? else {
            continue;
        };
        for export in exports {
            let export = export?;
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
        let error = componentize(empty).unwrap_err().to_string();
        assert!(error.contains("`spacewright_sdk::export!`"), "{error}");
        assert!(componentize(b"not wasm").is_err());
    }
}
