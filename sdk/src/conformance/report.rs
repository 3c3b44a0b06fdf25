//! Verdicts, and how they are read.

use std::fmt::{self, Display};

use serde::Serialize;

use crate::{About, text::shown};

/// What was found of a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConformanceReport {
    /// Name of the plugin.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// In the order of the checks.
    pub verdicts: Vec<Verdict>,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// What was checked, such as `target my-npu`.
    pub item: String,
    /// What must hold, such as `latencies: each is a positive number`.
    pub check: String,
    /// Whether it does.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How a check ended. In JSON `outcome` is `good`, `wrong` or `noted`; the last two come with a
/// `reason`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// It holds.
    Good,
    /// The program would stumble over it.
    Wrong {
        /// What was found instead, and where.
        reason: String,
    },
    /// Advice: the program can live with it.
    Noted {
        /// What was found, and where.
        reason: String,
    },
}

impl Outcome {
    /// The outcome of a check that only gives advice.
    pub fn advice<E: Display>(found: Result<(), E>) -> Self {
        found.map_or_else(|reason| Self::Noted { reason: reason.to_string() }, |()| Self::Good)
    }
}

impl<E: Display> From<Result<(), E>> for Outcome {
    fn from(found: Result<(), E>) -> Self {
        found.map_or_else(|reason| Self::Wrong { reason: reason.to_string() }, |()| Self::Good)
    }
}

impl ConformanceReport {
    pub(super) fn new(about: &About) -> Self {
        let (plugin, version) = (shown(&about.name), shown(&about.version));
        Self { plugin, version, verdicts: Vec::new() }
    }

    /// Appends a verdict of the caller's own, such as whether the program can read a hyperspace:
    ///
    /// ```
    /// # use spacewright_sdk::{About, Plugin, conformance};
    /// let mut report = conformance::check(&Plugin::new(About::default()));
    /// report.push("hyperspace mini", "it can be read", Err("stage: needs at least one entry"));
    /// assert!(!report.is_good());
    /// ```
    ///
    /// Control characters in the texts are made harmless.
    pub fn push(&mut self, item: &str, check: &str, outcome: impl Into<Outcome>) {
        let outcome = match outcome.into() {
            Outcome::Good => Outcome::Good,
            Outcome::Wrong { reason } => Outcome::Wrong { reason: shown(&reason) },
            Outcome::Noted { reason } => Outcome::Noted { reason: shown(&reason) },
        };
        self.verdicts.push(Verdict { item: shown(item), check: shown(check), outcome });
    }

    /// Whether nothing is wrong; advice does not count.
    pub fn is_good(&self) -> bool {
        !self.verdicts.iter().any(|v| matches!(v.outcome, Outcome::Wrong { .. }))
    }

    /// Panics with the readable report if something is wrong.
    #[track_caller]
    pub fn assert_good(&self) {
        assert!(self.is_good(), "{self}");
    }

    /// Panics with the readable report if something is wrong or worth a note.
    #[track_caller]
    pub fn assert_flawless(&self) {
        assert!(self.verdicts.iter().all(|v| v.outcome == Outcome::Good), "{self}");
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { item, check, outcome } = self;
        match outcome {
            Outcome::Good => write!(f, "good   {item}: {check}"),
            Outcome::Wrong { reason } => write!(f, "wrong  {item}: {check}: {reason}"),
            Outcome::Noted { reason } => write!(f, "noted  {item}: {check}: {reason}"),
        }
    }
}

impl Display for ConformanceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "plugin `{}` {}", self.plugin, self.version)?;
        let [mut good, mut wrong, mut noted] = [0; 3];
        for verdict in &self.verdicts {
            writeln!(f, "  {verdict}")?;
            match verdict.outcome {
                Outcome::Good => good += 1,
                Outcome::Wrong { .. } => wrong += 1,
                Outcome::Noted { .. } => noted += 1,
            }
        }
        write!(f, "{good} good, {wrong} wrong, {noted} noted")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> ConformanceReport {
        let mut report = ConformanceReport::new(&About {
            name: "my-plugin".into(),
            version: "1.2.0".into(),
            summary: String::new(),
        });
        report.push("target npu", "it answers", Ok::<_, String>(()));
        report.push("target npu", "it is fast", Outcome::advice(Err("slow")));
        report
    }

    #[test]
    fn advice_does_not_fail() {
        let mut report = report();
        report.assert_good();
        report.push("target npu", "it is right", Err("no"));
        assert!(!report.is_good());
    }

    #[test]
    fn a_report_reads_as_lines_and_as_json() {
        let report = report();
        assert_eq!(
            report.to_string(),
            "plugin `my-plugin` 1.2.0\n  good   target npu: it answers\n  \
             noted  target npu: it is fast: slow\n1 good, 0 wrong, 1 noted"
        );
        let json = serde_json::to_value(&report.verdicts[1]).unwrap();
        let expected =
            r#"{"item":"target npu","check":"it is fast","outcome":"noted","reason":"slow"}"#;
        assert_eq!(json, serde_json::from_str::<serde_json::Value>(expected).unwrap());
    }

    #[test]
    fn texts_of_a_plugin_cannot_steer_a_terminal() {
        let mut report = report();
        report.push("a\nb", "c", Err("it's \u{1b}[31mred\u{202e}"));
        let Verdict { item, outcome, .. } = report.verdicts.pop().unwrap();
        assert_eq!(item, "a b");
        assert_eq!(outcome, Outcome::Wrong { reason: r"it's \u{1b}[31mred\u{202e}".into() });
        assert_eq!(shown(&"x".repeat(2000)).chars().count(), 1001);
    }
}
