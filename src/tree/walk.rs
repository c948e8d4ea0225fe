//! What every walk over a tree needs: names in order, and an end where directories lead in a
//! circle.

use std::collections::HashSet;

use super::{Entry, Node};
use crate::error::{Detail, ErrorKind, Result};

/// Why a directory is not walked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// A directory stands in the tree a second time, below itself perhaps.
    #[error("the directory has more than one place in the tree")]
    Circle,
    /// An entry of a directory has a name that no file can have.
    #[error("a file has a name that contains / or NUL, or is empty, . or ..")]
    Name,
}

impl Detail for TreeError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Corrupt
    }

    fn code(&self) -> &'static str {
        "file-system"
    }
}

/// The directories that a walk has come to, so that it comes to each once: in a damaged tree a
/// directory can contain itself, or stand in several places.
#[derive(Debug, Default)]
pub struct Ancestors(HashSet<u64>);

impl Ancestors {
    /// Remembers the inode of a directory.
    ///
    /// # Errors
    ///
    /// [`TreeError::Circle`] where the walk has been there.
    pub fn enter(&mut self, inode: u64) -> Result<()> {
        if self.0.insert(inode) {
            Ok(())
        } else {
            Err(TreeError::Circle.into())
        }
    }
}

/// The entries of a directory by the bytes of their names, as far as they can be read, and the
/// error that ends them early. What has a name that no file can have is left out, and is an error
/// too.
#[must_use]
pub fn sorted_entries(directory: &dyn Node) -> (Vec<Entry>, Option<crate::Error>) {
    let (mut entries, mut problem) = (Vec::new(), None);
    for entry in directory.entries() {
        match entry {
            Ok(entry) if is_name(&entry.name) => entries.push(entry),
            Ok(_) => problem = Some(TreeError::Name.into()),
            Err(error) => {
                problem = Some(error);
                break;
            }
        }
    }
    entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    (entries, problem)
}

/// Whether a directory can have a file of this name.
fn is_name(name: &[u8]) -> bool {
    let has = |byte| name.contains(&byte);
    !name.is_empty() && name != b"." && name != b".." && !has(b'/') && !has(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;
    use crate::tree::testing::Memory;

    #[test]
    fn entries_come_by_their_bytes_and_impossible_names_not_at_all() {
        let mut tree = Memory::new();
        for name in ["b", "a", ".x", "B", "é"] {
            tree.file(name, b"");
        }
        let inode = tree.file("c", b"");
        let root = tree.root();
        for name in ["../x", "/abs", "..", ".", "", "x\0y"] {
            tree.enter_raw(root, name.as_bytes(), inode);
        }
        let (entries, problem) = sorted_entries(&*tree.node(root).unwrap());
        let names: Vec<_> = entries.iter().map(|entry| &entry.name[..]).collect();
        let expected: [&[u8]; 6] = [b".x", b"B", b"a", b"b", b"c", "é".as_bytes()];
        assert_eq!(names, expected);
        let problem = problem.unwrap();
        assert!(matches!(problem.detail(), Some(TreeError::Name)));
    }
}
