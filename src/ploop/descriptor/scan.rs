//! What a descriptor tells that is no XML any more, or makes no sense: by its text alone.

use super::guid::Guid;
use super::text::decode;

/// What the text of a descriptor tells, whatever is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::ploop) struct Told {
    /// How many parts of a disk it describes.
    pub(in crate::ploop) parts: usize,
    /// The files that it names.
    pub(in crate::ploop) files: Vec<String>,
    /// The engine that the disk is encrypted with.
    pub(super) engine: Option<String>,
    /// A padding that is not nothing.
    pub(super) padding: Option<u64>,
    /// Where a part begins that does not begin with the disk, in sectors.
    pub(super) start: Option<u64>,
    /// The size of the disk and where its last part ends, in sectors.
    pub(super) sizes: Option<(u64, u64)>,
}

/// Looks for what matters in the text of a descriptor.
pub(in crate::ploop) fn told(bytes: &[u8]) -> Told {
    // What is left of UTF-16 that was cut in the middle of a letter.
    let text = decode(bytes).unwrap_or_else(|| String::from_utf8_lossy(bytes));
    let text = text.replace('\0', "");
    let numbers = |element| {
        let texts = texts(&text, element).into_iter();
        texts.filter_map(|text| text.parse::<u64>().ok())
    };
    let end = numbers("End").max();
    Told {
        parts: texts(&text, "Storage").len(),
        files: texts(&text, "File"),
        engine: texts(&text, "Engine")
            .into_iter()
            .find(|text| is_engine(text)),
        padding: numbers("Padding").find(|&padding| padding > 0),
        start: numbers("Start").find(|&start| start > 0),
        sizes: numbers("Disk_size").max().zip(end),
    }
}

/// Whether the text of an `Engine` names one that encrypts.
pub(super) fn is_engine(text: &str) -> bool {
    !text.is_empty() && Guid::parse(text) != Some(Guid::NULL)
}

/// What follows every opening tag of this name, up to the next tag. The last tag may be cut off.
fn texts(text: &str, element: &str) -> Vec<String> {
    let pieces = text.split('<').skip(1);
    let of_element = |piece: &str| {
        let (tag, rest) = piece.split_once('>').unwrap_or((piece, ""));
        let name = tag
            .split(|c: char| c.is_whitespace() || c == '/')
            .next()
            .unwrap_or_default();
        let name = name.rsplit(':').next().unwrap_or(name);
        (name == element).then(|| rest.trim().to_owned())
    };
    pieces.filter_map(of_element).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_with_blanks_attributes_and_prefixes_and_cut_off() {
        for (text, parts) in [
            ("<Storage><Storage>", 2),
            ("<Storage\n a='b'><x:Storage/></Storage><Storage", 3),
            ("<StorageData><Storage_></StorageData>", 0),
        ] {
            assert_eq!(told(text.as_bytes()).parts, parts, "{text}");
        }
    }

    #[test]
    fn text_of_two_bytes_a_letter_is_looked_at_where_its_last_letter_is_cut() {
        let text = "<Storage><File>a</File><Start>5";
        let mut bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        bytes.push(b'<');
        let told = told(&bytes);
        assert_eq!((told.parts, told.start), (1, Some(5)));
        assert_eq!(told.files, ["a"]);
    }
}
