//! The conformance kit finds nothing wrong, and nothing worth a note.

use spacewright_q_t_score::scorers;
use spacewright_sdk::{About, Plugin, about, conformance};

#[test]
fn what_is_offered_conforms() {
    for scorer in scorers() {
        let about = About { summary: "Built in".into(), ..about!() };
        let plugin = Plugin { scorer: Some(scorer), ..Plugin::new(about) };
        conformance::check(&plugin).assert_flawless();
    }
}
