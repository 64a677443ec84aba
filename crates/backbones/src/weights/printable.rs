//! Names of a file as they may be printed.

use std::borrow::Cow;

/// The same text with control characters escaped, and those that turn the direction of writing: a name in a file must not
/// command the terminal or hide a part of itself.
pub fn printable(text: &str) -> Cow<'_, str> {
    let harmful = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(harmful) {
        return Cow::Borrowed(text);
    }
    let escaped = |c: char| if harmful(c) { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(escaped).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_but_letters() {
        assert_eq!(printable("größe.weight 重"), "größe.weight 重");
        assert_eq!(printable("a\u{1b}[2Jb\n\r\u{7f}"), "a\\u{1b}[2Jb\\n\\r\\u{7f}");
        assert_eq!(printable("a\u{202e}b\u{9b}31m"), "a\\u{202e}b\\u{9b}31m");
    }
}
