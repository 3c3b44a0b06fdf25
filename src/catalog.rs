//! What is built in or installed, found by name, and hyperspaces from files.

use std::{path::Path, sync::Arc};

use spacewright_core::{
    operators::Operators,
    space::{Hyperspace, Space},
    study::AnyStep,
    target::Target,
};
use spacewright_engine::{
    Registry, default_home, home, hyperspace,
    plugins::{Limits, PluginStore},
};

use crate::{compiler, render::Failure};

/// Everything that is built in, and all installed plugins.
pub fn registry() -> Result<Registry, Failure> {
    let mut registry = Registry::built_in()?;
    plugins()?.add_to(&mut registry)?;
    Ok(registry)
}

/// The steps of all methods: those that are not built in would have no command.
pub fn steps() -> Result<Vec<Arc<dyn AnyStep>>, Failure> {
    let methods = Registry::built_in()?.methods;
    Ok(methods.values().flat_map(|method| method.steps()).collect())
}

/// The installed plugins of this user.
pub fn plugins() -> Result<PluginStore, Failure> {
    plugins_within(Limits::default())
}

/// The same, where what is loaded may use no more than this.
pub fn plugins_within(limits: Limits) -> Result<PluginStore, Failure> {
    Ok(PluginStore::new(&default_home()?, limits, compiler::command()))
}

/// The plugins that are installed in another home than this user's usual one.
pub fn plugins_of(folder: &Path) -> Result<PluginStore, Failure> {
    home::make(folder)?;
    Ok(PluginStore::new(folder, Limits::default(), compiler::command()))
}

/// Targets of the project that are plugins: installed by a command of its own.
const SHIPPED: [&str; 3] = ["intel-vnni", "pixel-arm", "pixel-npu"];

/// A target by name.
pub fn target(registry: &Registry, name: &str) -> Result<Arc<dyn Target>, Failure> {
    let missing = |error| {
        let failure = Failure::from(error);
        match SHIPPED.contains(&name) {
            true => failure.hint(format!(
                "`{name}` is a plugin in the project's hardware-targets: `cargo xtask targets` \
                 builds and installs it"
            )),
            false => failure,
        }
    };
    registry.target(name).map_err(missing)
}

/// All block types.
pub fn operators() -> Result<Operators, Failure> {
    Ok(registry()?.operators())
}

/// A hyperspace by built-in name or by path of a TOML file, validated.
pub fn hyperspace(name_or_path: &str) -> Result<Hyperspace, Failure> {
    let registry = registry()?;
    let path = Path::new(name_or_path);
    let hyperspace = match registry.hyperspaces.contains_key(name_or_path) || !path.exists() {
        true => registry.hyperspace(name_or_path)?,
        false => hyperspace::read(path)?,
    };
    hyperspace
        .validate(&registry.operators())
        .map_err(|error| Failure::input(format!("{name_or_path}: {error}")))?;
    Ok(hyperspace)
}

/// A space with its hyperspace: the one that is given, or the built-in one that it names.
pub fn space(encoding: &str, given: Option<&str>) -> Result<(Hyperspace, Space), Failure> {
    let Some(name) = given.or(Space::hyperspace_name(encoding)) else {
        return Err(Failure::input(format!("`{encoding}` does not say its hyperspace"))
            .hint("write it as `<hyperspace>-<blocks>-<windows>`, or give --hyperspace"));
    };
    let hyperspace = hyperspace(name)?;
    let space = Space::parse(encoding, &hyperspace).map_err(Failure::input)?;
    Ok((hyperspace, space))
}

#[cfg(test)]
mod tests {
    use spacewright_core::train::Compute;

    use super::*;

    #[test]
    fn built_in_plugins_are_linked() {
        let registry = Registry::built_in().unwrap();
        assert!(registry.operators().block_types().len() > 10);
        assert!(["mobilew", "onnxw", "mini"].iter().all(|name| registry.hyperspace(name).is_ok()));
        registry.scorer("q-t").unwrap();
        registry.strategy("aging-evolution").unwrap();
        registry.strategy("random").unwrap();
        registry.target("host-ort").unwrap();
        registry.method("spaceevo").unwrap();
        let readers = registry.network_readers.iter();
        let mut formats: Vec<&str> = readers.map(|reader| reader.format()).collect();
        formats.sort_unstable();
        assert_eq!(formats, ["ONNX", "PyTorch", "TFLite", "safetensors"]);
        assert_eq!(registry.trainer(&Compute::on_processor(1)).is_some(), cfg!(unix));
    }
}
