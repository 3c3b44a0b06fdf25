//! The conformance kit finds nothing wrong, and nothing worth a note.

use spacewright_sdk::{About, Plugin, about, conformance};
use spacewright_spaceevo::hyperspaces;

#[test]
fn what_is_offered_conforms() {
    let about = About { summary: "Built in".into(), ..about!() };
    let plugin = hyperspaces::sources().into_iter().fold(Plugin::new(about), Plugin::hyperspace);
    conformance::check(&plugin).assert_flawless();
}
