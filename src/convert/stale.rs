//! Checksum files that a target leaves behind when it becomes another one.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::checksum::{named_in, of_all, of_one, read_list};
use super::input::Input;
use super::target::Target;
use crate::error::{Error, Result};
use crate::hash::Algorithm;
use crate::sink::PartialFile;
use crate::source::is_absence;

/// Removes what killed runs left of the checksum files of a target.
pub(super) fn remove_leftovers(target: &Path, is_directory: bool) {
    for algorithm in [Algorithm::Sha256, Algorithm::Blkhash] {
        PartialFile::remove_leftovers(&match is_directory {
            true => target.join(of_all(algorithm)),
            false => of_one(target.as_os_str().to_owned(), algorithm),
        });
    }
}

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
                let Some(text) = read_list(&file)? else {
                    continue;
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

/// Checksum files of what targets hold that are replaced, as they were before that.
#[derive(Debug, Default)]
pub(super) struct EarlierSums(Vec<(PathBuf, Vec<u8>)>);

impl EarlierSums {
    /// Finds those that a conversion to the same place would write. One that cannot be read is
    /// passed over: this conversion does not need it.
    pub(super) fn of(target: &Target, replaced: &[&Path]) -> Self {
        let names = replaced.iter().filter_map(|path| path.file_name());
        let names: Vec<&[u8]> = names.map(OsStr::as_encoded_bytes).collect();
        let of = |algorithm| match target {
            Target::Directory(folder) => Some(folder.join(of_all(algorithm))),
            Target::File(path) => Some(of_one(path.clone().into_os_string(), algorithm)),
            Target::Device(_) | Target::Stream(_) | Target::Open(_) => None,
        };
        let files = [Algorithm::Sha256, Algorithm::Blkhash]
            .into_iter()
            .filter_map(of);
        let texts = files.filter_map(|file| {
            let text = read_list(&file).ok()??;
            let named = named_in(&text);
            let is_about = named.iter().any(|named| names.contains(&named.as_slice()));
            is_about.then_some((file, text))
        });
        Self(texts.collect())
    }

    /// Those that say what they said before; `written` has what the targets hold now.
    pub(super) fn left(self, written: Option<&Path>) -> Vec<PathBuf> {
        let left = self.0.into_iter().filter(|(file, before)| {
            let now = read_list(file).unwrap_or_default();
            Some(file.as_path()) != written && now.as_ref() == Some(before)
        });
        left.map(|(file, _)| file).collect()
    }
}
