//! Other people's text, made fit for a terminal.

use std::borrow::Cow;

/// Replaces what could move the cursor, change colours or reverse the reading order by escapes
/// such as `\u{1b}`; everything else stays.
///
/// ```
/// assert_eq!(ploopconv::util::text::safe("root.hds"), "root.hds");
/// assert_eq!(ploopconv::util::text::safe("\x1b[2Jroot"), "\\u{1b}[2Jroot");
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

/// The same for bytes that need not be text: those that are no UTF-8 become `\xff` and the like.
///
/// ```
/// assert_eq!(ploopconv::util::text::safe_bytes(b"caf\xe9\n"), "caf\\xe9\\u{a}");
/// ```
#[must_use]
pub fn safe_bytes(bytes: &[u8]) -> String {
    let mut shown = String::new();
    for chunk in bytes.utf8_chunks() {
        shown += &safe(chunk.valid());
        for byte in chunk.invalid() {
            shown += &format!("\\x{byte:02x}");
        }
    }
    shown
}

/// Control characters, line separators, and the marks that reorder text.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A word of a command line as a shell takes it, made fit for a terminal too.
///
/// ```
/// use ploopconv::util::text::shell_word;
/// assert_eq!(shell_word("root.hdd"), "root.hdd");
/// assert_eq!(shell_word("my disk's"), r"'my disk'\''s'");
/// ```
#[must_use]
pub fn shell_word(word: &str) -> String {
    // A name with a line end must not look like a line of ours.
    let text = safe(word);
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
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
