//! The conformance kit finds nothing wrong, and nothing worth a note.

use spacewright_operators_cnn::operator_sets;
use spacewright_sdk::{About, Plugin, about, conformance};

#[test]
fn what_is_offered_conforms() {
    for operator_set in operator_sets() {
        let about = About { summary: "Built in".into(), ..about!() };
        let plugin = Plugin { operator_set: Some(operator_set), ..Plugin::new(about) };
        conformance::check(&plugin).assert_flawless();
    }
}
