//! `TARGET.lost`: the list of what a conversion lost.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufWriter, Read as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ploopconv::salvage::{Mapfile, SIGNATURE};
use ploopconv::sink::{PartialFile, Partials};
use ploopconv::{Error, text};

use super::target::Target;
use crate::cli::exit::Usage;
use crate::cli::losses::Account;
use crate::cli::open::Salvage;
use crate::cli::side::Side;

/// A list under its temporary name. It is there before the first byte is copied, so that no long
/// rescue ends because there is no place for its list.
pub(super) struct LostFile {
    file: PartialFile,
    /// Where it will be, as the target was typed.
    path: PathBuf,
}

impl LostFile {
    /// Makes an empty list: beside a file; for a device or a stream, which have no place beside
    /// them, in the current directory.
    pub(super) fn create(
        target: &Target,
        replace: bool,
        source: &Side,
        partials: &Arc<Partials>,
    ) -> anyhow::Result<Self> {
        let sources = &source.files;
        let path = match target {
            Target::File(path) | Target::Directory(path) => beside(path),
            Target::Device(path) | Target::Stream(path) => in_current_directory(path, sources)?,
            Target::Stdout => in_current_directory(Path::new("stdout"), sources)?,
        };
        let salvage = source.salvage.as_ref();
        if salvage.is_some_and(|salvage| salvage.is_read_from(&path)) {
            return Err(Error::TargetIsSource { path }.into());
        }
        let file = PartialFile::create(&path, replace, partials)?;
        Ok(Self { file, path })
    }

    /// Where the list will be.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the list of a disk of `size` bytes; it has no name yet.
    pub(super) fn write(
        &self,
        salvage: &Salvage,
        size: u64,
        account: &Account,
        image: &str,
    ) -> Result<(), Error> {
        let failed = |source| self.file.failed(source);
        let mut comments = vec![
            format!("What was lost of {image}, in bytes of the disk."),
            "+ read; - lost, zeros stand for it; / doubtful: read as stored, may be wrong"
                .to_owned(),
        ];
        comments.extend(account.lines(usize::MAX));
        let comments: Vec<_> = comments.iter().map(|line| text::safe(line)).collect();
        let out = BufWriter::new(self.file.file());
        let comments = comments.iter().map(AsRef::as_ref);
        let mut map = Mapfile::begin(out, size, comments).map_err(failed)?;
        for loss in salvage.losses() {
            map.add(&loss?).map_err(failed)?;
        }
        map.finish().map_err(failed)
    }

    /// Gives the list its name.
    pub(super) fn finish(self, sync: bool) -> Result<(), Error> {
        self.file.finish(sync)
    }
}

/// Removes the list of an older conversion, which says nothing about the new target. What is not
/// ours stays.
pub(super) fn remove_stale(target: &Path) {
    let path = beside(target);
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

fn in_current_directory(target: &Path, sources: &[PathBuf]) -> Result<PathBuf, Usage> {
    let name = target.file_name().unwrap_or(OsStr::new("target"));
    let identity = |path: &Path| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.dev(), meta.ino()))
    };
    let here = identity(Path::new("."));
    let folders = sources.iter().filter_map(|file| identity(file.parent()?));
    if here.is_some() && folders.into_iter().any(|folder| Some(folder) == here) {
        let mistake = "for such a target the list of what is lost goes into the current directory, \
                       and that is the image's own; change to another one";
        return Err(Usage(mistake.to_owned()));
    }
    Ok(beside(Path::new(name)))
}
