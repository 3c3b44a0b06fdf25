//! Hyperspaces. Whether they can be read is for the program to say, which knows TOML and all
//! block types: see [`ConformanceReport::push`].

use std::collections::HashSet;

use super::{
    ConformanceReport,
    item::{ItemVerdicts, legal, require},
};
use crate::Kind;

/// Checks that each document is there and has a name of its own.
pub(super) fn check(report: &mut ConformanceReport, hyperspaces: &[String]) {
    let mut names = HashSet::new();
    for toml in hyperspaces {
        let name = declared_name(toml);
        let mut item = ItemVerdicts::new(report, Kind::Hyperspace, name.unwrap_or("?"));
        item.check("it has a name of its own", || {
            let name = name.ok_or("there is no field `name` before the first table")?;
            legal(name)?;
            require(names.insert(name), || format!("`{name}` is the name of another one, too"))
        });
    }
}

/// The field `name` before the first table.
fn declared_name(toml: &str) -> Option<&str> {
    let fields = toml.lines().map(str::trim).take_while(|line| !line.starts_with('['));
    let mut pairs = fields.filter_map(|line| line.split_once('='));
    let (_, value) = pairs.find(|(key, _)| key.trim() == "name")?;
    let value = value.trim();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    value[1..].split(quote).next()
}

#[cfg(test)]
mod tests {
    use crate::{
        Plugin,
        conformance::testing::{about, expect},
    };

    #[test]
    fn hyperspaces_have_names_of_their_own() {
        let offer = |toml: &[&str], wrong: &[(&str, &str)]| {
            let plugin =
                toml.iter().fold(Plugin::new(about()), |plugin, text| plugin.hyperspace(*text));
            expect(plugin, wrong, &[]);
        };
        let (a, b) = ("# A\nname = \"a\"\nclasses = 10", "name='b' # B\n[[stage]]\nname = \"c\"");
        offer(&[a, b], &[]);
        let named = "it has a name of its own";
        offer(&[a, b, a], &[(named, "`a` is the name of another one")]);
        offer(&["", a], &[(named, "there is no field `name`")]);
        offer(&["[[stage]]\nname = \"c\""], &[(named, "there is no field `name`")]);
        offer(&["name = \"../c\""], &[(named, "`../c` is not made of")]);
    }
}
