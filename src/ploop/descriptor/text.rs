//! The text of an XML file, whatever its writer's system made of it.

use std::borrow::Cow;

/// Decodes UTF-8 and UTF-16 of either byte order, with or without a byte order mark, and leaves out
/// the NULs that some writers pad a file with; `None` where it is neither.
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
    let len = text.trim_end_matches('\0').len();
    Some(match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(..len)?),
        Cow::Owned(mut text) => {
            text.truncate(len);
            Cow::Owned(text)
        }
    })
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
    fn what_is_neither_is_no_text() {
        assert_eq!(decode(b"<a>\xe9</a>"), None);
        assert_eq!(decode(b"\xff\xfe<\0\x00\xd8a\0"), None, "half a pair");
        assert_eq!(decode(b"\xff\xfe<\0a"), None);
        assert_eq!(decode(&[0; 16]).as_deref(), Some(""));
    }
}
