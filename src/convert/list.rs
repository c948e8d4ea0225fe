//! `TARGET.lost`: the list of what a conversion lost.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufWriter, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::account::Account;
use super::error::ConvertError;
use super::input::Input;
use super::options::ConvertOptions;
use super::target::Target;
use crate::error::Result;
use crate::salvage::{Mapfile, SIGNATURE};
use crate::sink::{Durability, PartialFile, Partials};
use crate::util::text;

/// A list under its temporary name. It is there before the first byte is copied, so that no long
/// rescue ends because there is no place for its list.
pub(super) struct LossList {
    file: PartialFile,
    /// Where it will be, as the target was typed.
    path: PathBuf,
}

impl LossList {
    /// Makes an empty list: beside a file; for a device or a stream, which have no place beside
    /// them, in the directory that the options name.
    pub(super) fn create(
        target: &Target,
        options: &ConvertOptions,
        input: &Input,
        partials: &Arc<Partials>,
    ) -> Result<Self> {
        let path = match target {
            Target::File(path) | Target::Directory(path) => beside(path),
            Target::Device(_) | Target::Stream(_) | Target::Open(_) => {
                let name = target.name().file_name().unwrap_or(OsStr::new("target"));
                let name = beside(Path::new(name));
                match options.lists.as_os_str() == "." {
                    true => name,
                    false => options.lists.join(name),
                }
            }
        };
        if input.is_file_of_it(&path) {
            return Err(ConvertError::TargetIsSource { path }.into());
        }
        let file = PartialFile::create(&path, options.if_exists, partials)?;
        Ok(Self { file, path })
    }

    /// Finds out what is lost of a disk that was read, and writes it down; the list has no name
    /// yet.
    pub(super) fn write(&self, input: &Input) -> Result<Account> {
        let mut account = Account::of(input)?;
        let failed = |source| self.file.failed(source);
        let mut comments = vec![
            format!("What was lost of {}, in bytes of the disk.", input.name()),
            "+ read; - lost, zeros stand for it; / doubtful: read as stored, may be wrong"
                .to_owned(),
        ];
        comments.extend(account.lines(usize::MAX));
        let comments: Vec<_> = comments.iter().map(|line| text::safe(line)).collect();
        let out = BufWriter::new(self.file.file());
        let comments = comments.iter().map(AsRef::as_ref);
        let mut map = Mapfile::begin(out, input.disk().size(), comments).map_err(failed)?;
        for loss in input.losses() {
            map.add(&loss?).map_err(failed)?;
        }
        map.finish().map_err(failed)?;
        account.list = Some(self.path.clone());
        Ok(account)
    }

    /// Gives the list its name.
    pub(super) fn finish(self, durability: Durability) -> Result<()> {
        self.file.finish(durability)
    }
}

/// Removes the list of an older conversion, which says nothing about the new target. What no
/// conversion wrote stays, and so does a file of the source.
pub(super) fn remove_stale(target: &Path, input: &Input) {
    let path = beside(target);
    if input.is_file_of_it(&path) {
        return;
    }
    let mut start = vec![0; SIGNATURE.len()];
    let read = File::open(&path).and_then(|mut file| file.read_exact(&mut start));
    if read.is_ok() && start == SIGNATURE.as_bytes() {
        // It is not worth failing for: the target is complete.
        let _ = std::fs::remove_file(path);
    }
}

fn beside(target: &Path) -> PathBuf {
    let mut path = OsString::from(target);
    path.push(".lost");
    PathBuf::from(path)
}
