//! Names that a new plugin can have: those under which it can be built, and then installed.

use spacewright_engine::Registry;
use spacewright_sdk::text::is_legal_name;

use crate::{catalog, render::Failure};

/// Words of Rust, of which none is the name of a crate.
const WORDS: &[&str] = &[
    "Self", "abstract", "as", "async", "await", "become", "box", "break", "const", "continue",
    "crate", "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if",
    "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub",
    "ref", "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// Crates that come with Rust, which another one of that name would hide.
const CRATES: &[&str] = &["alloc", "core", "proc_macro", "std", "test"];

/// What the names of the program's own crates begin with.
const OWN: &str = "spacewright";

/// That a plugin of this name can be built, and installed here.
pub fn check(name: &str) -> Result<(), Failure> {
    check_crate(name)?;
    if let Some(known) = Registry::built_in()?.built_in_alike(name) {
        return Err(refused(name, &format!("the program itself has `{known}`"))
            .hint("choose another name: one plugin is not to be taken for another"));
    }
    // Where the list cannot be read, nothing can be installed either.
    let installed = catalog::plugins().and_then(|plugins| Ok(plugins.list()?)).unwrap_or_default();
    match installed.into_iter().find(|plugin| are_alike(&plugin.name, name)) {
        Some(plugin) => Err(refused(name, &format!("`{}` is installed already", plugin.name))
            .hint(format!(
                "choose another name, or run `spacewright plugin remove {}` first",
                plugin.name
            ))),
        None => Ok(()),
    }
}

/// That it can be the name of a crate.
fn check_crate(name: &str) -> Result<(), Failure> {
    if !is_legal_name(name) || !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err(Failure::input(format!("`{name}` cannot be the name of a plugin"))
            .hint("use letters, digits, `-` and `_`, a letter first"));
    }
    let word = name.replace('-', "_");
    let reason = if WORDS.contains(&word.as_str()) {
        "it is a word of Rust"
    } else if CRATES.contains(&word.as_str()) {
        "Rust has a crate of that name"
    } else if plain(name) == OWN || plain(name).starts_with(&format!("{OWN}-")) {
        "crates of the program itself are called so"
    } else {
        return Ok(());
    };
    Err(refused(name, reason)
        .hint(format!("a plugin is a crate of its name: choose another, such as `my-{name}`")))
}

fn refused(name: &str, reason: &str) -> Failure {
    Failure::input(format!("`{name}` cannot be the name of a plugin: {reason}"))
}

/// Whether people take one name for the other, as where a plugin is installed.
fn are_alike(one: &str, other: &str) -> bool {
    plain(one) == plain(other)
}

fn plain(name: &str) -> String {
    name.replace('_', "-").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_can_never_work_are_refused() {
        let reason = |name: &str| check(name).unwrap_err().to_string();
        for name in ["fn", "Self", "gen"] {
            assert!(reason(name).ends_with("it is a word of Rust"), "{name}: {}", reason(name));
        }
        for name in ["std", "proc-macro", "test"] {
            assert!(reason(name).ends_with("Rust has a crate of that name"), "{}", reason(name));
        }
        for name in ["spacewright", "spacewright-sdk", "Spacewright_own"] {
            assert!(reason(name).ends_with("are called so"), "{name}: {}", reason(name));
        }
        for (name, known) in [
            ("host-ort", "host-ort"),
            ("HOST_ORT", "host-ort"),
            ("q-t", "q-t"),
            ("operators-cnn", "operators-cnn"),
            ("cifar-small", "cifar_small"),
            ("resnet", "resnet"),
        ] {
            let expected = format!("the program itself has `{known}`");
            assert!(reason(name).ends_with(&expected), "{name}: {}", reason(name));
        }
        assert_eq!(reason("../evil"), "`../evil` cannot be the name of a plugin");
        for name in ["my-npu", "functions", "spacewrights", "stdlib"] {
            check_crate(name).unwrap();
        }
    }
}
