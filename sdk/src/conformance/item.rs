//! One thing that a plugin offers, while it is judged.

use std::{
    any::Any,
    fmt::Display,
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::{ConformanceReport, Outcome};
use crate::text::{LONGEST_NAME, is_legal_name};

/// Puts the verdicts about one thing into the report.
pub(super) struct ItemVerdicts<'a> {
    title: String,
    report: &'a mut ConformanceReport,
}

impl<'a> ItemVerdicts<'a> {
    /// Verdicts about the thing of this kind and name.
    pub fn new(report: &'a mut ConformanceReport, kind: impl Display, name: &str) -> Self {
        Self { title: format!("{kind} {name}"), report }
    }

    /// Begins with a check of the name, which study files must be able to write.
    pub fn named(
        report: &'a mut ConformanceReport,
        kind: impl Display,
        name: impl FnOnce() -> String,
    ) -> Self {
        let name = guarded(name);
        let mut item = Self::new(report, kind, name.as_deref().unwrap_or("?"));
        item.check("its name is legal", || name.and_then(|name| legal(&name)));
        item
    }

    /// Judges; a panic is wrong. Answers whether nothing is wrong.
    pub fn check<O: Into<Outcome>>(&mut self, check: &str, judge: impl FnOnce() -> O) -> bool {
        let outcome = guarded(judge).map_or_else(|panic| Err(panic).into(), O::into);
        let good = !matches!(outcome, Outcome::Wrong { .. });
        self.report.push(&self.title, check, outcome);
        good
    }

    /// As [`check`](Self::check), but what is found is only noted.
    pub fn advise<E: Display>(&mut self, check: &str, judge: impl FnOnce() -> Result<(), E>) {
        self.check(check, || Outcome::advice(judge()));
    }

    /// Asks for what later checks need.
    pub fn ask<T, E: Display>(
        &mut self,
        check: &str,
        question: impl FnOnce() -> Result<T, E>,
    ) -> Option<T> {
        let mut answer = None;
        self.check(check, || question().map(|given| answer = Some(given)));
        answer
    }
}

/// What does not hold, as the sentence that stands in the report.
pub(super) type Objection = String;

/// What `work` gives; its panic is an error.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| format!("panicked: {}", text(&*panic)))
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// An error where the condition does not hold.
pub(super) fn require(holds: bool, reason: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(reason()) }
}

/// Whether a name can be written in study files and be a part of file names.
pub(super) fn legal(name: &str) -> Result<(), String> {
    require(is_legal_name(name), || {
        format!("`{name}` is not made of 1 to {LONGEST_NAME} letters, digits, `-` and `_`")
    })
}

/// That no name occurs twice and each is legal.
pub(super) fn legal_once<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<(), String> {
    let mut seen = std::collections::HashSet::new();
    names.into_iter().try_for_each(|name| {
        legal(name)?;
        require(seen.insert(name), || format!("`{name}` is there twice"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::About;

    #[test]
    fn a_panic_is_one_wrong_verdict() {
        let mut report = ConformanceReport::new(&About::default());
        let mut item = ItemVerdicts::named(&mut report, "target", || panic!("no {}", "name"));
        assert!(item.ask("it answers", || Ok::<_, String>(1)).is_some());
        let panicking = || -> Result<(), String> { panic!("no advice") };
        item.advise("it is fast", panicking);
        let lines: Vec<String> = report.verdicts.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "wrong  target ?: its name is legal: panicked: no name",
                "good   target ?: it answers",
                "wrong  target ?: it is fast: panicked: no advice",
            ]
        );
    }

    #[test]
    fn names_are_legal_and_there_once() {
        let [longest, longer] = [64, 65].map(|length| "x".repeat(length));
        assert_eq!(legal_once(["a-b_3", "A", &longest]), Ok(()));
        for name in ["", "a b", "ä", "a.b", &longer] {
            assert!(legal(name).is_err(), "{name}");
        }
        assert_eq!(legal_once(["a", "b", "a"]).unwrap_err(), "`a` is there twice");
    }
}
