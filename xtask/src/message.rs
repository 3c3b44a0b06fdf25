//! How an error reads: one line that says what failed and why, then the hints.

use anyhow::Error;

/// Joins the causes of `error` on one line and moves their `hint:` lines below it.
pub fn describe(error: &Error) -> String {
    let mut causes = Vec::new();
    let mut hints = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        let (hint, what): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| line.starts_with("hint: "));
        causes.push(what.join("\n"));
        hints.extend(hint.into_iter().map(str::to_owned));
    }
    let mut text = format!("error: {}", causes.join(": "));
    for hint in hints {
        text.push('\n');
        text.push_str(&hint);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn hints_come_after_all_causes() {
        let error = anyhow!("no such file\nhint: look elsewhere").context("cannot read it");
        assert_eq!(describe(&error), "error: cannot read it: no such file\nhint: look elsewhere");
    }
}
