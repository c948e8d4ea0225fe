//! Changes as the rules make them: several rules may edit one file, each with its reason.

use std::collections::BTreeMap;

use super::change::{Change, What};
use super::view::{View, join, split, to_bytes, to_text};
use crate::error::Result;
use crate::tree::{FileType, LastLink};

/// The changes so far, by path.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) view: View<'a>,
    changes: BTreeMap<String, (What, Vec<String>)>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(view: View<'a>) -> Self {
        Self {
            view,
            changes: BTreeMap::new(),
        }
    }

    /// How many paths have a change.
    pub(super) fn number_of_changes(&self) -> usize {
        self.changes.len()
    }

    /// All changes in the order of their paths' bytes, so that a directory comes before what is
    /// in it.
    pub(super) fn into_changes(self) -> Vec<Change> {
        let changes = self.changes.into_iter();
        let changes = changes.map(|(path, (what, reasons))| Change {
            path: to_bytes(&path),
            what,
            reason: String::from_utf8_lossy(&to_bytes(&reasons.join("; "))).into_owned(),
        });
        changes.collect()
    }

    /// The text of a file as the changes so far leave it.
    pub(super) fn text(&self, path: &str) -> Result<Option<String>> {
        let Some(found) = self.view.find(path, LastLink::Follow)? else {
            return Ok(match self.changes.get(path) {
                Some((What::Write { contents, .. }, _)) => Some(to_text(contents)),
                _ => None,
            });
        };
        match self.changes.get(&found.path) {
            Some((What::Write { contents, .. }, _)) => Ok(Some(to_text(contents))),
            Some((What::Remove, _)) => Ok(None),
            _ => self.view.text(path),
        }
    }

    /// Whether something is at a path after the changes so far.
    pub(super) fn has(&self, path: &str) -> Result<bool> {
        let Some(real) = self.real(path)? else {
            return Ok(false);
        };
        match self.changes.get(&real) {
            Some((What::Remove, _)) => Ok(false),
            Some((What::Write { .. } | What::Link { .. } | What::Mkdir { .. }, _)) => Ok(true),
            _ => self.view.has(path),
        }
    }

    /// Whether a directory, by its path without links, goes as a whole or is emptied.
    pub(super) fn loses(&self, folder: &str) -> bool {
        let ends = folder.match_indices('/').map(|(at, _)| at);
        let mut ways = ends.chain([folder.len()]).filter_map(|at| folder.get(..at));
        ways.any(|way| {
            let change = self.changes.get(way).map(|(what, _)| what);
            matches!(change, Some(What::Remove | What::Empty))
        })
    }

    /// Says of what is at a path, and is no text file, that it is not changed.
    pub(super) fn passed_over(&mut self, path: &str, reason: &str) -> Result<()> {
        match self.has(path)? {
            true => self.keep(
                path,
                &format!("is no text file here, so it is not changed: {reason}"),
            ),
            false => Ok(()),
        }
    }

    /// Gives a text file that is there other contents; nothing where they are the same.
    pub(super) fn edit(
        &mut self,
        path: &str,
        reason: &str,
        edited: impl FnOnce(&str) -> String,
    ) -> Result<()> {
        let Some(before) = self.text(path)? else {
            // A folder is another system's way to keep the same.
            return match self.view.is_directory(path)? {
                true => Ok(()),
                false => self.passed_over(path, reason),
            };
        };
        let after = edited(&before);
        if after == before {
            return Ok(());
        }
        let found = self.view.find(path, LastLink::Follow)?;
        let (real, what) = match found {
            Some(found) => (
                found.path,
                What::Write {
                    contents: to_bytes(&after),
                    mode: found.metadata.permissions,
                    uid: found.metadata.uid,
                    gid: found.metadata.gid,
                },
            ),
            // It is new itself.
            None => (path.to_owned(), written(&after, 0o644)),
        };
        self.add(real, what, reason);
        Ok(())
    }

    /// Makes a text file that is not there; nothing where something is.
    pub(super) fn create(&mut self, path: &str, mode: u16, text: &str, reason: &str) -> Result<()> {
        if self.has(path)? {
            return Ok(());
        }
        if let Some(real) = self.room_for(path, reason)? {
            self.add(real, written(text, mode), reason);
        }
        Ok(())
    }

    /// Takes away what is at a path.
    pub(super) fn remove(&mut self, path: &str, reason: &str) -> Result<()> {
        if !self.has(path)? {
            return Ok(());
        }
        if let Some(real) = self.real(path)? {
            self.add(real, What::Remove, reason);
        }
        Ok(())
    }

    /// Takes away everything in a directory.
    pub(super) fn empty(&mut self, path: &str, reason: &str) -> Result<()> {
        let Some(found) = self.view.find(path, LastLink::Follow)? else {
            return Ok(());
        };
        if !self.view.names(path)?.is_empty() {
            self.add(found.path, What::Empty, reason);
        }
        Ok(())
    }

    /// Makes a symbolic link that is not there; nothing where something is.
    pub(super) fn link(&mut self, target: &str, path: &str, reason: &str) -> Result<()> {
        if self.has(path)? {
            return Ok(());
        }
        self.replace_by_link(target, path, reason)
    }

    /// Makes a symbolic link, in place of a file or link that is there.
    pub(super) fn replace_by_link(&mut self, target: &str, path: &str, reason: &str) -> Result<()> {
        let target = to_bytes(target);
        if let Some(real) = self.room_for(path, reason)? {
            self.add(real, What::Link { target }, reason);
        }
        Ok(())
    }

    /// Says what stays, or what a person has to see to.
    pub(super) fn keep(&mut self, path: &str, reason: &str) -> Result<()> {
        if let Some(real) = self.real(path)? {
            match self.changes.get_mut(&real) {
                Some((_, reasons)) => add_reason(reasons, reason),
                None => self.add(real, What::Keep, reason),
            }
        }
        Ok(())
    }

    fn add(&mut self, real: String, what: What, reason: &str) {
        let (known, reasons) = self
            .changes
            .entry(real)
            .or_insert_with(|| (What::Keep, Vec::new()));
        *known = what;
        add_reason(reasons, reason);
    }

    /// The way to a path by directories only, a link at its end kept; `None` where its directory
    /// is not in the tree.
    fn real(&self, path: &str) -> Result<Option<String>> {
        let (folder, name) = split(path);
        if let Some(found) = self.view.find(folder, LastLink::Follow)? {
            let is_directory = found.metadata.file_type == FileType::Directory;
            return Ok(is_directory.then(|| join(&found.path, name)));
        }
        // A directory that is made by these changes.
        let is_new = matches!(self.changes.get(folder), Some((What::Mkdir { .. }, _)));
        Ok(is_new.then(|| path.to_owned()))
    }

    /// The same, with the directories made that are missing; `None` where that cannot be, as where
    /// a link leads out.
    fn room_for(&mut self, path: &str, reason: &str) -> Result<Option<String>> {
        if let Some(real) = self.real(path)? {
            return Ok(Some(real));
        }
        let (folder, name) = split(path);
        if folder.is_empty() || self.view.has(folder)? {
            let reason = "is a link that leads nowhere in this tree, or no directory: what belongs \
                          in it is left out";
            if let Some(real) = self.real(folder)? {
                self.add(real, What::Keep, reason);
            }
            return Ok(None);
        }
        let Some(real) = self.room_for(folder, reason)? else {
            return Ok(None);
        };
        let directory = What::Mkdir {
            mode: 0o755,
            uid: 0,
            gid: 0,
        };
        let inside = join(&real, name);
        self.add(real, directory, reason);
        Ok(Some(inside))
    }
}

fn add_reason(reasons: &mut Vec<String>, reason: &str) {
    if !reasons.iter().any(|known| known == reason) {
        reasons.push(reason.to_owned());
    }
}

fn written(text: &str, mode: u16) -> What {
    What::Write {
        contents: to_bytes(text),
        mode,
        uid: 0,
        gid: 0,
    }
}
