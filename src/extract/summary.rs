//! What was made, and what was not.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use nix::errno::Errno;

use crate::error::{Error, ErrorKind};

/// The most problems and lost parts that are kept; the others are counted.
const KEPT: usize = 10_000;

/// What was made, and what was not.
#[derive(Debug, Default)]
pub struct Extracted {
    /// Regular files.
    pub files: u64,
    /// Directories that were not there before.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Further names of files that were made.
    pub hard_links: u64,
    /// Devices, named pipes and sockets.
    pub special: u64,
    /// The bytes of all regular files, holes too.
    pub bytes: u64,
    /// What the caller may not restore, or the target cannot hold.
    pub not_restored: BTreeMap<Property, NotRestored>,
    /// Files that were not made, or not completely.
    pub problems: Vec<Problem>,
    /// How many problems are not among them.
    pub more_problems: u64,
    /// Parts of files that were made with zeros for what is lost.
    pub lost: Vec<LostPart>,
    /// How many lost parts are not among them.
    pub more_lost: u64,
    /// What ended the work before all was made.
    pub ended_by: Option<Error>,
    /// Whether a file was not made because of what the image has of it.
    pub has_damage: bool,
    /// Whether a file was not made for another reason.
    pub has_refusal: bool,
}

/// A file that was not made, or not completely.
#[derive(Debug)]
pub struct Problem {
    /// Its path in the tree.
    pub path: Vec<u8>,
    /// Why.
    pub error: Error,
}

/// Bytes of a file that are lost, and are zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostPart {
    /// The path of the file in the tree.
    pub path: Vec<u8>,
    /// Which bytes of it.
    pub range: Range<u64>,
}

/// How many files lack a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotRestored {
    /// How many.
    pub count: u64,
    /// The path of one of them.
    pub example: Vec<u8>,
    /// What the operating system said of that one.
    pub reason: String,
}

/// What a file can lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Property {
    /// Its owner and group.
    Owner,
    /// Its permissions.
    Permissions,
    /// That it runs as its owner or group.
    SetId,
    /// Its times.
    Times,
    /// Its ACL.
    Acl,
    /// Its file capabilities.
    Capabilities,
    /// Other attributes that only the system sets.
    SystemAttributes,
    /// Attributes of programs.
    UserAttributes,
    /// That it is the same file as another name: it is a copy.
    HardLink,
    /// Itself: devices are made by root.
    Device,
}

impl Property {
    /// The word for scripts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Permissions => "permissions",
            Self::SetId => "set-id",
            Self::Times => "times",
            Self::Acl => "acl",
            Self::Capabilities => "capabilities",
            Self::SystemAttributes => "system-attributes",
            Self::UserAttributes => "user-attributes",
            Self::HardLink => "hard-link",
            Self::Device => "device",
        }
    }

    /// The words for people, in the plural.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Owner => "owners and groups",
            Self::Permissions => "permissions",
            Self::SetId => "set-user-ID and set-group-ID bits",
            Self::Times => "times",
            Self::Acl => "ACLs",
            Self::Capabilities => "file capabilities",
            Self::SystemAttributes => "system attributes",
            Self::UserAttributes => "user attributes",
            Self::HardLink => "hard links (they are copies now)",
            Self::Device => "devices",
        }
    }

    /// What a file lacks without an extended attribute of this name.
    pub(super) fn of_attribute(name: &[u8]) -> Self {
        match name {
            b"system.posix_acl_access" | b"system.posix_acl_default" => Self::Acl,
            b"security.capability" => Self::Capabilities,
            name if name.starts_with(b"user.") => Self::UserAttributes,
            _ => Self::SystemAttributes,
        }
    }
}

impl Extracted {
    pub(super) fn add_problem(&mut self, path: &[u8], error: Error) {
        match error.kind() {
            ErrorKind::Corrupt | ErrorKind::Lost => self.has_damage = true,
            _ => self.has_refusal = true,
        }
        if self.problems.len() < KEPT {
            let path = path.to_vec();
            self.problems.push(Problem { path, error });
        } else {
            self.more_problems += 1;
        }
    }

    pub(super) fn add_lost(&mut self, path: &[u8], range: Range<u64>) {
        if self.lost.len() < KEPT {
            let path = path.to_vec();
            self.lost.push(LostPart { path, range });
        } else {
            self.more_lost += 1;
        }
    }

    pub(super) fn add_not_restored(&mut self, property: Property, path: &[u8], error: &io::Error) {
        let entry = self.not_restored.entry(property);
        let entry = entry.or_insert_with(|| NotRestored {
            count: 0,
            example: path.to_vec(),
            reason: reason(error),
        });
        entry.count += 1;
    }
}

/// What the operating system said, without the number of its error.
fn reason(error: &io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(errno) => errno.desc().to_owned(),
        None => error.to_string(),
    }
}
