//! Files that are no plugins, or are broken.

use super::{ask, check, file, guest::Guest, load, queries, starting};

#[test]
fn bad_names_are_refused() {
    let named = |name: &str| starting(Guest { name: name.into(), ..Guest::default() });
    check(vec![
        ("escape", named(r"\1b[2Jnice"), "cannot be the name of a plugin"),
        ("separator", named("../../evil"), "`../../evil` cannot be the name"),
        ("empty", named(""), "cannot be the name"),
        ("long", named(&"x".repeat(120)), "up to 64 letters"),
        ("no UTF-8", named(r"\ff\fe"), "utf-8"),
        ("right to left", named(r"\e2\80\aeabc"), "cannot be the name"),
    ]);
}

#[test]
fn files_that_are_no_plugins_say_why() {
    let good = Guest::default().component();
    let text = |text: &str| wat::parse_str(text).unwrap();
    let wasi = r#"(component (import "wasi:cli/environment@0.2.0"
        (instance (export "get-arguments" (func (result (list string)))))))"#;
    let empty =
        |name: &str| text(&format!(r#"(component (instance $i) (export "{name}" (instance $i)))"#));
    check(vec![
        ("nothing", file(b""), "neither a WebAssembly component nor a native library"),
        ("text", file(b"hello"), "neither a WebAssembly component"),
        ("module", file(&text("(module)")), "a WebAssembly module, no component"),
        (
            "wrong world",
            file(&empty("wasi:http/handler@0.2.0")),
            "it exports nothing of `spacewright:plugin/",
        ),
        ("empty component", file(&text("(component)")), "but nothing"),
        (
            "newer",
            file(&empty("spacewright:plugin/about@0.2.0")),
            "built for version 0.2.0 of `spacewright:plugin/about`, this program has 0.1.0",
        ),
        ("no version", file(&empty("spacewright:plugin/about")), "has no version"),
        ("about alone", file(&empty("spacewright:plugin/about@0.1.0")), "exports `about` alone"),
        (
            "no about",
            file(&empty("spacewright:plugin/scorer@0.1.0")),
            "does not export `spacewright:plugin/about@0.1.0`",
        ),
        (
            "network",
            file(&text(wasi)),
            "it imports `wasi:cli/environment@0.2.0`: a plugin may import",
        ),
        ("half", file(&good[..good.len() / 2]), "FILE: "),
        ("header alone", file(&good[..8]), "it exports nothing"),
    ]);
}

#[test]
fn no_flipped_bit_brings_the_program_down() {
    let good = Guest::default().component();
    let mut refused = 0;
    for at in (0..good.len()).step_by(good.len() / 60) {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        let Ok(loaded) = load(&bad) else {
            refused += 1;
            continue;
        };
        if let Some(source) = loaded.plugin.latency_source {
            let _ = source.latencies(&queries(1));
        }
    }
    assert!(refused > 20, "only {refused} were refused");
    assert_eq!(ask(Guest::default()), Ok(vec![1.0; 2]));
}
