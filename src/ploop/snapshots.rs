//! `Snapshots.xml`: the names that people gave to snapshots, and when they were taken. Decoration:
//! a disk is read without it, and nothing in it is followed but a name that is asked for.
//!
//! vzctl and the Parallels products keep it in the folder around the disks: nested
//! `<SavedStateItem guid="{…}">`, each with a `<Name>` and a `<DateTime>`.

use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use roxmltree::{Document, Node, ParsingOptions};

use super::descriptor::{Guid, Temporary, decode};
use crate::error::Error;
use crate::source::{FileSource, Source, is_there};
use crate::util::bytes::to_usize;

const FILE: &str = "Snapshots.xml";

/// What a descriptor says about a snapshot.
#[derive(Debug, Clone)]
pub struct SnapshotInfo {
    /// Its name.
    pub guid: Guid,
    /// The snapshot it builds on.
    pub parent: Option<Guid>,
    /// Whether it is the current state.
    pub top: bool,
    /// What people call it.
    pub name: Option<String>,
    /// When it was taken, as the host wrote it.
    pub taken: Option<String>,
    /// Whether it was meant to stay.
    pub temporary: Temporary,
}

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

/// Reads the file in `folder` or in the folder around it; nothing where there is none.
///
/// # Errors
///
/// What is wrong with the file, as one sentence, where it cannot be read.
pub(super) fn read_around(folder: &Path) -> Result<Vec<SavedState>, String> {
    for dir in [folder, &folder.join("..")] {
        let file = dir.join(FILE);
        let text = |error: &dyn std::error::Error| match error.source() {
            Some(cause) => format!("{FILE} cannot be read: {cause}"),
            None => format!("{FILE} cannot be read: {error}"),
        };
        match is_there(&file) {
            Ok(false) => {}
            Ok(true) => {
                return read(&file).map_err(|error| text(&error)).and_then(|bytes| {
                    parse(&bytes).ok_or_else(|| {
                        format!("{FILE} is no list of snapshots, so their names are not known")
                    })
                });
            }
            Err(error) => return Err(text(&error)),
        }
    }
    Ok(Vec::new())
}

fn read(file: &Path) -> crate::error::Result<Vec<u8>> {
    /// Far more than any writer makes.
    const MOST: u64 = 4 << 20;
    let source = FileSource::open(file)?;
    let mut bytes = vec![0; to_usize(source.len().min(MOST))];
    source
        .read_exact_at(&mut bytes, 0)
        .map_err(|error| Error::io("reading", file, error))?;
    Ok(bytes)
}

/// The snapshots in the text of the file; `None` where it is no such text.
fn parse(bytes: &[u8]) -> Option<Vec<SavedState>> {
    /// Two for each of some thousand snapshots.
    const ATTRIBUTES: usize = 4096;
    let text = decode(bytes)?;
    // The parser compares attributes with each other.
    if text.bytes().filter(|&byte| byte == b'=').count() > ATTRIBUTES {
        return None;
    }
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: 100_000,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(&text, options).ok()?;
    let items = document.descendants();
    let items = items.filter(|node| node.has_tag_name("SavedStateItem"));
    Some(items.filter_map(item).collect())
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
        let found = parse(xml.as_bytes()).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].name.as_deref(), Some("before update"));
        assert_eq!(found[0].taken.as_deref(), Some("2024-02-29 12:00:00"));
        assert_eq!((&found[1].name, &found[1].taken), (&None, &None));
        assert_eq!(found[1].guid, Guid::CONSTANT_TOP);
    }

    #[test]
    fn what_is_no_list_of_snapshots_is_told_from_an_empty_one() {
        for bytes in [
            &b""[..],
            b"\xff",
            b"<a>",
            b"<!DOCTYPE a [<!ENTITY b 'c'>]><a/>",
        ] {
            assert_eq!(parse(bytes), None);
        }
        assert_eq!(parse(b"<ParallelsSavedStates/>"), Some(Vec::new()));
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
