//! Links between documents lead somewhere, here and on the site that `cargo xtask book` makes of `docs`.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All documents that people read: those of three folders, and all within two.
fn documents() -> Vec<PathBuf> {
    let mut folders = ["", "examples/plugins", "sdk/python"].map(|path| root().join(path)).to_vec();
    folders.extend(
        ["docs", "hardware-targets"].map(|path| folders_within(root().join(path))).concat(),
    );
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let paths = files.map(|file| file.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "md")).collect()
}

/// The folder, and those within it.
fn folders_within(folder: PathBuf) -> Vec<PathBuf> {
    let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let within = entries.filter(|path| path.is_dir()).flat_map(folders_within).collect::<Vec<_>>();
    [vec![folder], within].concat()
}

/// What links to headings are called: lower case, words joined by hyphens, no other signs.
fn anchors(text: &str) -> HashSet<String> {
    let mut fenced = false;
    let headings = text.lines().filter(|line| {
        fenced ^= line.trim_start().starts_with("```");
        !fenced && line.starts_with('#')
    });
    let anchor = |heading: &str| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

/// Targets of the links of a document.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains(char::is_whitespace)).collect()
}

/// The file or folder that the link of a document names, by its place or by its address in the repository; nothing for
/// other addresses.
fn target(document: &Path, file: &str) -> Option<PathBuf> {
    if let Some(path) = file.strip_prefix(REPOSITORY) {
        let kinds = ["/blob/main/", "/tree/main/"];
        return kinds.iter().find_map(|kind| Some(root().join(path.strip_prefix(kind)?)));
    }
    let is_address = file.contains("://");
    let target = if file.is_empty() { document.to_owned() } else { document.with_file_name(file) };
    (!is_address).then_some(target)
}

#[test]
fn links_lead_somewhere() {
    let (mut bad, mut count) = (Vec::new(), 0);
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        for link in links(&text) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let Some(target) = target(&path, file) else { continue };
            count += 1;
            let is_there = target.exists()
                && (anchor.is_empty()
                    || anchors(&fs::read_to_string(&target).unwrap()).contains(anchor));
            bad.extend((!is_there).then(|| format!("{}: {link}", path.display())));
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
    assert!(count > 50, "{count}");
}

#[test]
fn pages_of_the_site_link_within_it() {
    let site = root().join("docs").canonicalize().unwrap();
    let mut bad = Vec::new();
    for path in documents().into_iter().filter(|path| path.starts_with(root().join("docs"))) {
        let text = fs::read_to_string(&path).unwrap();
        for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
            let file = link.split('#').next().unwrap();
            let target = target(&path, file).and_then(|target| target.canonicalize().ok());
            let is_within = target.is_none_or(|target| target.starts_with(&site));
            bad.extend((!is_within).then(|| format!("{}: {link}", path.display())));
        }
    }
    assert!(bad.is_empty(), "write {REPOSITORY}/blob/main/…: {bad:#?}");
}

#[test]
fn the_site_has_every_page() {
    let summary = fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    let listed: HashSet<PathBuf> =
        links(&summary).into_iter().map(|link| root().join("docs").join(link)).collect();
    let pages = documents().into_iter().filter(|path| path.starts_with(root().join("docs")));
    let pages: HashSet<PathBuf> = pages.filter(|path| !path.ends_with("SUMMARY.md")).collect();
    assert_eq!(listed, pages);
}

#[test]
fn headings_are_anchors() {
    let text = "# One `two`, three!\n```\n# no heading\n```\n## INT8 is 2× as fast\n";
    assert_eq!(anchors(text), ["one-two-three", "int8-is-2-as-fast"].map(str::to_owned).into());
}
