//! Rules about the repository's own files that no compiler checks.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A text file of the repository: its path from the root, and its content.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn is_below(&self, folders: &[&str]) -> bool {
        folders.iter().any(|folder| self.path.starts_with(&format!("{folder}/")))
    }

    /// Lines of code with their numbers: no comments, nothing after the first `#[cfg(test)]`.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..)
            .zip(self.text.lines())
            .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Names that `.gitignore` lists: `/name` counts at the root only, `name` everywhere.
fn is_ignored(path: &str, rules: &str) -> bool {
    let name = path.rsplit('/').next().unwrap();
    let mut rules = rules.lines().map(|rule| rule.trim().trim_end_matches('/'));
    rules.any(|rule| rule.strip_prefix('/').map_or(rule == name, |rule| rule == path))
}

/// All paths of the repository's folders and files, from the root.
fn walk() -> (Vec<String>, Vec<String>) {
    let root = root();
    let rules = fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
    let (mut folders, mut files) = (Vec::new(), Vec::new());
    let mut open = vec![String::new()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            if name == ".git" || is_ignored(&path, &rules) {
                continue;
            }
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(path.clone());
                open.push(path);
            } else if kind.is_file() {
                files.push(path);
            }
        }
    }
    (folders, files)
}

/// All text files of the repository.
fn sources() -> Vec<Source> {
    let root = root();
    let text = |path: String| {
        let text = String::from_utf8(fs::read(root.join(&path)).unwrap()).ok()?;
        Some(Source { path, text })
    };
    let sources: Vec<Source> = walk().1.into_iter().filter_map(text).collect();
    assert!(sources.iter().any(|source| source.path == "xtask/tests/tidy.rs"));
    sources
}

/// Fails with the list of offenders, if there are any.
fn none(rule: &str, offenders: impl Iterator<Item = String>) {
    let mut offenders: Vec<String> = offenders.collect();
    offenders.sort();
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}

/// Where `found` holds in the code of `sources`, as `path:line`.
fn places<'a>(
    sources: impl Iterator<Item = &'a Source>,
    found: impl Fn(&str) -> bool,
) -> impl Iterator<Item = String> {
    sources.flat_map(move |source| {
        let lines: Vec<usize> =
            source.code().filter(|(_, line)| found(line)).map(|(number, _)| number).collect();
        lines.into_iter().map(|number| format!("{}:{number}", source.path))
    })
}

/// Whether `text` holds `name` and no letter, digit or underscore stands before it.
fn has_name(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        !text[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
    })
}

#[test]
fn rust_files_have_at_most_500_lines() {
    let sources = sources();
    let long = sources.iter().filter(|source| source.is_rust()).filter_map(|source| {
        let lines = source.text.lines().count();
        (lines > 500).then(|| format!("{}: {lines} lines", source.path))
    });
    none("too long, split by purpose", long);
}

#[test]
fn the_architecture_page_names_every_folder_and_crate() {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md"))
        .expect("ARCHITECTURE.md must be at the root");
    let (folders, files) = walk();
    let top = folders.iter().filter(|path| !path.contains('/') && !path.starts_with('.'));
    let crates = files.iter().filter_map(|path| path.strip_suffix("/Cargo.toml"));
    let wanted: BTreeSet<&str> = top.map(String::as_str).chain(crates).collect();
    let named =
        |path: &&str| page.contains(&format!("`{path}`")) || page.contains(&format!("`{path}/`"));
    let missing = wanted.into_iter().filter(|path| !named(path));
    none("not named in ARCHITECTURE.md as `path`", missing.map(str::to_owned));
}

#[test]
fn no_file_names_the_host_of_a_package_registry() {
    // In two parts each, so that this file passes its own rule.
    let hosts = [
        concat!("py", "pi.org"),
        concat!("python", "hosted.org"),
        concat!("crates", ".io"),
        concat!("npm", "js."),
        concat!("deb.", "debian.org"),
        concat!("anaconda", ".org"),
    ];
    let sources = sources();
    // Cargo writes its registry into the lock file.
    let written = sources.iter().filter(|source| !source.path.ends_with("Cargo.lock"));
    let naming = written.filter_map(|source| {
        let host = hosts.iter().find(|host| source.text.contains(**host))?;
        Some(format!("{}: {host}", source.path))
    });
    none("names a package registry's host", naming);
}

#[test]
fn only_the_programs_print() {
    let sources = sources();
    let libraries = sources.iter().filter(|source| {
        let exempt = source.path.ends_with("build.rs")
            || source.path.split('/').any(|part| ["benches", "tests", "tests.rs"].contains(&part));
        source.is_rust() && !exempt && !source.is_below(&["src", "xtask"])
    });
    let prints = |line: &str| has_name(line, "println!") || has_name(line, "eprintln!");
    none("only src/ and xtask/ may print", places(libraries, prints));
}

#[test]
fn only_the_torch_trainer_names_tch() {
    let sources = sources();
    let others = sources
        .iter()
        .filter(|source| source.is_rust() && !source.is_below(&["plugins/torch-trainer"]));
    let name = concat!("tch", "::");
    let naming = places(others, |line| has_name(line, name));
    none("only plugins/torch-trainer may name it", naming);
}

#[test]
fn a_name_is_not_the_end_of_a_longer_one() {
    assert!(has_name("let x = abc::y();", "abc::"));
    assert!(!has_name("let x = xabc::y();", "abc::"));
    assert!(has_name("xabc::y(abc::z())", "abc::"));
}

#[test]
fn ignored_paths_follow_gitignore() {
    let rules = "/target\nnode_modules\n/runs/\n";
    assert!(is_ignored("target", rules));
    assert!(is_ignored("runs", rules));
    assert!(!is_ignored("examples/target", rules));
    assert!(is_ignored("sdk/node_modules", rules));
}
