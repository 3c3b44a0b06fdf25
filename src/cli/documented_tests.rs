//! Every command in the documents is one that can be typed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use spacewright_core::study::Method;
use spacewright_spaceevo::SpaceEvo;

use super::command;

/// The documents for users.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![root.join("README.md")];
    for folder in ["docs", "docs/plugins", "docs/results"] {
        let files = fs::read_dir(root.join(folder)).unwrap().map(|file| file.unwrap().path());
        found.extend(files.filter(|path| path.extension().is_some_and(|end| end == "md")));
    }
    found.sort();
    found
}

/// The lines of all shell blocks, joined where one goes on in the next.
fn shell_lines(text: &str) -> Vec<String> {
    let (mut lines, mut inside, mut open) = (Vec::<String>::new(), false, false);
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside && line.trim() == "```sh";
            open = false;
            continue;
        }
        if !inside {
            continue;
        }
        let more = line.strip_suffix('\\');
        let part = more.unwrap_or(line).trim();
        match lines.last_mut().filter(|_| open) {
            Some(last) => *last += &format!(" {part}"),
            None => lines.push(part.to_owned()),
        }
        open = more.is_some();
    }
    lines
}

/// Words of a call of the program in a line: without a comment, what goes to or comes from elsewhere, and what stands
/// for more of the same.
fn words(line: &str) -> Option<Vec<String>> {
    let call = line.split("<(").last()?.split(')').next()?;
    let call = &call[call.find("spacewright ")?..];
    let is_start = line.trim_start().starts_with("spacewright ") || line.contains("<(spacewright ");
    let words = split(call).into_iter();
    let words = words.take_while(|word| !["#", "|", ">", "&&"].contains(&word.as_str()));
    is_start.then(|| words.filter(|word| word != "…").collect())
}

/// Words of a shell's line, of which quoted ones may have spaces.
fn split(line: &str) -> Vec<String> {
    let (mut words, mut quote) = (vec![String::new()], None);
    for letter in line.chars() {
        match (letter, quote) {
            ('"' | '\'', None) => quote = Some(letter),
            (letter, Some(open)) if letter == open => quote = None,
            (letter, None) if letter.is_whitespace() => words.push(String::new()),
            (letter, _) => words.last_mut().unwrap().push(letter),
        }
    }
    words.into_iter().filter(|word| !word.is_empty()).collect()
}

#[test]
fn commands_in_documents_can_be_typed() {
    let steps = SpaceEvo.steps();
    let mut count = 0;
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        for words in shell_lines(&text).iter().filter_map(|line| words(line)) {
            let parsed = command(&steps).try_get_matches_from(&words);
            assert!(parsed.is_ok(), "{}: {words:?}\n{}", path.display(), parsed.unwrap_err());
            count += 1;
        }
    }
    assert!(count > 80, "{count}");
}

#[test]
fn lines_are_joined_and_comments_are_left_out() {
    let text =
        "```sh\nspacewright run a.toml \\\n  --json # what\n```\n```toml\nspacewright no\n```\n";
    let lines = shell_lines(text);
    assert_eq!(lines, ["spacewright run a.toml --json # what"]);
    assert_eq!(words(&lines[0]).unwrap(), ["spacewright", "run", "a.toml", "--json"]);
    assert_eq!(words("source <(spacewright completions bash)").unwrap().len(), 3);
    assert_eq!(words("cargo build --package spacewright "), None);
    assert_eq!(words("spacewright a 'b c' \"d\"").unwrap()[1..], ["a", "b c", "d"]);
}
