//! The conformance kit finds nothing wrong, and nothing worth a note.

use spacewright_quantizers::quantizers;
use spacewright_sdk::{About, Plugin, about, conformance};

#[test]
fn what_is_offered_conforms() {
    for quantizer in quantizers() {
        let about = About { summary: "Built in".into(), ..about!() };
        let plugin = Plugin { quantizer: Some(quantizer), ..Plugin::new(about) };
        conformance::check(&plugin).assert_flawless();
    }
}
