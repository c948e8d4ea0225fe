//! Carries an update out.

use std::path::{Path, PathBuf};

use super::plan::UpdatePlan;
use super::prints::TargetPrint;
use super::ranges::few;
use super::state::State;
use crate::convert::checksum::{ChecksumFile, digest_of};
use crate::convert::fill::read_back;
use crate::convert::filled::readable;
use crate::convert::options::Sparse;
use crate::convert::resources::Resources;
use crate::convert::stale::StaleSums;
use crate::copy::{CopyOptions, Summary, copy_ranges};
use crate::disk::{RawDisk, VirtualDisk};
use crate::error::Result;
use crate::format::FileBefore;
use crate::hash::Algorithm;
use crate::sink::{BlockSink, ClonedFile, ExistingSink, FileInPlace, Reflink, TargetError};

/// A target that was brought up to date.
#[derive(Debug)]
pub struct Updated {
    /// What the copy did.
    pub summary: Summary,
    /// Whether a new file that shares what stayed took the place of the old one; else the target
    /// was changed where it lies.
    pub replaced: bool,
    /// With a checksum: its file, how it was computed, and the digest.
    pub checksum: Option<(PathBuf, Algorithm, String)>,
    /// Checksum files of what the target held before, which were removed.
    pub removed: Vec<PathBuf>,
    /// Others that still have a line with its older digest.
    pub stale: Vec<PathBuf>,
    /// The snapshot that the next update begins at.
    pub snapshot: String,
}

impl UpdatePlan {
    /// Copies what changed. Where a new file takes the place of the old one, that is complete or
    /// the old one is as it was; else the target has no valid start until all of it is there, and
    /// running the same update again makes it right.
    ///
    /// # Errors
    ///
    /// What the disk or the target says, [`ErrorKind::Stopped`](crate::ErrorKind::Stopped),
    /// [`ConvertError::WrongTarget`](crate::convert::ConvertError::WrongTarget) where the target
    /// was read back and is wrong.
    pub fn run(mut self, resources: &Resources<'_>) -> Result<Updated> {
        let checksum = ChecksumFile::admit(&self.options, &self.target, false)?;
        let mut sums = StaleSums::of(&self.target, &self.input)?;
        let cloned = self.cloned(resources)?;
        let replaced = cloned.is_some();
        let sink: Box<dyn ExistingSink> = match cloned {
            Some(sink) => sink,
            None => {
                // From now on they are wrong.
                sums.remove()?;
                self.in_place()?
            }
        };
        let options = CopyOptions {
            find_zeros: self.options.sparse == Sparse::Always,
            stop: resources.stop,
        };
        let summary = copy_ranges(
            self.input.disk(),
            &self.ranges,
            &*sink,
            resources.workers,
            options,
            resources.progress,
        )?;
        let mut digest = None;
        if replaced || self.options.read_back || checksum.is_some() {
            sink.complete()?;
        }
        let format = &*self.format;
        if self.options.read_back {
            let fate = match replaced {
                true => "was not put in the place of the old one",
                false if format.is_plain() => "its first MiB was made zeros",
                false => "its header was made zeros",
            };
            read_back(&*sink, &self.input, format, fate, resources)?;
        }
        if let Some(algorithm) = self.options.checksum {
            let found = self.digest(readable(&*sink)?, algorithm, resources)?;
            digest = Some((algorithm, found));
        }
        let now = self.new_state()?;
        if replaced {
            self.state.next = Some(Box::new(State {
                target: TargetPrint::of(readable(&*sink)?, now.size, format)?,
                ..now.clone()
            }));
            self.state.write(&self.state_path)?;
            sums.remove()?;
        }
        let durability = self.options.durability;
        let mut written = None;
        match (checksum, digest) {
            (Some(file), Some((algorithm, digest))) => {
                written = Some((file.path().to_owned(), algorithm, digest.clone()));
                let digests = [(digest, self.target.as_path())];
                let finish = || sink.finish();
                file.write(&digests, durability, resources.partials, finish, || ())?;
            }
            _ => sink.finish()?,
        }
        let size = self.input.disk().size();
        let state = State {
            target: TargetPrint::of(&self.target, size, format)?,
            ..now
        };
        state.write(&self.state_path)?;
        let stale = std::mem::take(&mut sums.shared);
        Ok(Updated {
            summary,
            replaced,
            removed: sums.gone(written.as_ref().map(|(file, ..)| file.as_path())),
            checksum: written,
            stale,
            snapshot: state.snapshot,
        })
    }

    /// The digest of the target at `path`: of the file, or of the disk in it.
    fn digest(
        &self,
        path: &Path,
        algorithm: Algorithm,
        resources: &Resources<'_>,
    ) -> Result<String> {
        let target: Box<dyn VirtualDisk> = match algorithm {
            Algorithm::Blkhash => self.format.open(path)?,
            Algorithm::Sha256 => Box::new(RawDisk::open(path)?),
        };
        let (workers, stop) = (resources.workers, resources.stop);
        digest_of(&*target, algorithm, workers, stop, resources.progress)
    }

    /// A new file that shares its blocks with the target, where the file system can do that.
    fn cloned(&mut self, resources: &Resources<'_>) -> Result<Option<Box<dyn ExistingSink>>> {
        let reflink = self.options.reflink;
        if !self.may_be_replaced() {
            return Ok(None);
        }
        let durability = self.options.durability;
        let change = self.change.as_ref();
        let size = change.map_or(self.input.disk().size(), |change| change.file_len());
        match ClonedFile::create(&self.target, size, durability, resources.partials) {
            Ok(file) => Ok(Some(match self.change.take() {
                None => Box::new(file),
                Some(change) => change.sink(Box::new(file)),
            })),
            Err(error) => match error.detail() {
                Some(TargetError::CannotShare { .. }) if reflink == Reflink::Auto => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// The target itself, once its state says that it is changed.
    fn in_place(&mut self) -> Result<Box<dyn ExistingSink>> {
        let size = self.input.disk().size();
        let changed = few(self.ranges.clone());
        self.state.set_changed(&changed);
        self.state.under_way = true;
        self.state.before = Some(self.before.clone());
        self.state.write(&self.state_path)?;
        let durability = self.options.durability;
        let path = &self.target;
        Ok(match (self.is_device, self.change.take()) {
            (true, _) => Box::new(BlockSink::open(path, size, durability)?),
            (false, None) => Box::new(FileInPlace::open(path, size, durability)?),
            (false, Some(change)) => {
                let (kept, size) = (change.before().len, change.file_len());
                let head = FileBefore::HEAD;
                let file = FileInPlace::open_kept(path, head, kept, size, durability)?;
                change.sink(Box::new(file))
            }
        })
    }

    /// What the target holds when it is complete, but for what shows that it stayed so.
    fn new_state(&self) -> Result<State> {
        let mut state = State {
            under_way: false,
            before: None,
            next: None,
            ..self.state.clone()
        };
        if self.origin.is_closed {
            // All of it is the state of a snapshot.
            state.set_origin(&self.origin, self.input.disk().size())?;
        } else {
            state.set_changed(&few(self.ranges.clone()));
        }
        Ok(state)
    }
}
