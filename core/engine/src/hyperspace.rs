//! Reading hyperspaces, and refusing those that nobody could use.

use spacewright_core::{
    operators::Operators,
    space::{Candidate, Hyperspace},
};

use crate::error::{EngineError, Result};

/// Reads a hyperspace from TOML; `origin` is a path or a plugin.
pub fn parse(text: &str, origin: &str) -> Result<Hyperspace> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
        let place = line.map_or(origin.to_owned(), |line| format!("{origin}:{line}"));
        EngineError::study(format!("{place}: hyperspace: {}", error.message()))
    })
}

/// Checks that all choices exist: block types with their axes, widths, windows, depths.
pub fn check(hyperspace: &Hyperspace, operators: &Operators) -> Result<()> {
    let wrong =
        |reason: String| EngineError::study(format!("hyperspace `{}`: {reason}", hyperspace.name));
    let all = [
        ("resolutions", hyperspace.resolutions.is_empty()),
        ("table_resolutions", hyperspace.table_resolutions.is_empty()),
        ("stem", hyperspace.stem.is_empty()),
        ("candidate", hyperspace.candidates.is_empty()),
        ("stage", hyperspace.stages.is_empty()),
        ("head", hyperspace.head.is_empty()),
    ];
    if let Some((name, _)) = all.iter().find(|(_, empty)| *empty) {
        return Err(wrong(format!("`{name}` is empty")));
    }
    let stem = hyperspace.stem.iter().map(|s| (&s.name, &s.widths, s.depths, s.stride, 1));
    let stages =
        hyperspace.stages.iter().map(|s| (&s.name, &s.widths, s.depths, s.stride, s.window));
    for (name, widths, depths, stride, window) in stem.chain(stages) {
        let ascending = widths.windows(2).all(|pair| pair[0] < pair[1]);
        if widths.is_empty() || widths[0] == 0 || !ascending {
            return Err(wrong(format!("stage `{name}`: widths must be positive and ascend")));
        }
        if window == 0 || window > widths.len() {
            let count = widths.len();
            return Err(wrong(format!("stage `{name}`: a window of {window} of {count} widths")));
        }
        if depths[0] == 0 || depths[0] > depths[1] {
            let [least, most] = depths;
            return Err(wrong(format!("stage `{name}`: depths from {least} to {most}")));
        }
        if stride == 0 {
            return Err(wrong(format!("stage `{name}`: a stride of 0")));
        }
    }
    let candidates =
        hyperspace.candidates.iter().chain(hyperspace.stem.iter().map(|s| &s.candidate));
    for candidate in candidates {
        check_axes(candidate, operators).map_err(wrong)?;
    }
    for head in &hyperspace.head {
        let axes = head.config.keys().map(String::as_str);
        same_axes(&head.block, axes, operators).map_err(wrong)?;
    }
    Ok(())
}

fn check_axes(candidate: &Candidate, operators: &Operators) -> Result<(), String> {
    if let Some((axis, _)) = candidate.choices.iter().find(|(_, values)| values.is_empty()) {
        return Err(format!("block `{}`: axis `{axis}` has no values", candidate.block));
    }
    same_axes(&candidate.block, candidate.choices.keys().map(String::as_str), operators)
}

fn same_axes<'a>(
    block: &str,
    given: impl Iterator<Item = &'a str>,
    operators: &Operators,
) -> Result<(), String> {
    let declared = &operators.block_type(block).map_err(|error| error.to_string())?.axes;
    let mut given: Vec<&str> = given.collect();
    let mut expected: Vec<&str> = declared.iter().map(String::as_str).collect();
    given.sort_unstable();
    expected.sort_unstable();
    if given == expected {
        return Ok(());
    }
    let list = |names: &[&str]| if names.is_empty() { "none".into() } else { names.join(", ") };
    Err(format!("block `{block}` has the axes {}, given are {}", list(&expected), list(&given)))
}
