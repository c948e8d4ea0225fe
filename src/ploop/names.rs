//! What the name of an image file tells of its place in a disk. Names are hints of the programs
//! that gave them, never proof: a file can be renamed.

use std::ffi::OsStr;

use super::descriptor::Guid;

/// The parts of a name that a program gave to an image of a disk with snapshots or with several
/// parts.
///
/// libploop calls a layer over `root.hds` `root.hds.{GUID}`. Parallels products call every image
/// `NAME.hdd.PART.{GUID}.hds`, with the constant top GUID for the first one; the parts of a split
/// disk have one GUID and differ in PART. Older ones leave the GUID out (`NAME.hdd.PART.hds`), and
/// names of the kind `NAME-f001.hds` come from VMware's, whose parts count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    /// What stands before the part number and the GUID; empty where the GUID is the whole name.
    pub stem: String,
    /// The number of the part of a split disk, 0 for the first.
    pub part: Option<u32>,
    /// The GUID in the name, with or without braces.
    pub guid: Option<Guid>,
}

impl ImageName {
    /// Reads a file name; `None` where it has neither a GUID nor the number of a part.
    #[must_use]
    pub fn parse(name: &OsStr) -> Option<Self> {
        let name = name.to_str()?;
        match find_guid(name) {
            Some((at, guid)) => Self::with_guid(name.get(..at)?, guid),
            None => numbered(name).or_else(|| counted_from_one(name)),
        }
    }

    fn with_guid(before: &str, guid: Guid) -> Option<Self> {
        if before.is_empty() {
            return Some(Self {
                stem: String::new(),
                part: None,
                guid: Some(guid),
            });
        }
        let stem = before.strip_suffix(['.', '_', '-', ' '])?;
        let (stem, part) = match split_number(stem) {
            Some((stem, part)) => (stem, Some(part)),
            None => (stem, None),
        };
        (!stem.is_empty()).then(|| Self {
            stem: stem.to_owned(),
            part,
            guid: Some(guid),
        })
    }

    /// Whether the name is that of a layer over others. The first image of a disk has the constant
    /// GUID in the names of Parallels products, and none in those of libploop.
    #[must_use]
    pub fn is_of_a_delta(&self) -> bool {
        self.guid
            .is_some_and(|guid| guid != Guid::CONSTANT_TOP || self.part.is_none())
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

/// `NAME.hdd.PART.hds`: only after the name of a disk, for any file can end with a number.
fn numbered(name: &str) -> Option<ImageName> {
    let (rest, end) = name.rsplit_once('.')?;
    let (stem, part) = split_number(rest)?;
    let (_, kind) = stem.rsplit_once('.')?;
    let is_disk = kind.eq_ignore_ascii_case("hdd") && end.eq_ignore_ascii_case("hds");
    is_disk.then(|| ImageName {
        stem: stem.to_owned(),
        part: Some(part),
        guid: None,
    })
}

/// `NAME-f001.hds` and `NAME-s001.hds`.
fn counted_from_one(name: &str) -> Option<ImageName> {
    let (rest, end) = name.rsplit_once('.')?;
    let (stem, number) = rest.rsplit_once('-')?;
    let digits = number.strip_prefix(['f', 's'])?;
    let fits = end.eq_ignore_ascii_case("hds") && digits.len() == 3 && is_number(digits);
    let part = digits.parse::<u32>().ok()?.checked_sub(1)?;
    (fits && !stem.is_empty()).then(|| ImageName {
        stem: stem.to_owned(),
        part: Some(part),
        guid: None,
    })
}

/// `NAME.NUMBER`.
fn split_number(text: &str) -> Option<(&str, u32)> {
    let (stem, digits) = text.rsplit_once('.')?;
    let number = digits.parse().ok().filter(|_| is_number(digits))?;
    (!stem.is_empty()).then_some((stem, number))
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
        assert_eq!(name.guid, GUID.parse().ok());
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
            "root.hdd.0.raw",
            "root.1.hds",
            "root-f01.hds",
            "root-f000.hds",
            "-f001.hds",
            ".hdd.1.raw",
            &format!("root.hds.x{GUID}"),
            &format!("root.hds.{GUID}0"),
            "root.hds.{1f0c6f0e}",
            "root.hds.{é}",
        ] {
            assert_eq!(ImageName::parse(name.as_ref()), None, "{name}");
        }
    }

    #[test]
    fn a_guid_that_is_the_whole_name_is_that_of_a_delta() {
        for name in [
            format!("{GUID}.hds"),
            format!("{{{GUID}}}.hds"),
            GUID.to_owned(),
        ] {
            assert_eq!(parse(&name), Some((String::new(), None)), "{name}");
            assert!(is_named_like_a_delta(name.as_ref()));
        }
    }

    #[test]
    fn parts_without_a_guid_are_known_by_their_number() {
        let part = |name: &str| {
            let name = ImageName::parse(name.as_ref()).unwrap();
            assert_eq!(name.guid, None);
            assert!(!name.is_of_a_delta());
            (name.stem, name.part.unwrap())
        };
        assert_eq!(part("h.hdd.1.hds"), ("h.hdd".to_owned(), 1));
        assert_eq!(part("h.HDD.0.HDS"), ("h.HDD".to_owned(), 0));
        assert_eq!(part("s-f002.hds"), ("s".to_owned(), 1));
        assert_eq!(part("Win 10-s001.hds"), ("Win 10".to_owned(), 0));
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
