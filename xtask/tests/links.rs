//! Links between documents lead somewhere.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All documents that people read.
fn documents() -> Vec<PathBuf> {
    let folders = ["", "docs", "docs/plugins", "examples/plugins", "sdk/python"];
    let files = folders.iter().flat_map(|folder| fs::read_dir(root().join(folder)).unwrap());
    let paths = files.map(|file| file.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "md")).collect()
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

#[test]
fn links_lead_somewhere() {
    let (mut bad, mut count) = (Vec::new(), 0);
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
            count += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.with_file_name(file) };
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
fn headings_are_anchors() {
    let text = "# One `two`, three!\n```\n# no heading\n```\n## INT8 is 2× as fast\n";
    assert_eq!(anchors(text), ["one-two-three", "int8-is-2-as-fast"].map(str::to_owned).into());
}
