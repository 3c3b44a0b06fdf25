//! What is built in, found by name, and hyperspaces from files.

use std::{fs, path::Path, sync::Arc};

use spacewright_core::{
    operators::Operators,
    score::Scorer,
    search::Strategy,
    space::{Hyperspace, Space},
};
use spacewright_operators_cnn as _;
use spacewright_sdk::{Item, registrations};
use spacewright_spaceevo::hyperspaces::read_hyperspace;

use crate::render::Failure;

/// All operator sets.
pub fn operators() -> Operators {
    Operators::new(registrations().flat_map(|registration| match registration.item {
        Item::OperatorSets(make) => make(),
        _ => Vec::new(),
    }))
}

/// The built-in hyperspaces, in the order of registration.
pub fn hyperspaces() -> Result<Vec<Hyperspace>, Failure> {
    let sources = registrations().flat_map(|registration| match registration.item {
        Item::Hyperspaces(make) => make(),
        _ => Vec::new(),
    });
    sources
        .map(|text| read_hyperspace(text, "built-in hyperspace").map_err(Failure::failed))
        .collect()
}

/// A hyperspace by built-in name or by path of a TOML file, validated.
pub fn hyperspace(name_or_path: &str) -> Result<Hyperspace, Failure> {
    let built_in = hyperspaces()?;
    if let Some(found) = built_in.iter().find(|hyperspace| hyperspace.name == name_or_path) {
        return Ok(found.clone());
    }
    let path = Path::new(name_or_path);
    if !path.exists() {
        let names: Vec<&str> = built_in.iter().map(|hyperspace| &*hyperspace.name).collect();
        return Err(Failure::input(format!("there is no hyperspace `{name_or_path}`"))
            .hint(format!("built in are {}; or give the path of a TOML file", names.join(", "))));
    }
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::input(format!("cannot read {name_or_path}: {error}")))?;
    let hyperspace = read_hyperspace(&text, name_or_path).map_err(Failure::input)?;
    hyperspace
        .validate(&operators())
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

/// The scorer of this name.
pub fn scorer(name: &str) -> Result<Arc<dyn Scorer>, Failure> {
    let scorers = registrations().flat_map(|registration| match registration.item {
        Item::Scorers(make) => make(),
        _ => Vec::new(),
    });
    named("scorer", name, scorers.collect(), |scorer| scorer.name())
}

/// The strategy of this name.
pub fn strategy(name: &str) -> Result<Arc<dyn Strategy>, Failure> {
    let strategies = registrations().flat_map(|registration| match registration.item {
        Item::Strategies(make) => make(),
        _ => Vec::new(),
    });
    named("strategy", name, strategies.collect(), |strategy| strategy.name())
}

fn named<T: ?Sized>(
    kind: &str,
    name: &str,
    all: Vec<Arc<T>>,
    name_of: fn(&T) -> &str,
) -> Result<Arc<T>, Failure> {
    let known: Vec<&str> = all.iter().map(|item| name_of(item)).collect();
    let missing = Failure::input(format!("there is no {kind} `{name}`"))
        .hint(format!("known are {}", known.join(", ")));
    all.iter().find(|item| name_of(item) == name).cloned().ok_or(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_plugins_are_linked() {
        assert!(operators().block_types().len() > 10);
        assert_eq!(hyperspaces().unwrap().len(), 3);
        scorer("q-t").unwrap();
        strategy("evolution").unwrap();
        strategy("random").unwrap();
    }
}
