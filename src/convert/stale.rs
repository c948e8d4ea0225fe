//! Checksum files that targets leave behind when they become others.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::checksum::{named_in, of_all, of_one};
use super::input::Input;
use crate::error::{Error, Result};
use crate::hash::Algorithm;
use crate::source::is_absence;

/// What became of checksum files that say what targets held before.
#[derive(Debug, Default)]
pub struct OldSums {
    /// Those that were removed.
    pub removed: Vec<PathBuf>,
    /// Those with a line about something else too, which are still there.
    pub left: Vec<PathBuf>,
}

/// What beside targets says what they held.
#[derive(Debug, Default)]
pub(super) struct StaleSums {
    /// Files with nothing but lines about these targets.
    own: Vec<PathBuf>,
    /// Files with a line about one of them and others about something else.
    shared: Vec<PathBuf>,
}

impl StaleSums {
    /// Finds those of targets in one directory; those that belong to the disk that is read are left
    /// out.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where one cannot be read.
    pub(super) fn of(targets: &[&Path], input: &Input) -> Result<Self> {
        let Some(first) = targets.first() else {
            return Ok(Self::default());
        };
        let names = targets.iter().filter_map(|target| target.file_name());
        let names: Vec<&OsStr> = names.collect();
        let is_target = |named: &[u8]| names.iter().any(|name| name.as_encoded_bytes() == named);
        let mut found = Self::default();
        for algorithm in [Algorithm::Sha256, Algorithm::Blkhash] {
            let own = names.iter().map(|&name| of_one(name.to_owned(), algorithm));
            for file in own.chain([of_all(algorithm).into()]) {
                let file = first.with_file_name(file);
                if input.is_file_of_it(&file) {
                    continue;
                }
                let text = match std::fs::read(&file) {
                    Ok(text) => text,
                    Err(error) if is_absence(&error) => continue,
                    Err(error) => return Err(Error::io("reading", &file, error)),
                };
                let named = named_in(&text);
                let of_targets = named.iter().filter(|named| is_target(named)).count();
                let lines = text.split(|&byte| byte == b'\n');
                match lines.filter(|line| !line.is_empty()).count() {
                    _ if of_targets == 0 => {}
                    lines if lines == of_targets => found.own.push(file),
                    _ => found.shared.push(file),
                }
            }
        }
        Ok(found)
    }

    /// Leaves out a file that is made anew.
    pub(super) fn without(mut self, written: Option<&Path>) -> Self {
        for files in [&mut self.own, &mut self.shared] {
            files.retain(|file| Some(file.as_path()) != written);
        }
        self
    }

    /// Removes the files that are about the target alone.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where that fails: what would stay is wrong.
    pub(super) fn remove(&self) -> Result<()> {
        self.own.iter().try_for_each(|file| {
            let removed = std::fs::remove_file(file);
            removed.or_else(|error| match is_absence(&error) {
                true => Ok(()),
                false => Err(Error::io("removing", file, error)),
            })
        })
    }

    /// What became of them, after [`StaleSums::remove`].
    pub(super) fn fate(self) -> OldSums {
        OldSums {
            removed: self.own,
            left: self.shared,
        }
    }
}
