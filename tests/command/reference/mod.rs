//! The references in `docs/reference` say what the program says; with `SPACEWRIGHT_WRITE_REFERENCES=1` they are
//! written anew.

mod reports;

use std::{env, fs, path::Path};

use crate::{json, text};

/// Compares a document with what it should be.
fn check(name: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference").join(name);
    if env::var_os("SPACEWRIGHT_WRITE_REFERENCES").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let same = || found.lines().zip(expected.lines()).take_while(|(a, b)| a == b).count();
    assert!(
        found == expected,
        "{} is stale from line {}: run this test with SPACEWRIGHT_WRITE_REFERENCES=1",
        path.display(),
        same() + 1
    );
}

/// The lines of a help. Where some option is so long that there is no room beside it, what each is for stands in the
/// line below it: both lines are one entry.
fn entries(help: &str) -> Vec<String> {
    const BELOW: &str = "          ";
    let mut entries: Vec<String> = Vec::new();
    for line in help.lines().map(str::trim_end) {
        match entries.last_mut() {
            Some(entry) if line.starts_with(BELOW) => *entry += &format!("\n{line}"),
            _ => entries.push(line.to_owned()),
        }
    }
    entries
}

/// The short help of a command, without the options that all commands have, and its subcommands.
fn help(command: &str, common: &[String]) -> (String, Vec<String>) {
    let help = text(&format!("{command} -h"));
    let mut subcommands = Vec::new();
    let mut listed = false;
    for line in help.lines() {
        listed = line == "Commands:" || listed && line.starts_with("  ");
        let word = line.split_whitespace().next().filter(|_| listed && line != "Commands:");
        subcommands.extend(word.filter(|word| *word != "help").map(str::to_owned));
    }
    let same = |a: &str, b: &str| a.split_whitespace().eq(b.split_whitespace());
    let mut kept = entries(&help);
    kept.retain(|entry| !common.iter().any(|other| same(other, entry)));
    let mut kept = kept.join("\n");
    // Where nothing but common options is left.
    if kept.trim_end().ends_with("Options:") {
        kept = kept.trim_end().trim_end_matches("Options:").trim_end().to_owned();
    }
    (kept.trim_end().to_owned(), subcommands)
}

fn describe(command: &str, common: &[String], pages: &mut String) {
    let (help, subcommands) = help(command, common);
    let title = format!("spacewright {command}");
    *pages += &format!("\n## `{}`\n\n```text\n{help}\n```\n", title.trim_end());
    for subcommand in subcommands {
        describe(format!("{command} {subcommand}").trim_start(), common, pages);
    }
}

#[test]
fn common_options_are_left_out_however_they_are_laid_out() {
    let common = ["      --json       Print one JSON document instead of text".to_owned()];
    let (help, _) = help("space search", &common);
    assert!(
        help.contains("--strategy-options <STRATEGY_OPTIONS>\n          The strategy's"),
        "{help}"
    );
    assert!(!help.contains("--json") && help.contains("--threads"), "{help}");
}

#[test]
fn the_reference_of_commands_is_true() {
    let root = text("-h");
    let is_common = |line: &&str| line.starts_with("  ") && line.contains("--");
    let common: Vec<String> = root.lines().filter(is_common).map(str::to_owned).collect();
    let mut pages =
        "# Commands\n\nMade of what the program says. Options that all commands have stand under \
                     `spacewright` alone.\n"
            .to_owned();
    describe("", &[], &mut pages);
    let own = pages.find("\n## `spacewright run").unwrap();
    pages.truncate(own);
    for subcommand in help("", &[]).1 {
        describe(&subcommand, &common, &mut pages);
    }
    assert!(
        pages.contains("## `spacewright bench plain`") && pages.contains("--calibration-images")
    );
    check("commands.md", &pages);
}

#[test]
fn the_reference_of_studies_is_true() {
    let schema = text("study schema");
    let page = format!(
        "# Fields of a study\n\nMade of what `spacewright study schema` says: all fields with their defaults, as a \
         study file.\n`spacewright study explain SECTION` says the same of a section.\n\n```toml\n{}\n```\n",
        schema.trim_end()
    );
    check("study.md", &page);
}

#[test]
fn the_reference_of_reports_is_true() {
    let help = text("study schema -h");
    let names = help.split_once("--report").unwrap().1.split_once("[possible values: ").unwrap().1;
    let mut page = "\
# JSON reports

What programs read, made of what `spacewright study schema --report NAME` says, which prints the JSON Schema of
one. In paths, `[]` stands for each item of a list and `.*` for each entry of a map. What is said to be none is
`null`. With `--json`, commands print the reports that they write; those of `bench` have `files` besides, the
paths of what was written. Later versions may have more fields.
"
    .to_owned();
    for name in names.split_once(']').unwrap().0.split(", ") {
        page += &reports::section(name, &json(&format!("study schema --report {name}")));
    }
    assert!(page.contains("| `budgets[].int8_ms` | number |") && page.contains("step_finished"));
    check("reports.md", &page);
}
