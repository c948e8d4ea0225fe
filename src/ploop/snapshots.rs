//! `Snapshots.xml`: the names that people gave to snapshots, and when they were taken. Decoration: a
//! disk is read without it, and nothing in it is followed but a name that is asked for.
//!
//! vzctl and the Parallels products keep it in the folder around the disks: nested
//! `<SavedStateItem guid="{…}">`, each with a `<Name>` and a `<DateTime>`.

use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use roxmltree::{Document, Node, ParsingOptions};

use super::descriptor::{Guid, decode};
use crate::source::{FileSource, Source};

/// A snapshot as a user names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotName {
    /// By its GUID.
    Guid(Guid),
    /// By the name that `Snapshots.xml` gives it.
    Name(String),
}

impl FromStr for SnapshotName {
    type Err = Infallible;

    /// What is no GUID is a name.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text
            .parse()
            .map_or_else(|_| Self::Name(text.to_owned()), Self::Guid))
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guid(guid) => guid.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// What people know about a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SavedState {
    pub(super) guid: Guid,
    pub(super) name: Option<String>,
    pub(super) taken: Option<String>,
}

/// Reads the file in `folder` or in the folder around it; nothing where there is none that makes
/// sense.
pub(super) fn read_around(folder: &Path) -> Vec<SavedState> {
    /// Far more than any writer makes.
    const MOST: u64 = 4 << 20;
    let around = folder.join("..");
    let files = [folder, &around].map(|dir| dir.join("Snapshots.xml"));
    let read = |file: &Path| {
        let source = FileSource::open(file).ok()?;
        let len = usize::try_from(source.len()).ok()?;
        let mut bytes = vec![0; len.min(usize::try_from(MOST).ok()?)];
        source.read_exact_at(&mut bytes, 0).ok()?;
        Some(parse(&bytes))
    };
    files.iter().find_map(|file| read(file)).unwrap_or_default()
}

fn parse(bytes: &[u8]) -> Vec<SavedState> {
    /// Two for each of some thousand snapshots.
    const ATTRIBUTES: usize = 4096;
    let Some(text) = decode(bytes) else {
        return Vec::new();
    };
    // The parser compares attributes with each other.
    if text.bytes().filter(|&byte| byte == b'=').count() > ATTRIBUTES {
        return Vec::new();
    }
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: 100_000,
        ..ParsingOptions::default()
    };
    let Ok(document) = Document::parse_with_options(&text, options) else {
        return Vec::new();
    };
    let items = document.descendants();
    let items = items.filter(|node| node.has_tag_name("SavedStateItem"));
    items.filter_map(item).collect()
}

fn item(node: Node<'_, '_>) -> Option<SavedState> {
    let text = |name| {
        let child = node.children().find(|child| child.has_tag_name(name))?;
        let text = child.text()?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    Some(SavedState {
        guid: node.attribute("guid")?.parse().ok()?,
        name: text("Name"),
        taken: text("DateTime"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_snapshots_have_names_and_times_and_empty_ones_none() {
        let xml = r#"<?xml version="1.0"?><ParallelsSavedStates>
          <SavedStateItem guid="" current="no"><SavedStateItem
            guid="{0F0F0F0F-1111-4222-8333-444444444444}"><Name>before update</Name>
            <DateTime>2024-02-29 12:00:00</DateTime>
            <SavedStateItem guid="{5fbaabe3-6958-40ff-92a7-860e329aab41}" current="yes">
              <Name> </Name></SavedStateItem></SavedStateItem></SavedStateItem>
          </ParallelsSavedStates>"#;
        let found = parse(xml.as_bytes());
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].name.as_deref(), Some("before update"));
        assert_eq!(found[0].taken.as_deref(), Some("2024-02-29 12:00:00"));
        assert_eq!((&found[1].name, &found[1].taken), (&None, &None));
        assert_eq!(found[1].guid, Guid::CONSTANT_TOP);
    }

    #[test]
    fn what_makes_no_sense_gives_no_names() {
        for bytes in [
            &b""[..],
            b"\xff",
            b"<a>",
            b"<!DOCTYPE a [<!ENTITY b 'c'>]><a/>",
        ] {
            assert_eq!(parse(bytes), []);
        }
    }

    #[test]
    fn a_guid_in_any_spelling_is_no_name() {
        let guid = SnapshotName::Guid(Guid::CONSTANT_TOP);
        for text in [
            "5fbaabe3-6958-40ff-92a7-860e329aab41",
            "{5FBAABE3-6958-40FF-92A7-860E329AAB41}",
        ] {
            assert_eq!(text.parse(), Ok(guid.clone()));
        }
        let name = SnapshotName::Name("before update".to_owned());
        assert_eq!("before update".parse(), Ok(name));
    }
}
