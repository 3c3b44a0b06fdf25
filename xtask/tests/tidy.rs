//! Rules about the repository's own files that no compiler checks.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

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
fn modules_with_parts_are_the_mod_file_of_their_folder() {
    let (_, files) = walk();
    let of_folder = |path: &String| {
        let folder = format!("{}/", path.strip_suffix(".rs")?);
        let is_part = |file: &String| {
            file.strip_prefix(&folder)
                .is_some_and(|name| name.ends_with(".rs") && name != "tests.rs")
        };
        files.iter().any(is_part).then(|| format!("{path}: {folder}mod.rs"))
    };
    none(
        "a module whose parts lie in a folder stands there, too",
        files.iter().filter_map(of_folder),
    );
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

/// The paths that a text with one pair of braces stands for: `a/{b,c}.rs` is two.
fn expanded(path: &str) -> Vec<String> {
    match path.split_once('{').zip(path.split_once('}')) {
        Some(((before, _), (_, after))) => {
            let inside = &path[before.len() + 1..path.len() - after.len() - 1];
            inside.split(',').map(|part| format!("{before}{part}{after}")).collect()
        }
        None => vec![path.to_owned()],
    }
}

#[test]
fn the_paths_of_the_architecture_page_exist() {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (folders, files) = walk();
    let exists = |path: &str| {
        let path = path.trim_end_matches('/');
        folders.iter().chain(&files).any(|known| known == path)
    };
    let is_path = |word: &&str| {
        let first = word.split('/').next().unwrap();
        word.contains('/') && !word.contains([' ', '*']) && folders.iter().any(|top| top == first)
    };
    let words = page.split('`').skip(1).step_by(2).filter(is_path);
    let missing = words.flat_map(expanded).filter(|path| !exists(path));
    none("named in ARCHITECTURE.md, but not there", missing);
}

/// What a constant's value holds in quotes, of a file whose code is formatted by rustfmt.
fn quoted_in_constant(path: &str, name: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(path)).unwrap();
    let declared = text.split_once(&format!("const {name}: ")).map(|(_, rest)| rest);
    let value = declared.and_then(|rest| rest.split_once(" = ")?.1.split_once(";\n"));
    let (value, _) = value.unwrap_or_else(|| panic!("{path}: there is no constant {name}"));
    value.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_program_knows_the_trainer_by_its_name() {
    let own = quoted_in_constant("plugins/torch-trainer/src/lib.rs", "NAME");
    assert_eq!(quoted_in_constant("src/process.rs", "TRAINER"), own);
}

#[test]
fn the_program_knows_which_targets_are_plugins_of_the_project() {
    let mut installed = quoted_in_constant("xtask/src/targets.rs", "PLUGINS");
    // Each stands beside the extension of what it is built into.
    installed.retain(|word| word != "wasm");
    assert_eq!(quoted_in_constant("src/catalog.rs", "SHIPPED"), installed);
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

/// Folders of crates by layer, the lowest first; the longest that fits a crate counts. A crate
/// depends on crates of lower layers only, its tests included.
const LAYERS: [&[&str]; 5] = [
    &["core/core", "core/data", "core/plot", "core/plugin"],
    &["core/engine", "core/worker", "sdk"],
    &["hardware-targets/libraries"],
    &["plugins", "hardware-targets", "examples/plugins"],
    &["", "fuzz", "xtask"],
];

/// Crates that build on another one of their own layer.
const SIDEWAYS: [(&str, &str); 5] = [
    ("core/data", "core/core"),
    ("core/plugin", "core/core"),
    ("hardware-targets/intel-vnni", "hardware-targets/host-ort"),
    // Its reports are what the page shows.
    ("plugins/spaceevo-page", "plugins/spaceevo"),
    ("examples/plugins/q-t-guest", "plugins/q-t-score"),
];

/// What tests of crates of the same layer may use: the SDK, blocks, quantizers, and a runtime.
const TRIED_ON: [&str; 4] =
    ["sdk", "plugins/operators-cnn", "plugins/quantizers", "hardware-targets/host-ort"];

fn layer(folder: &str) -> Option<usize> {
    let is_below = |parent: &str| folder == parent || folder.starts_with(&format!("{parent}/"));
    let fits = |(layer, parents): (usize, &&[&str])| {
        let longest = parents.iter().filter(|parent| is_below(parent)).map(|p| p.len()).max();
        longest.map(|length| (length, layer))
    };
    LAYERS.iter().enumerate().filter_map(fits).max().map(|(_, layer)| layer)
}

/// Whether a crate may depend on another one.
fn may_depend(from: &str, to: &str, in_tests: bool) -> bool {
    let (Some(above), Some(below)) = (layer(from), layer(to)) else { return false };
    let sideways = SIDEWAYS.contains(&(from, to)) || in_tests && TRIED_ON.contains(&to);
    below < above || below == above && sideways
}

/// Dependencies on crates of this repository, with the kind of each: section, folder.
fn dependencies(folder: &str, manifest: &Table, shared: &Table) -> Vec<(String, String)> {
    const SECTIONS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];
    let targets = manifest.get("target").and_then(Value::as_table);
    let targets = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table);
    let mut found = Vec::new();
    for table in targets.chain([manifest]) {
        for section in SECTIONS {
            let entries = table.get(section).and_then(Value::as_table);
            for (name, entry) in entries.into_iter().flatten() {
                let path = |entry: &Value| Some(entry.get("path")?.as_str()?.to_owned());
                let inherited = entry.get("workspace").and_then(|_| path(shared.get(name)?));
                let own = path(entry).map(|path| Path::new(folder).join(path));
                let Some(path) = inherited.map(PathBuf::from).or(own) else { continue };
                found.push((section.to_owned(), plain(&path)));
            }
        }
    }
    found
}

