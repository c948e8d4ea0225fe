//! Other people's text, made fit for a terminal.

use std::borrow::Cow;

/// Replaces what could move the cursor, change colours or reverse the reading order by escapes
/// such as `\u{1b}`; everything else stays.
///
/// ```
/// assert_eq!(ploopconv::text::safe("root.hds"), "root.hds");
/// assert_eq!(ploopconv::text::safe("\x1b[2Jroot"), "\\u{1b}[2Jroot");
/// ```
#[must_use]
pub fn safe(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let escaped = text.chars().fold(String::new(), |mut escaped, c| {
        if is_unsafe(c) {
            escaped.extend(c.escape_unicode());
        } else {
            escaped.push(c);
        }
        escaped
    });
    Cow::Owned(escaped)
}

/// Control characters, line separators, and the marks that reorder text.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_one_and_two_bytes_and_reversed_text_are_shown_and_not_obeyed() {
        assert_eq!(safe("a\u{9b}31mb"), "a\\u{9b}31mb");
        assert_eq!(safe("a\nb\u{202e}c"), "a\\u{a}b\\u{202e}c");
        assert_eq!(safe("größe – 日本"), "größe – 日本");
    }
}
