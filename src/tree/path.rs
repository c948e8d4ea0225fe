//! From a path to a file, inside one tree only.

use std::collections::VecDeque;

use super::{FileType, Tree};
use crate::error::{Detail, ErrorKind, Result};
use crate::util::text::safe_bytes;

/// The file that a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The number of its inode.
    pub inode: u64,
    /// The way from the root, by directories only: names with `/` between them, and none in front.
    /// Empty for the root.
    pub path: Vec<u8>,
}

/// Why a path leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// A directory has no such name.
    #[error("{} does not exist in the image", shown(.0))]
    Missing(Vec<u8>),
    /// A pattern fits no name.
    #[error("no file in the image fits {}", shown(.0))]
    NoMatch(Vec<u8>),
    /// A name in front of a `/` is no directory.
    #[error("{} is not a directory", shown(.0))]
    NotADirectory(Vec<u8>),
    /// A regular file was asked for.
    #[error("{} is a {} and no regular file", shown(path), file_type.title())]
    NotAFile {
        /// Where it is.
        path: Vec<u8>,
        /// What it is.
        file_type: FileType,
    },
    /// Links lead to links, and there is no end.
    #[error("{} leads through more than {LINKS} symbolic links", shown(.0))]
    TooManyLinks(Vec<u8>),
}

/// A path as messages show it.
fn shown(path: &[u8]) -> String {
    match path {
        b"" => "/".to_owned(),
        path => safe_bytes(path),
    }
}

/// What becomes of a link at the end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastLink {
    /// It is followed.
    Follow,
    /// It is what the path leads to.
    Keep,
}

/// The kernel's own limit.
const LINKS: usize = 40;

impl Detail for PathError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Input
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) | Self::NoMatch(_) => "no-such-path",
            Self::NotADirectory(_) => "not-a-directory",
            Self::NotAFile { .. } => "not-a-file",
            Self::TooManyLinks(_) => "too-many-links",
        }
    }
}

/// Follows `path` from the root of `tree`, with or without a `/` in front. Links are followed
/// inside the tree, as a process would whose root it is, so that nothing outside of it is ever
/// reached; a link at the end of the path only where `last` says so, or a `/` comes after it.
///
/// # Errors
///
/// [`PathError`], and what the tree says.
pub fn resolve(tree: &dyn Tree, path: &[u8], last: LastLink) -> Result<Resolved> {
    let mut todo: VecDeque<Vec<u8>> = names(path).collect();
    // A directory is meant.
    let mut directory = path.ends_with(b"/");
    let root = tree.root();
    let mut inodes = vec![root];
    let mut way: Vec<Vec<u8>> = Vec::new();
    let mut links = 0;
    while let Some(name) = todo.pop_front() {
        let here = tree.node(inodes.last().copied().unwrap_or(root))?;
        if here.metadata().file_type != FileType::Directory {
            return Err(PathError::NotADirectory(joined(&way)).into());
        }
        if name == b"." {
            continue;
        }
        if name == b".." {
            way.pop();
            inodes.truncate(1.max(inodes.len() - 1));
            continue;
        }
        let found = here.lookup(&name)?;
        way.push(name);
        let inode = found.ok_or_else(|| PathError::Missing(joined(&way)))?;
        let node = tree.node(inode)?;
        let is_link = node.metadata().file_type == FileType::Symlink;
        if !is_link || todo.is_empty() && last == LastLink::Keep && !directory {
            inodes.push(inode);
            continue;
        }
        links += 1;
        if links > LINKS {
            return Err(PathError::TooManyLinks(path.to_vec()).into());
        }
        let target = node.link_target()?;
        if target.is_empty() {
            return Err(PathError::Missing(joined(&way)).into());
        }
        directory |= todo.is_empty() && target.ends_with(b"/");
        way.pop();
        if target.starts_with(b"/") {
            way.clear();
            inodes.truncate(1);
        }
        // In front of what is left of the path.
        for name in names(&target).rev() {
            todo.push_front(name);
        }
    }
    let inode = inodes.last().copied().unwrap_or(root);
    if directory && tree.node(inode)?.metadata().file_type != FileType::Directory {
        return Err(PathError::NotADirectory(joined(&way)).into());
    }
    Ok(Resolved {
        inode,
        path: joined(&way),
    })
}