/// A path without `..`.
fn plain(path: &Path) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.iter().filter_map(|part| part.to_str()) {
        match part {
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn no_crate_depends_on_one_of_a_higher_layer() {
    let manifests: Vec<(String, Table)> = sources()
        .into_iter()
        .filter(|source| source.path == "Cargo.toml" || source.path.ends_with("/Cargo.toml"))
        .map(|source| {
            let folder = source.path.trim_end_matches("Cargo.toml").trim_end_matches('/');
            (folder.to_owned(), source.text.parse().unwrap())
        })
        .collect();
    let root = &manifests.iter().find(|(folder, _)| folder.is_empty()).unwrap().1;
    let shared = root["workspace"]["dependencies"].as_table().unwrap();
    let upward = manifests.iter().flat_map(|(folder, manifest)| {
        let found = dependencies(folder, manifest, shared).into_iter();
        let forbidden =
            found.filter(|(section, to)| !may_depend(folder, to, section == "dev-dependencies"));
        forbidden.map(move |(section, to)| format!("{folder}/Cargo.toml, {section}: {to}"))
    });
    none("depends on a crate that is not below it", upward);
}

#[test]
fn layers_are_those_of_the_longest_folder() {
    assert_eq!(layer("hardware-targets/libraries/measure"), Some(2));
    assert_eq!(layer("hardware-targets/host-ort"), Some(3));
    assert_eq!(layer(""), Some(4));
    assert_eq!(layer("elsewhere/crate"), None);
    assert!(may_depend("sdk", "core/core", false));
    assert!(!may_depend("sdk", "plugins/quantizers", true));
    assert!(may_depend("plugins/torch-trainer", "plugins/operators-cnn", true));
    assert!(!may_depend("plugins/torch-trainer", "plugins/operators-cnn", false));
    assert_eq!(plain(Path::new("examples/plugins/q-t-guest/../../../sdk")), "sdk");
}

/// The signatures of functions that other modules see, and of functions of traits, with their lines,
/// of code that is formatted by rustfmt. `pub(super)` stands for a part of the module above.
fn public_signatures(source: &Source) -> Vec<(usize, String)> {
    let mut signatures = Vec::new();
    let mut trait_end = None;
    let mut lines = source.code();
    while let Some((number, line)) = lines.next() {
        let (indent, item) = line.split_at(line.len() - line.trim_start().len());
        let is_public = item.starts_with("pub ") || item.starts_with("pub(crate)");
        let head = item.split("fn ").next().unwrap_or_default();
        if has_name(head, "trait ") && line.ends_with('{') {
            trait_end = Some(format!("{indent}}}"));
        } else if trait_end.as_deref() == Some(line) {
            trait_end = None;
        }
        let in_trait = trait_end.as_ref().is_some_and(|end| indent.len() == end.len() + 3);
        let is_function =
            head.len() < item.len() && head.split(' ').all(|word| !word.contains('='));
        if !is_function || !(is_public || in_trait) {
            continue;
        }
        let mut signature = item.to_owned();
        while !signature.ends_with(['{', ';', '}'])
            && let Some((_, more)) = lines.next()
        {
            signature = format!("{signature} {}", more.trim());
        }
        let end = signature.find(" {").unwrap_or(signature.len());
        signatures.push((number, signature[..end].to_owned()));
    }
    signatures
}

/// Whether a type `Result<_, String>` occurs.
fn has_text_as_error(signature: &str) -> bool {
    signature.match_indices("Result<").any(|(at, name)| {
        let (mut depth, mut last) = (1, String::new());
        let mut before = ' ';
        for letter in signature[at + name.len()..].chars() {
            match letter {
                '<' | '(' | '[' => depth += 1,
                // Not the arrow of a function's type.
                '>' if before == '-' => {}
                '>' | ')' | ']' => depth -= 1,
                ',' if depth == 1 && !last.trim().is_empty() => last.clear(),
                _ => {}
            }
            if depth == 0 {
                break;
            }
            if !(letter == ',' && depth == 1) {
                last.push(letter);
            }
            before = letter;
        }
        last.trim() == "String" && !signature[at..].starts_with("Result<String>")
    })
}

#[test]
fn errors_of_public_functions_have_types() {
    let sources = sources();
    let libraries = sources.iter().filter(|source| {
        let is_test = |part: &str| ["benches", "examples", "tests", "tests.rs"].contains(&part);
        source.is_rust() && !source.path.split('/').any(is_test)
    });
    let untyped = libraries.flat_map(|source| {
        let found = public_signatures(source).into_iter();
        let found = found.filter(|(_, signature)| has_text_as_error(signature));
        found.map(|(line, _)| format!("{}:{line}", source.path))
    });
    none("a public function's error is a sentence, not a type", untyped);
}

#[test]
fn signatures_are_found() {
    let text = "\
pub fn a() -> Result<u8, String> {
    b()
}
fn b() -> Result<u8, String> { Ok(1) }
pub(crate) fn c(
    x: impl Fn(&str) -> Result<Vec<(u8, u8)>, String>,
) -> Result<String, Error> {
}
pub trait T {
    fn d(
        &self,
    ) -> Result<(), String>;
    fn e(&self) -> Result<String> {
        Ok(String::new())
    }
}
impl T for U {
    fn d(&self) -> Result<(), String> {}
}
";
    let source = Source { path: "x.rs".into(), text: text.into() };
    let untyped = public_signatures(&source).into_iter().filter(|(_, s)| has_text_as_error(s));
    assert_eq!(untyped.map(|(line, _)| line).collect::<Vec<_>>(), [1, 5, 10]);
    assert!(has_text_as_error("fn f() -> Result<Result<u8, String>, Error>"));
    assert!(!has_text_as_error("fn f() -> RResult<RVec<u8>, RString>"));
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
