//! What the rules see of a tree: text files, names and links, inside the tree only.
//!
//! Paths and texts are strings whose characters are the bytes of the file, so that a file in any
//! encoding is changed in its lines only.

use crate::error::Result;
use crate::tree::{FileType, LastLink, Metadata, PathError, Tree, resolve};
use crate::util::bytes::to_usize;

/// A larger file is no configuration that a person or an installer wrote.
const MOST: u64 = 1 << 20;

/// A tree, read by path.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a>(pub(super) &'a dyn Tree);

/// A file that is there.
#[derive(Debug)]
pub(super) struct Found {
    /// The way to it, by directories only.
    pub(super) path: String,
    pub(super) metadata: Metadata,
}

impl View<'_> {
    /// The file at a path; `None` where there is none in the tree, as where a link leads out.
    pub(super) fn find(self, path: &str, last: LastLink) -> Result<Option<Found>> {
        let found = resolve(self.0, &to_bytes(path), last);
        match found {
            Ok(found) => Ok(Some(Found {
                path: to_text(&found.path),
                metadata: self.0.node(found.inode)?.metadata().clone(),
            })),
            Err(error) if error.detail::<PathError>().is_some() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether something is at a path, a link that leads nowhere included.
    pub(super) fn has(self, path: &str) -> Result<bool> {
        Ok(self.find(path, LastLink::Keep)?.is_some())
    }

    /// The first of the paths that is there.
    pub(super) fn first<'p>(self, paths: &[&'p str]) -> Result<Option<&'p str>> {
        for path in paths {
            if self.find(path, LastLink::Follow)?.is_some() {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// Whether a directory is at a path.
    pub(super) fn is_directory(self, path: &str) -> Result<bool> {
        let found = self.find(path, LastLink::Follow)?;
        Ok(found.is_some_and(|found| found.metadata.file_type == FileType::Directory))
    }

    /// The bytes of a regular file from its start, at most `most` of them; `None` where there is
    /// no such file.
    pub(super) fn head(self, path: &str, most: u64) -> Result<Option<Vec<u8>>> {
        let Some(found) = self.find(path, LastLink::Follow)? else {
            return Ok(None);
        };
        if found.metadata.file_type != FileType::File {
            return Ok(None);
        }
        let mut bytes = vec![0; to_usize(found.metadata.size.min(most))];
        self.0.node(found.metadata.inode)?.read_at(&mut bytes, 0)?;
        Ok(Some(bytes))
    }

    /// The text of a regular file; `None` where there is none, or it is no configuration.
    pub(super) fn text(self, path: &str) -> Result<Option<String>> {
        let found = self.find(path, LastLink::Follow)?;
        if found.is_none_or(|found| found.metadata.size > MOST) {
            return Ok(None);
        }
        let bytes = self.head(path, MOST)?;
        let bytes = bytes.filter(|bytes| !bytes.contains(&0));
        Ok(bytes.map(|bytes| to_text(&bytes)))
    }

    /// The same for what is only told to a person: a file that cannot be read says nothing here.
    pub(super) fn readable(self, path: &str) -> Option<String> {
        self.text(path).ok().flatten()
    }

    /// Where the symbolic link at a path leads; `None` where there is no link.
    pub(super) fn link(self, path: &str) -> Result<Option<String>> {
        let Some(found) = self.find(path, LastLink::Keep)? else {
            return Ok(None);
        };
        if found.metadata.file_type != FileType::Symlink {
            return Ok(None);
        }
        let target = self.0.node(found.metadata.inode)?.link_target()?;
        Ok(Some(to_text(&target)))
    }

    /// The names in a directory in the order of their bytes; none where it is no directory.
    pub(super) fn names(self, path: &str) -> Result<Vec<String>> {
        let Some(found) = self.find(path, LastLink::Follow)? else {
            return Ok(Vec::new());
        };
        let node = self.0.node(found.metadata.inode)?;
        let names = node.entries().map(|entry| Ok(to_text(&entry?.name)));
        let mut names = names.collect::<Result<Vec<String>>>()?;
        names.sort_unstable();
        Ok(names)
    }

    /// The paths that match a pattern, in the order of their names. In each name `*` stands for
    /// any characters and `?` for one; a name without them need not be listed to be found.
    pub(super) fn matching(self, pattern: &str) -> Result<Vec<String>> {
        let mut found = vec![String::new()];
        for name in pattern.split('/') {
            let mut next = Vec::new();
            for folder in &found {
                let names = if name.contains(['*', '?']) {
                    let mut names = self.names(folder)?;
                    names.retain(|candidate| matches(name, candidate));
                    names
                } else {
                    vec![name.to_owned()]
                };
                for name in names {
                    let path = join(folder, &name);
                    if self.has(&path)? {
                        next.push(path);
                    }
                }
            }
            found = next;
        }
        Ok(found)
    }
}

/// The path of a name in a directory.
pub(super) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}

/// The directory that a path is in, and the name there.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Whether a name matches a pattern.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut read) = (0, 0);
    // Where the last `*` is, and how much of the name it stands for.
    let mut star: Option<(usize, usize)> = None;
    while read < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(c) if *c == '?' || Some(c) == name.get(read) => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((star_at, taken)) = star else {
                    return false;
                };
                star = Some((star_at, taken + 1));
                at = star_at + 1;
                read = taken + 1;
            }
        }
    }
    pattern.iter().skip(at).all(|c| *c == '*')
}

/// Where the characters are that stand for bytes beyond ASCII: private ones, which are no letter
/// and no space, as some of the first 256 are.
const BEYOND_ASCII: u32 = 0xe000;

/// Bytes as characters, one for one.
pub(super) fn to_text(bytes: &[u8]) -> String {
    let character = |byte: &u8| match byte.is_ascii() {
        true => Some(char::from(*byte)),
        false => char::from_u32(BEYOND_ASCII + u32::from(*byte)),
    };
    bytes.iter().filter_map(character).collect()
}

/// The bytes of such a text; of other characters, those of UTF-8.
pub(super) fn to_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        let byte = u32::from(character).checked_sub(BEYOND_ASCII);
        let byte = byte.and_then(|byte| u8::try_from(byte).ok());
        match byte.filter(|byte| !byte.is_ascii()) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend(character.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_a_shell_has_them() {
        for (pattern, name, fits) in [
            ("*", "", true),
            ("ifcfg-venet0*", "ifcfg-venet0:0", true),
            ("ifcfg-venet0*", "ifcfg-eth0", false),
            ("rc?.d", "rc3.d", true),
            ("rc?.d", "rc.d", false),
            ("???vzquota", "S00vzquota", true),
            ("*.wants", "multi-user.target.wants", true),
            ("a*b*c", "axxbyybzc", true),
            ("a*b*c", "axxbyybz", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn every_byte_survives() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(to_bytes(&to_text(&bytes)), bytes);
        // The second byte of `à` is a space of its own, as a character.
        let text = to_text("/srv/déjà ext4".as_bytes());
        assert_eq!(text.split_whitespace().count(), 2);
    }
}
