//! How an error reads: one line that says what failed and why, then the hints.

use anyhow::Error;

/// The causes of `error` on one line, with their `hint:` lines below it.
pub fn describe(error: &Error) -> String {
    let (what, hints) = split(error);
    std::iter::once(format!("error: {what}")).chain(hints).collect::<Vec<_>>().join("\n")
}

/// The causes of `error` without hints, for an error that is not the end.
pub fn reason(error: &Error) -> String {
    split(error).0
}

fn split(error: &Error) -> (String, Vec<String>) {
    let mut causes = Vec::new();
    let mut hints = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        let (hint, what): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| line.starts_with("hint: "));
        causes.push(what.join("\n"));
        hints.extend(hint.into_iter().map(str::to_owned));
    }
    (causes.join(": "), hints)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn hints_come_after_all_causes() {
        let error = anyhow!("no such file\nhint: look elsewhere").context("cannot read it");
        assert_eq!(describe(&error), "error: cannot read it: no such file\nhint: look elsewhere");
        assert_eq!(reason(&error), "cannot read it: no such file");
    }
}
