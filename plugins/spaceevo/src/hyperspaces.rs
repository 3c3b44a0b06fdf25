//! The method's hyperspaces, as TOML.

use spacewright_core::space::Hyperspace;

/// The built-in hyperspaces as TOML.
pub fn sources() -> Vec<&'static str> {
    vec![
        include_str!("../hyperspaces/mobilew.toml"),
        include_str!("../hyperspaces/onnxw.toml"),
        include_str!("../hyperspaces/mini.toml"),
    ]
}

spacewright_sdk::register!("spaceevo", Hyperspaces, sources);

/// The built-in hyperspace of this name.
pub fn built_in(name: &str) -> Option<Hyperspace> {
    let read = |text: &str| toml::from_str::<Hyperspace>(text).ok();
    sources().into_iter().filter_map(read).find(|hyperspace| hyperspace.name == name)
}
