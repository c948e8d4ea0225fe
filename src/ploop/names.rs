//! What the name of an image file tells of its place in a disk. Names are hints of the programs that
//! gave them, never proof: a file can be renamed.

use std::ffi::OsStr;

use super::descriptor::Guid;

/// The parts of a name that a program gave to an image of a disk with snapshots or with several
/// parts.
///
/// libploop calls a layer over `root.hds` `root.hds.{GUID}`. Parallels products call every image
/// `NAME.hdd.PART.{GUID}.hds`, with the constant top GUID for the first one; the parts of a split
/// disk have one GUID and differ in PART.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    /// What stands before the part number and the GUID.
    pub stem: String,
    /// The part number of a Parallels product.
    pub part: Option<u32>,
    /// The GUID in the name, with or without braces.
    pub guid: Guid,
}

impl ImageName {
    /// Reads a file name; `None` where it has no GUID behind another name.
    #[must_use]
    pub fn parse(name: &OsStr) -> Option<Self> {
        let name = name.to_str()?;
        let (at, guid) = find_guid(name)?;
        let stem = name.get(..at)?.strip_suffix(['.', '_', '-', ' '])?;
        let part = stem
            .rsplit_once('.')
            .filter(|(stem, digits)| !stem.is_empty() && is_number(digits))
            .and_then(|(stem, digits)| Some((stem, digits.parse().ok()?)));
        let (stem, part) = match part {
            Some((stem, part)) => (stem, Some(part)),
            None => (stem, None),
        };
        (!stem.is_empty()).then(|| Self {
            stem: stem.to_owned(),
            part,
            guid,
        })
    }

    /// Whether the name is that of a layer over others. The first image of a disk has the constant
    /// GUID in the names of Parallels products, and none in those of libploop.
    #[must_use]
    pub fn is_of_a_delta(&self) -> bool {
        self.guid != Guid::CONSTANT_TOP || self.part.is_none()
    }

    /// Whether `other` is the name of another part of the same layer of a split disk.
    #[must_use]
    pub fn is_other_part_of(&self, other: &Self) -> bool {
        self.stem == other.stem
            && self.guid == other.guid
            && self.part.is_some()
            && other.part.is_some()
            && self.part != other.part
    }
}

/// Whether a name is that of a layer over others.
#[must_use]
pub fn is_named_like_a_delta(name: &OsStr) -> bool {
    ImageName::parse(name).is_some_and(|name| name.is_of_a_delta())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The first GUID in a text that is no piece of a longer word, and where it begins.
fn find_guid(text: &str) -> Option<(usize, Guid)> {
    /// 32 digits and four hyphens.
    const LEN: usize = 36;
    let is_word = |c: char| c.is_ascii_alphanumeric();
    let starts = text.char_indices().map(|(at, _)| at);
    starts.into_iter().find_map(|at| {
        let (before, rest) = text.split_at_checked(at)?;
        let braced = rest.starts_with('{');
        let len = if braced { LEN.checked_add(2)? } else { LEN };
        let (word, after) = rest.split_at_checked(len)?;
        let alone = !before.ends_with(is_word) && !after.starts_with(is_word);
        let guid = word.parse().ok()?;
        alone.then_some((at, guid))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUID: &str = "1f0c6f0e-0b8e-4a55-9d3e-3f3f0a5b8a11";
    const TOP: &str = "5fbaabe3-6958-40ff-92a7-860e329aab41";

    fn parse(name: &str) -> Option<(String, Option<u32>)> {
        let name = ImageName::parse(name.as_ref())?;
        assert_eq!(name.guid, GUID.parse().unwrap());
        Some((name.stem, name.part))
    }

    #[test]
    fn the_names_of_all_producers_and_of_copies_are_read() {
        for name in [
            format!("root.hds.{{{GUID}}}"),
            format!("root.hds.{GUID}"),
            format!("root.hds.{{{}}}", GUID.to_uppercase()),
            format!("root.hds.{{{GUID}}}.orig"),
            format!("root.hds.{{{GUID}}} (copy)"),
            format!("root.hds_{GUID}.bak"),
        ] {
            assert_eq!(parse(&name), Some(("root.hds".to_owned(), None)), "{name}");
        }
        let parallels = format!("Win 10.hdd.3.{{{GUID}}}.hds");
        assert_eq!(parse(&parallels), Some(("Win 10.hdd".to_owned(), Some(3))));
    }

    #[test]
    fn a_name_without_a_guid_or_with_nothing_else_tells_nothing() {
        for name in [
            "root.hds",
            "root.hdd.0.hds",
            &format!("{GUID}.hds"),
            &format!("{{{GUID}}}.hds"),
            &format!("root.hds.x{GUID}"),
            &format!("root.hds.{GUID}0"),
            "root.hds.{1f0c6f0e}",
            "root.hds.{é}",
        ] {
            assert_eq!(ImageName::parse(name.as_ref()), None, "{name}");
        }
    }

    #[test]
    fn the_first_image_of_a_parallels_disk_is_no_delta() {
        assert!(!is_named_like_a_delta(
            format!("a.hdd.0.{{{TOP}}}.hds").as_ref()
        ));
        assert!(is_named_like_a_delta(
            format!("a.hdd.0.{{{GUID}}}.hds").as_ref()
        ));
        assert!(!is_named_like_a_delta("a.hdd".as_ref()));
        assert!(is_named_like_a_delta(
            format!("root.hds.{{{TOP}}}").as_ref()
        ));
    }

    #[test]
    fn parts_share_a_guid_and_differ_in_their_number() {
        let name = |part: u32, guid: &str| {
            ImageName::parse(format!("a.hdd.{part}.{{{guid}}}.hds").as_ref()).unwrap()
        };
        assert!(name(0, TOP).is_other_part_of(&name(1, TOP)));
        assert!(!name(0, TOP).is_other_part_of(&name(0, GUID)));
        assert!(!name(0, TOP).is_other_part_of(&name(0, TOP)));
    }
}
