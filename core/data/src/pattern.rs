//! Names of many files in one: `train-{000..146}.tar`, `{train,test}.tar`.

use std::path::{Path, PathBuf};

use crate::error::DataError;

/// Most names that a pattern may stand for.
const MOST: usize = 1_000_000;

/// Whether a path is a pattern.
pub fn is_pattern(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.contains('{'))
}

/// The names that a pattern stands for, in order: `{a,b}` for each of its words, `{08..11}` for the numbers
/// from the first to the last, with as many digits as the first has. A name without braces stands for
/// itself.
pub fn expand(pattern: &Path) -> Result<Vec<PathBuf>, DataError> {
    let wrong = |reason: String| {
        DataError::layout(
            pattern,
            reason,
            "patterns are like `train-{000..146}.tar` or `{a,b}.tar`",
        )
    };
    let Some(text) = pattern.to_str() else { return Ok(vec![pattern.to_owned()]) };
    let mut names = vec![String::new()];
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (inner, after) =
            after.split_once('}').ok_or_else(|| wrong("`{` without `}`".into()))?;
        let words = words(inner).map_err(&wrong)?;
        if names.len().saturating_mul(words.len()) > MOST {
            return Err(wrong(format!("stands for more than {MOST} files")));
        }
        names = names
            .iter()
            .flat_map(|name| words.iter().map(move |word| format!("{name}{before}{word}")))
            .collect();
        rest = after;
    }
    Ok(names.into_iter().map(|name| PathBuf::from(name + rest)).collect())
}

fn words(inner: &str) -> Result<Vec<String>, String> {
    let Some((first, last)) = inner.split_once("..") else {
        return Ok(inner.split(',').map(str::to_owned).collect());
    };
    let number = |digits: &str| {
        digits.parse::<usize>().map_err(|_| format!("`{digits}` in `{{{inner}}}` is no number"))
    };
    let (from, to) = (number(first)?, number(last)?);
    if from > to || to - from >= MOST {
        return Err(format!("`{{{inner}}}` is no range of up to {MOST} numbers"));
    }
    let digits = first.len();
    Ok((from..=to).map(|number| format!("{number:0digits$}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, expected: &[&str]) {
        let names = expand(Path::new(pattern)).unwrap();
        assert_eq!(names, expected.iter().map(PathBuf::from).collect::<Vec<_>>());
    }

    #[test]
    fn braces_stand_for_words_and_numbers() {
        check("a.tar", &["a.tar"]);
        check("a-{08..10}.tar", &["a-08.tar", "a-09.tar", "a-10.tar"]);
        check("{train,val}-{0..1}.tar", &["train-0.tar", "train-1.tar", "val-0.tar", "val-1.tar"]);
    }

    #[test]
    fn a_wrong_pattern_is_told() {
        let error = |pattern: &str| expand(Path::new(pattern)).unwrap_err().to_string();
        assert_eq!(error("a-{1.tar"), "a-{1.tar: `{` without `}`");
        assert_eq!(error("{a..b}"), "{a..b}: `a` in `{a..b}` is no number");
        assert_eq!(error("{3..1}"), "{3..1}: `{3..1}` is no range of up to 1000000 numbers");
        assert_eq!(
            error("{0..9}{0..999999}"),
            "{0..9}{0..999999}: stands for more than 1000000 files"
        );
    }
}
