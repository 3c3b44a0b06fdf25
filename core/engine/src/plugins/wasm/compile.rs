//! From a component to machine code: from the cache, by a process of its own, or here.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use wasmtime::{Config, Engine, component::Component};

use super::contents;
use crate::plugins::{
    Limits, Loader, PluginFile, code_cache::CodeName, compiler::CompilerError, error::LoadError,
};

/// An engine whose components can be interrupted.
pub(super) fn engine(limits: &Limits) -> Result<Engine, LoadError> {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .wasm_wide_arithmetic(true)
        .consume_fuel(true)
        .epoch_interruption(true)
        // Memories that are mostly empty are not laid out when they are compiled.
        .memory_guaranteed_dense_image_size(1 << 20)
        .max_wasm_stack(limits.stack);
    Engine::new(&config).map_err(|error| LoadError::File(format!("{error:#}")))
}

/// The machine code of a component, which is checked first; an error says why there is none.
pub(crate) fn compile(bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, LoadError> {
    check(bytes)?;
    engine(limits)?.precompile_component(bytes).map_err(|error| unreadable(&error))
}

/// The component of a file, ready to be instantiated; `time` is what a compiler may take.
pub(super) fn component(
    engine: &Engine,
    loader: &Loader,
    file: &PluginFile,
    time: Duration,
) -> Result<Component, LoadError> {
    let mut settings = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut settings);
    let name = CodeName { sha256: &file.sha256, settings: settings.finish() };
    if let Some(code) = loader.cache.as_ref().and_then(|cache| cache.get(name))
        && let Ok(component) = deserialize(engine, &code)
    {
        return Ok(component);
    }
    check(&file.bytes)?;
    let code = match &loader.compiler {
        Some(compiler) => compiler.compile(&file.bytes, time).map_err(|error| match error {
            CompilerError::Refused(reason) => LoadError::File(super::shown(reason.trim())),
            other => LoadError::File(other.to_string()),
        })?,
        None => engine.precompile_component(&file.bytes).map_err(|error| unreadable(&error))?,
    };
    // A cache that cannot be written costs time, nothing else.
    if let Some(Err(error)) = loader.cache.as_ref().map(|cache| cache.put(name, &code)) {
        tracing::debug!("compiled code is not kept: {error}");
    }
    deserialize(engine, &code).map_err(|error| LoadError::File(format!("{error:#}")))
}

fn check(bytes: &[u8]) -> Result<(), LoadError> {
    if is_module(bytes) {
        let reason = "a WebAssembly module, no component: `spacewright plugin build` makes one";
        return Err(LoadError::File(reason.into()));
    }
    contents::check(bytes).map_err(|error| match error {
        contents::ContentsError::Unreadable(reason) => unreadable(&reason),
        other => LoadError::File(other.to_string()),
    })
}

fn unreadable(reason: &impl std::fmt::Display) -> LoadError {
    let reason = super::shown(&format!("{reason:#}"));
    LoadError::File(format!("it cannot be read; build or copy it again, whole: {reason}"))
}

/// Whether the header is that of a core module.
fn is_module(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(&[1, 0, 0, 0])
}

fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the code was made by this program, here, in a process that it started, or earlier,
    // in which case it carries the seal that only the user can make; the engine checks that its
    // own version and settings made it.
    #[allow(unsafe_code)]
    unsafe {
        Component::deserialize(engine, code)
    }
}
