//! The parts of the page, a file each, in their order.

pub mod curves;
mod front;
mod int8;
mod latency;
mod networks;
mod origin;
mod proxy;
mod search;
mod space;
mod spaces;
pub mod time;
mod verdict;
mod verification;

use maud::{Markup, html};
use spacewright_core::foreign::is_hidden;

pub use self::front::accuracy_range;

use crate::data::{Origin, PageData};

/// A part of the page.
pub struct Part {
    /// Names it within the page.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// What is seen, in one sentence.
    pub lead: Markup,
    /// The rest.
    pub body: Markup,
}

/// All parts.
pub fn all(data: &PageData) -> Vec<Part> {
    vec![
        verdict::part(data),
        front::part(data),
        int8::part(data),
        space::part(data),
        networks::part(data),
        verification::part(data),
        search::part(data),
        proxy::part(data),
        latency::part(data),
        curves::part(data),
        time::part(&data.history),
        origin::part(data),
    ]
}

/// What is not known yet, and the command that finds it out.
fn lacking(what: &str, command: &str) -> Markup {
    html! {
        div.lacking {
            p { (what) }
            (shell(command))
        }
    }
}

/// A command that can be copied.
pub fn shell(command: &str) -> Markup {
    html! {
        div.command {
            code { (command) }
            button.copy type="button" data-copy=(command) hidden { "Copy" }
        }
    }
}

/// A command of the program for the study of the page.
fn command(data: &PageData, words: &str) -> String {
    program_call(&data.origin, words, &[&data.study.file])
}

/// A command of the program for these study files, with the flags that results depend on.
pub fn program_call(origin: &Origin, words: &str, files: &[&str]) -> String {
    let files: String = files.iter().map(|file| format!(" {}", word(file))).collect();
    let runs = origin.runs.as_deref();
    let runs = runs.map(|runs| format!(" --runs {}", word(runs))).unwrap_or_default();
    let flags = origin.flags.iter().map(|(flag, value)| format!(" --{flag} {}", word(value)));
    let (flags, threads) = (flags.collect::<String>(), origin.threads);
    format!("spacewright {words}{files}{runs}{flags} --threads {threads}")
}

/// A name as one word of a shell, which nothing in it can leave.
fn word(name: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "/._-+%:,".contains(letter);
    let shown: String =
        name.chars().map(|letter| if is_hidden(letter) { '?' } else { letter }).collect();
    // What begins with a dash would be a flag.
    let shown = if shown.starts_with('-') { format!("./{shown}") } else { shown };
    match !shown.is_empty() && shown.chars().all(plain) {
        true => shown,
        false => format!("'{}'", shown.replace('\'', "'\\''")),
    }
}

/// What the markup of a number begins with.
const NUMBER: &str = "<span class=\"n\"";

/// A table in a box of its own, which scrolls where the page is narrow. Cells of columns of numbers end
/// at the right.
pub fn table(heading: &[&str], rows: Vec<Vec<Markup>>) -> Markup {
    let is_number = |cell: &Markup| cell.0.starts_with(NUMBER) && cell.0.matches("<").count() == 2;
    let is_numeric = |column: usize| {
        !rows.is_empty() && rows.iter().all(|row| is_number(&row[column]) || row[column].0 == "–")
    };
    let numeric: Vec<bool> = (0..heading.len()).map(is_numeric).collect();
    html! {
        div.scroll tabindex="0" role="region" aria-label="Table" {
            table {
                thead {
                    tr {
                        @for (name, numeric) in heading.iter().zip(&numeric) {
                            th.num[*numeric] scope="col" { (name) }
                        }
                    }
                }
                tbody {
                    @for row in &rows {
                        tr {
                            @for (cell, numeric) in row.iter().zip(&numeric) {
                                td.num[*numeric] { (cell) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Words that are joined as people list them.
pub fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

/// The number of the network at a position: that of its budget, as in the names of its files.
fn network_number(data: &PageData, index: usize) -> String {
    data.report.budgets.get(index).map_or_else(|| index.to_string(), |of| of.number().to_owned())
}

/// What the network at a position is called.
fn network_name(data: &PageData, index: usize) -> String {
    format!("network {}", network_number(data, index))
}

/// Block types in the order in which they first occur: the positions are their colours.
fn block_types(data: &PageData) -> Vec<String> {
    let stages = data.stages.iter().map(|stage| &stage.block);
    let layers = data.networks.iter().filter_map(|network| network.shape.as_ref());
    let layers = layers.flat_map(|shape| &shape.layers).map(|layer| &layer.block);
    let mut types: Vec<String> = Vec::new();
    for block in stages.chain(layers) {
        if !types.contains(block) {
            types.push(block.clone());
        }
    }
    types
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word_of_a_shell() {
        assert_eq!(word("examples/my-study.toml"), "examples/my-study.toml");
        assert_eq!(word("a b'; rm -rf /"), "'a b'\\''; rm -rf /'");
        assert_eq!(word("-x"), "./-x");
        assert_eq!(word("a\nb\u{202e}"), "'a?b?'");
        assert_eq!(word("$(x)"), "'$(x)'");
    }

    #[test]
    fn a_command_names_files_folder_and_flags() {
        let origin = Origin {
            program: String::new(),
            runs: Some("other runs".into()),
            threads: 1,
            flags: vec![("target".into(), "host-litert".into()), ("seed".into(), "7".into())],
        };
        assert_eq!(
            program_call(&origin, "study compare", &["a.toml", "b.toml"]),
            "spacewright study compare a.toml b.toml --runs 'other runs' --target host-litert --seed 7 \
             --threads 1"
        );
    }

    #[test]
    fn words_are_listed() {
        let words = |count: usize| listed(&["a", "b", "c"].map(String::from)[..count]);
        assert_eq!([words(0), words(1), words(3)], ["", "a", "a, b and c"]);
    }
}
