//! Bytes of any kind as plain text without spaces.

use std::fmt::Write as _;

/// Appends `value` to `text`: every byte that is no plain character, or is special here, becomes
/// `%` and two digits.
pub(crate) fn escape(value: &[u8], is_special: impl Fn(u8) -> bool, text: &mut String) {
    for &byte in value {
        if byte.is_ascii_graphic() && byte != b'%' && !is_special(byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02x}");
        }
    }
}

/// The bytes that a text stands for; `None` where it was spoiled.
pub(crate) fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let mut value = parts.next()?.as_bytes().to_vec();
    for part in parts {
        value.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        value.extend_from_slice(part.get(2..)?.as_bytes());
    }
    Some(value)
}
