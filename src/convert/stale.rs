//! Checksum files that a target leaves behind when it becomes another one.

use std::path::{Path, PathBuf};

use super::checksum::{named_in, of_all, of_one};
use super::input::Input;
use crate::error::{Error, Result};
use crate::hash::Algorithm;
use crate::source::is_absence;

/// What beside a target says what it held.
#[derive(Debug, Default)]
pub(super) struct StaleSums {
    /// Files with one line, about this target: it alone had them.
    own: Vec<PathBuf>,
    /// Files with a line about the target and others about something else.
    pub(super) shared: Vec<PathBuf>,
}

impl StaleSums {
    /// Finds them; those that belong to the disk that is read are left out.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where one cannot be read.
    pub(super) fn of(target: &Path, input: &Input) -> Result<Self> {
        let Some(name) = target.file_name() else {
            return Ok(Self::default());
        };
        let mut found = Self::default();
        for algorithm in [Algorithm::Sha256, Algorithm::Blkhash] {
            let own = of_one(name.to_owned(), algorithm);
            for file in [
                target.with_file_name(own),
                target.with_file_name(of_all(algorithm)),
            ] {
                if input.is_file_of_it(&file) {
                    continue;
                }
                let text = match std::fs::read(&file) {
                    Ok(text) => text,
                    Err(error) if is_absence(&error) => continue,
                    Err(error) => return Err(Error::io("reading", &file, error)),
                };
                let names = named_in(&text);
                if !names.iter().any(|named| named == name.as_encoded_bytes()) {
                    continue;
                }
                let lines = text.split(|&byte| byte == b'\n');
                match lines.filter(|line| !line.is_empty()).count() {
                    1 => found.own.push(file),
                    _ => found.shared.push(file),
                }
            }
        }
        Ok(found)
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

    /// Those that are gone for good, where `written` is made anew.
    pub(super) fn gone(self, written: Option<&Path>) -> Vec<PathBuf> {
        let own = self.own.into_iter();
        own.filter(|file| Some(file.as_path()) != written).collect()
    }
}
