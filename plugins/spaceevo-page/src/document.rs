//! The frame of the page: heading, contents, policy, style and script.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};
use spacewright_core::foreign::is_hidden;

use crate::{
    data::PageData,
    parts::{self, Part},
};

const STYLE: &str = include_str!("style.css");
/// Colours and strokes of drawings, which go with them when they are saved.
const CHART_STYLE: &str = include_str!("chart.css");
const SCRIPT: &str = include_str!("script.js");
/// What a page that is shown while a study runs has in addition.
const LIVE_SCRIPT: &str = include_str!("live/live.js");

/// The page of a study.
pub fn page(data: &PageData) -> String {
    let parts = parts::all(data);
    let name = &data.study.name;
    let program = &data.origin.program;
    document(&Document {
        title: html! { (name) },
        kind: "Spacewright study",
        heading: html! { bdi { (name) } },
        about: html! { (data.report.target) " · " (data.report.latency_source) },
        parts: &parts,
        live: false,
        footer: html! { "Written by Spacewright " (program) ". This file loads nothing." },
    })
}

/// What the pages differ in.
pub struct Document<'d> {
    /// What a window is called, before the program's name.
    pub title: Markup,
    /// What kind of page it is.
    pub kind: &'d str,
    /// The heading.
    pub heading: Markup,
    /// The line below the heading.
    pub about: Markup,
    /// What the page shows.
    pub parts: &'d [Part],
    /// Whether its server tells of what has changed.
    pub live: bool,
    /// The last line.
    pub footer: Markup,
}

/// A page of these parts.
pub fn document(document: &Document<'_>) -> String {
    let Document { title, kind, heading, about, parts, live, footer } = document;
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy(*live));
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) " · Spacewright" }
                style { (PreEscaped(STYLE)) }
                style #chart-style { (PreEscaped(CHART_STYLE)) }
            }
            body {
                a.skip href="#main" { "To the results" }
                header {
                    p.kind { (kind) }
                    h1 { (heading) }
                    p.where { (about) }
                }
                @if parts.len() > 1 { nav aria-label="Contents" { (contents(parts)) } }
                main #main {
                    @for (index, part) in parts.iter().enumerate() {
                        (section((parts.len() > 1).then_some(index + 1), part))
                    }
                }
                footer { p { (footer) } }
                @if *live {
                    p #connection role="status" hidden {
                        "The server does not answer: what is shown may be old. It is asked again."
                    }
                }
                div #tip role="status" hidden {}
                script { (PreEscaped(SCRIPT)) }
                @if *live { script { (PreEscaped(LIVE_SCRIPT)) } }
            }
        }
    };
    visible(markup.into_string())
}

/// Nothing is loaded, and no script runs but those whose hashes stand here; a `live` page hears its server.
fn policy(live: bool) -> String {
    let hash = |script: &str| BASE64_STANDARD.encode(Sha256::digest(script.as_bytes()));
    let (script, more) = match live {
        false => (format!("'sha256-{}'", hash(SCRIPT)), ""),
        true => {
            let both = [SCRIPT, LIVE_SCRIPT].map(|script| format!("'sha256-{}'", hash(script)));
            (both.join(" "), " connect-src 'self';")
        }
    };
    format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src {script};{more} base-uri 'none'; \
         form-action 'none'"
    )
}

fn contents(parts: &[Part]) -> Markup {
    html! {
        ol {
            @for part in parts {
                li { a href={ "#" (part.id) } { (part.title) } }
            }
        }
    }
}

/// A part with its number, where there are several.
fn section(number: Option<usize>, part: &Part) -> Markup {
    html! {
        section #(part.id) aria-labelledby={ (part.id) "-title" } {
            h2 id={ (part.id) "-title" } {
                @if let Some(number) = number { span.number { (number) } }
                (part.title)
            }
            p.lead { (part.lead) }
            (part.body)
        }
    }
}

/// The page without characters that cannot be seen, or that turn the direction of others: each is
/// written out. A name cannot pretend to be another one.
pub fn visible(page: String) -> String {
    let hidden = |letter: char| is_hidden(letter) && !matches!(letter, '\n' | '\t');
    if !page.contains(hidden) {
        return page;
    }
    let mut shown = String::with_capacity(page.len());
    for letter in page.chars() {
        if hidden(letter) { shown.extend(letter.escape_unicode()) } else { shown.push(letter) }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_small_and_may_run() {
        assert!(SCRIPT.len() <= 30_000);
        assert!(!SCRIPT.contains("</script") && !STYLE.contains("</style"));
        assert!(SCRIPT.len() + LIVE_SCRIPT.len() <= 30_000);
        assert!(
            policy(false).contains("script-src 'sha256-") && !policy(false).contains("connect")
        );
        assert_eq!(policy(true).matches("'sha256-").count(), 2);
    }

    #[test]
    fn hidden_characters_are_written_out() {
        assert_eq!(visible("a\u{202e}b\n\tc\u{0}".into()), "a\\u{202e}b\n\tc\\u{0}");
    }
}