pub(super) fn names(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    let names = path.split(|&byte| byte == b'/');
    names.filter(|name| !name.is_empty()).map(<[u8]>::to_vec)
}

fn joined(way: &[Vec<u8>]) -> Vec<u8> {
    way.join(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::testing::Memory;

    /// `etc/passwd`, `usr/lib/a.so`, and links of every kind.
    fn tree() -> Memory {
        let mut tree = Memory::new();
        tree.file("etc/passwd", b"root");
        tree.file("usr/lib/a.so", b"elf");
        for (path, target) in [
            ("lib", "usr/lib"),
            ("usr/absolute", "/etc"),
            ("etc/up", "../../../../usr"),
            ("etc/mtab", "/proc/mounts"),
            ("loop", "loop"),
            ("ping", "etc/../pong"),
            ("pong", "ping"),
            ("usr/to-file", "../etc/passwd"),
            ("to-file-as-directory", "etc/passwd/"),
            ("to-directory", "usr/"),
            ("empty", ""),
            ("root", "/"),
        ] {
            tree.link(path, target);
        }
        tree
    }

    fn found(path: &str, last: LastLink) -> String {
        match resolve(&tree(), path.as_bytes(), last) {
            Ok(found) => String::from_utf8(found.path).unwrap(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_path_leads_by_links_inside_the_tree_and_never_above_its_root() {
        for (path, expected) in [
            ("", ""),
            ("/", ""),
            (".", ""),
            ("..", ""),
            ("/../../etc/./passwd", "etc/passwd"),
            ("etc//passwd", "etc/passwd"),
            ("lib/a.so", "usr/lib/a.so"),
            ("lib/../../etc", "etc"),
            ("usr/absolute/passwd", "etc/passwd"),
            ("etc/up/lib", "usr/lib"),
            ("usr/to-file", "etc/passwd"),
            ("to-directory", "usr"),
            ("root/root/root/etc", "etc"),
        ] {
            assert_eq!(found(path, LastLink::Follow), expected, "{path}");
        }
    }

    #[test]
    fn a_link_at_the_end_is_followed_where_that_is_asked_for_or_a_slash_comes_after_it() {
        assert_eq!(found("lib", LastLink::Keep), "lib");
        assert_eq!(found("lib", LastLink::Follow), "usr/lib");
        assert_eq!(found("lib/", LastLink::Keep), "usr/lib");
        assert_eq!(found("lib/.", LastLink::Keep), "usr/lib");
        assert_eq!(found("loop", LastLink::Keep), "loop");
        assert_eq!(found("etc/mtab", LastLink::Keep), "etc/mtab");
    }

    #[test]
    fn what_leads_nowhere_says_where_it_ends() {
        for (path, expected) in [
            ("etc/shadow", "etc/shadow does not exist in the image"),
            ("etc/mtab", "proc does not exist in the image"),
            ("etc/passwd/", "etc/passwd is not a directory"),
            ("etc/passwd/.", "etc/passwd is not a directory"),
            ("etc/passwd/..", "etc/passwd is not a directory"),
            ("etc/passwd/x", "etc/passwd is not a directory"),
            ("usr/to-file/", "etc/passwd is not a directory"),
            ("to-file-as-directory", "etc/passwd is not a directory"),
            ("empty", "empty does not exist in the image"),
            ("loop", "loop leads through more than 40 symbolic links"),
            ("ping/x", "ping/x leads through more than 40 symbolic links"),
            ("a\u{1b}[2J", "a\\u{1b}[2J does not exist in the image"),
        ] {
            assert_eq!(found(path, LastLink::Follow), expected, "{path}");
        }
    }

    #[test]
    fn forty_links_are_followed_as_the_kernel_does_and_not_one_more() {
        let mut tree = Memory::new();
        tree.file("0", b"");
        for number in 1..=41 {
            tree.link(&number.to_string(), &(number - 1).to_string());
        }
        assert_eq!(resolve(&tree, b"40", LastLink::Follow).unwrap().path, b"0");
        let error = resolve(&tree, b"41", LastLink::Follow).unwrap_err();
        assert!(matches!(error.detail(), Some(PathError::TooManyLinks(_))));
    }
}
