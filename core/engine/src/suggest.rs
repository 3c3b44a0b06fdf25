//! Unknown names, and what was probably meant.

use crate::error::EngineError;

/// The known name that `name` is probably a misspelling of.
pub fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// The error for a name that nothing has: lists what there is.
pub fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> EngineError {
    let known: Vec<&str> = known.collect();
    if known.is_empty() {
        return EngineError::study(format!("no {what} `{name}`; there is no {what} at all"));
    }
    let error = EngineError::study(format!("no {what} `{name}`; known are {}", known.join(", ")));
    match closest(name, known) {
        Some(likely) => error.with_hint(format!("did you mean `{likely}`?")),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_recognized() {
        let error = unknown("target", "host-otr", ["host-ort", "pixel-npu"].into_iter());
        assert_eq!(error.to_string(), "no target `host-otr`; known are host-ort, pixel-npu");
        assert_eq!(error.hint.as_deref(), Some("did you mean `host-ort`?"));
    }

    #[test]
    fn a_foreign_name_gets_no_suggestion() {
        assert_eq!(closest("zzz", ["host-ort", "pixel-npu"]), None);
    }
}
