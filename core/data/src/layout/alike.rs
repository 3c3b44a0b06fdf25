//! Names of classes that look like one.

use std::{collections::BTreeMap, ffi::OsStr};

/// What is to be known of classes whose names differ in case only.
pub(super) fn alike(classes: &[String]) -> Vec<String> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    let mut notices = Vec::new();
    for class in classes {
        if let Some(other) = seen.insert(class.to_lowercase(), class) {
            notices.push(format!("classes {other} and {class} differ in case only"));
        }
    }
    notices
}

/// In what two names differ, where that is nothing but their spelling.
pub(super) fn difference(one: &OsStr, other: &OsStr) -> Option<&'static str> {
    let (one, other) = (one.to_str()?, other.to_str()?);
    if one.to_lowercase() == other.to_lowercase() {
        return Some("case");
    }
    let is_same = is_taken_apart(one, other) || is_taken_apart(other, one);
    is_same.then_some("how their accents are stored")
}

/// Whether `apart` may be `whole` as some systems store it: each letter with an accent as a plain one and
/// marks that follow it. Which accents these are is not looked at.
fn is_taken_apart(whole: &str, apart: &str) -> bool {
    let mut letters = whole.chars();
    let mut apart = apart.chars().peekable();
    while let Some(plain) = apart.next() {
        let mut has_marks = false;
        while apart.next_if(|mark| ('\u{300}'..='\u{36f}').contains(mark)).is_some() {
            has_marks = true;
        }
        let is_it = |letter: char| match has_marks {
            true => letter != plain && !letter.is_ascii(),
            false => letter == plain,
        };
        if !letters.next().is_some_and(is_it) {
            return false;
        }
    }
    letters.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_are_told_from_other_names() {
        let found = |one: &str, other: &str| difference(one.as_ref(), other.as_ref());
        assert_eq!(found("Cat", "cAT"), Some("case"));
        for (whole, apart) in [
            ("caf\u{e9}", "cafe\u{301}"),
            ("\u{1ec7}", "e\u{323}\u{302}"),
            ("\u{439}ogurt", "\u{438}\u{306}ogurt"),
        ] {
            assert_eq!(found(whole, apart), Some("how their accents are stored"), "{whole}");
            assert_eq!(found(apart, whole), Some("how their accents are stored"), "{whole}");
        }
        for (one, other) in [
            ("cat", "dog"),
            ("cat", "cats"),
            ("cafe", "cafe\u{301}"),
            ("caf\u{e9}", "caf\u{e8}"),
            ("caf\u{e9}s", "cafe\u{301}"),
            ("", "\u{301}"),
        ] {
            assert_eq!(found(one, other), None, "{one} {other}");
        }
    }
}
