//! The text of an XML file, whatever its writer's system made of it.

use std::borrow::Cow;

/// Decodes UTF-8 and UTF-16 of either byte order, with or without a byte order mark, and leaves out
/// what is no part of the document: blank lines in front, and at the end the NULs that some writers
/// pad a file with and the Ctrl-Z that DOS editors add; `None` where it is neither.
pub(crate) fn decode(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let text = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => Cow::Borrowed(std::str::from_utf8(rest).ok()?),
        [0xff, 0xfe, rest @ ..] => Cow::Owned(utf_16(rest, u16::from_le_bytes)?),
        [0xfe, 0xff, rest @ ..] => Cow::Owned(utf_16(rest, u16::from_be_bytes)?),
        // XML begins with an ASCII character, which is never NUL.
        [first, 0, ..] if *first != 0 => Cow::Owned(utf_16(bytes, u16::from_le_bytes)?),
        [0, second, ..] if *second != 0 => Cow::Owned(utf_16(bytes, u16::from_be_bytes)?),
        _ => Cow::Borrowed(std::str::from_utf8(bytes).ok()?),
    };
    Some(match text {
        Cow::Borrowed(text) => Cow::Borrowed(document(text)),
        Cow::Owned(text) => Cow::Owned(document(&text).to_owned()),
    })
}

fn document(text: &str) -> &str {
    let is_padding = |c: char| matches!(c, '\0' | '\x1a') || c.is_whitespace();
    text.trim_end_matches(is_padding).trim_start()
}

fn utf_16(bytes: &[u8], unit: impl Fn([u8; 2]) -> u16) -> Option<String> {
    let (units, rest) = bytes.as_chunks::<2>();
    // A lone byte at the end can only be padding.
    if rest.iter().any(|&byte| byte != 0) {
        return None;
    }
    let units = units.iter().map(|&bytes| unit(bytes));
    char::decode_utf16(units).collect::<Result<_, _>>().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_gives_the_same_text() {
        let text = "<a>é𝄞</a>";
        let le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let with = |mark: &[u8], bytes: &[u8]| [mark, bytes].concat();
        for bytes in [
            text.as_bytes().to_vec(),
            with(b"\xef\xbb\xbf", text.as_bytes()),
            with(b"\xff\xfe", &le),
            with(b"\xfe\xff", &be),
            le.clone(),
            be,
        ] {
            assert_eq!(decode(&bytes).as_deref(), Some(text));
            let padded = [bytes, vec![0; 512]].concat();
            assert_eq!(decode(&padded).as_deref(), Some(text));
        }
        assert_eq!(decode(&[&le[..], b"\0"].concat()).as_deref(), Some(text));
    }

    #[test]
    fn blank_lines_in_front_and_a_ctrl_z_at_the_end_are_no_part_of_it() {
        assert_eq!(decode(b"\r\n \n<a/>\r\n\x1a").as_deref(), Some("<a/>"));
        assert_eq!(decode(b"<a/>\x1a\0\0").as_deref(), Some("<a/>"));
        assert_eq!(decode(b"<a>\x1a</a>").as_deref(), Some("<a>\x1a</a>"));
    }

    #[test]
    fn what_is_neither_is_no_text() {
        assert_eq!(decode(b"<a>\xe9</a>"), None);
        assert_eq!(decode(b"\xff\xfe<\0\x00\xd8a\0"), None, "half a pair");
        assert_eq!(decode(b"\xff\xfe<\0a"), None);
        assert_eq!(decode(&[0; 16]).as_deref(), Some(""));
    }
}
