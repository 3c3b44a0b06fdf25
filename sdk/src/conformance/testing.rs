//! Helpers of the kit's own tests.

use super::{Outcome, check};
use crate::{About, Plugin};

/// A plugin that says who it is.
pub fn about() -> About {
    About { name: "mine".into(), version: "1.0.0".into(), summary: "For tests".into() }
}

/// That exactly these checks find something wrong or worth a note: the end of the check's name,
/// and a part of the reason.
#[track_caller]
pub fn expect(plugin: Plugin, wrong: &[(&str, &str)], noted: &[(&str, &str)]) {
    let report = check(&plugin);
    let [mut wrongs, mut notes] = [wrong.iter(), noted.iter()];
    for verdict in &report.verdicts {
        let (expected, reason) = match &verdict.outcome {
            Outcome::Good => continue,
            Outcome::Wrong { reason } => (wrongs.next(), reason),
            Outcome::Noted { reason } => (notes.next(), reason),
        };
        let fits = expected
            .is_some_and(|(check, part)| verdict.check.ends_with(check) && reason.contains(part));
        assert!(fits, "expected {expected:?}, got {verdict}");
    }
    assert_eq!((wrongs.next(), notes.next()), (None, None), "not found in\n{report}");
}
