//! Candidate spaces as data: a study names them as `hyperspace`.

use spacewright_sdk::prelude::*;

/// What this crate offers. Fill in: `hyperspace.toml`.
pub fn plugin() -> Plugin {
    Plugin::new(about!()).hyperspace(include_str!("../hyperspace.toml"))
}

export!(hyperspace, plugin);

#[cfg(test)]
mod tests {
    #[test]
    fn the_plugin_conforms() {
        spacewright_sdk::conformance::check(&super::plugin()).assert_good();
    }
}
