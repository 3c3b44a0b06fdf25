//! Compiled code on disk, by the hash of the component and of the compiler's settings.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
};

use wasmtime::{Engine, component::Component};

use crate::{
    files::write_atomically,
    hash,
    plugins::{File, error::LoadError},
};

/// Length of a hash in hexadecimal, which precedes the code in its file.
const DIGEST: usize = 64;

/// The component as machine code: from the cache, or compiled and put there.
pub(super) fn compile(
    engine: &Engine,
    folder: Option<&Path>,
    file: &File<'_>,
) -> Result<Component, LoadError> {
    let File { bytes, sha256, .. } = *file;
    let Some(folder) = folder else { return compile_anew(engine, bytes) };
    let mut settings = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut settings);
    let path = folder.join(format!("{sha256}-{:016x}.cwasm", settings.finish()));
    if let Some(component) = read(engine, &path) {
        return Ok(component);
    }
    let component = compile_anew(engine, bytes)?;
    // A cache that cannot be written costs time, nothing else.
    if let Ok(code) = component.serialize() {
        let digest = hash::of_bytes(&code);
        let content = [digest.as_bytes(), &code].concat();
        if let Err(error) = fs::create_dir_all(folder)
            .map_err(|error| error.to_string())
            .and_then(|()| write_atomically(&path, &content).map_err(|error| error.to_string()))
        {
            tracing::debug!("compiled code is not kept: {error}");
        }
    }
    Ok(component)
}

fn compile_anew(engine: &Engine, bytes: &[u8]) -> Result<Component, LoadError> {
    Component::new(engine, bytes).map_err(|error| {
        let reason = super::shown(&format!("{error:#}"));
        LoadError::File(match is_module(bytes) {
            true => {
                "a WebAssembly module, no component: `spacewright plugin build` makes one".into()
            }
            false => format!("it cannot be read; build or copy it again, whole: {reason}"),
        })
    })
}

/// Whether the header is that of a core module.
fn is_module(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(&[1, 0, 0, 0])
}

fn read(engine: &Engine, path: &Path) -> Option<Component> {
    let file = fs::read(path).ok()?;
    let (digest, code) = file.split_at_checked(DIGEST)?;
    if digest != hash::of_bytes(code).as_bytes() {
        return None;
    }
    // SAFETY: the code was written by `compile` above, into a folder of the program's own, and is
    // complete; the engine checks that its own version and settings made it.
    #[allow(unsafe_code)]
    unsafe { Component::deserialize(engine, code) }.ok()
}
