//! Who the plugin is.

use super::{
    ConformanceReport,
    item::{ItemVerdicts, require},
};
use crate::Plugin;

/// Checks name, version, summary, and that something is offered.
pub(super) fn check(report: &mut ConformanceReport, plugin: &Plugin) {
    let about = &plugin.about;
    let mut item = ItemVerdicts::named(report, "plugin", || about.name.clone());
    item.check("it has a version", || {
        require(!about.version.trim().is_empty(), || "the version is empty".into())
    });
    item.advise("it has a summary", || summarized(&about.summary));
    item.check("it offers something", || {
        require(!plugin.kinds().is_empty(), || "it offers nothing of any kind".into())
    });
}

/// That a summary is there; users see it in lists.
pub(super) fn summarized(summary: &str) -> Result<(), String> {
    require(!summary.trim().is_empty(), || "the summary is empty".into())
}

#[cfg(test)]
mod tests {
    use crate::{
        About, Plugin,
        conformance::testing::{about, expect},
    };

    fn check(about: About, wrong: &[(&str, &str)], noted: &[(&str, &str)]) {
        expect(Plugin::new(about).hyperspace("name = \"mini\""), wrong, noted);
    }

    #[test]
    fn a_plugin_says_who_it_is() {
        check(about(), &[], &[]);
        let name = "`my plugin` is not made of 1 to 64 letters";
        check(About { name: "my plugin".into(), ..about() }, &[("its name is legal", name)], &[]);
        let version = [("it has a version", "is empty")];
        check(About { version: " ".into(), ..about() }, &version, &[]);
        let summary = [("it has a summary", "is empty")];
        check(About { summary: String::new(), ..about() }, &[], &summary);
    }

    #[test]
    fn a_plugin_offers_something() {
        expect(Plugin::new(about()), &[("it offers something", "nothing")], &[]);
    }
}
