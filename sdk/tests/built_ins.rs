//! The conformance kit on the built-in plugins.

use std::sync::Arc;

use spacewright_operators_cnn::operator_sets;
use spacewright_q_t_score::QtScore;
use spacewright_quantizers::quantizers;
use spacewright_sdk::{About, Plugin, about, conformance};
use spacewright_spaceevo::hyperspaces;

fn about() -> About {
    About { summary: "What is built in".into(), ..about!() }
}

/// That nothing is wrong; these notes are expected, by their check.
#[track_caller]
fn check(plugin: Plugin, notes: &[&str]) {
    let report = conformance::check(&plugin);
    report.assert_good();
    let noted = |v: &&conformance::Verdict| v.outcome != conformance::Outcome::Good;
    let found: Vec<&str> = report.verdicts.iter().filter(noted).map(|v| v.check.as_str()).collect();
    assert_eq!(found, notes, "{report}");
}

#[test]
fn the_operator_sets_are_good() {
    for set in operator_sets() {
        check(Plugin { operator_set: Some(set), ..Plugin::new(about()) }, &[]);
    }
}

#[test]
fn the_quantizers_are_good() {
    for quantizer in quantizers() {
        check(Plugin { quantizer: Some(quantizer), ..Plugin::new(about()) }, &[]);
    }
}

#[test]
fn the_scorer_is_good() {
    check(Plugin { scorer: Some(Arc::new(QtScore)), ..Plugin::new(about()) }, &[]);
}

#[test]
fn the_hyperspaces_are_good() {
    check(hyperspaces::sources().into_iter().fold(Plugin::new(about()), Plugin::hyperspace), &[]);
}
