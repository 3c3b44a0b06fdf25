//! Text that a plugin has written, before anybody sees it.

/// Longer texts are cut off.
const LONGEST: usize = 1000;

/// The text without control characters, cut off where it is long: safe for a terminal, a log or
/// a page.
pub(crate) fn shown(text: &str) -> String {
    let harmless = |c: char| !c.is_control() && !is_invisible(c);
    let mut shown: String =
        text.chars().map(|c| if harmless(c) { c } else { ' ' }).take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// Characters that change the direction of text, or show as nothing.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_length_are_bounded() {
        assert_eq!(shown("a\u{1b}[31mred\nb\u{202e}"), "a [31mred b ");
        let long = shown(&"x".repeat(5000));
        assert_eq!(long.chars().count(), LONGEST + 1);
    }
}
