//! Carries an update out.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use super::error::UpdateError;
use super::plan::UpdatePlan;
use super::prints::TargetPrint;
use super::ranges::few;
use super::state::State;
use crate::convert::checksum::{ChecksumFile, digest_of};
use crate::convert::error::ConvertError;
use crate::convert::fill::read_back;
use crate::convert::filled::readable;
use crate::convert::options::Sparse;
use crate::convert::resources::Resources;
use crate::convert::stale::{StaleSums, remove_leftovers};
use crate::copy::{CopyOptions, Summary, copy_ranges};
use crate::disk::{RawDisk, VirtualDisk};
use crate::error::{Error, Result};
use crate::format::FileBefore;
use crate::hash::Algorithm;
use crate::sink::{
    BlockSink, ClonedFile, ExistingSink, FileInPlace, InPlace, PathLock, Reflink, TargetError,
    Token,
};

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

/// An update that did not come to its end.
#[derive(Debug)]
pub struct UpdateFailure {
    /// Why.
    pub error: Error,
    /// What it left.
    pub left: Left,
}

/// What an update leaves that did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The target is what it was.
    AsItWas,
    /// The target has no valid start, and running the same update again makes it right.
    Incomplete,
    /// The target has no valid start, and only all of the disk makes it right.
    Wrong,
    /// The target is complete, and what is kept of it does not say so.
    Complete,
}

impl UpdatePlan {
    /// Copies what changed. Where a new file takes the place of the old one, that is complete or
    /// the old one is as it was; else the target has no valid start until all of it is there, and
    /// running the same update again makes it right.
    ///
    /// # Errors
    ///
    /// What the disk or the target says, [`ErrorKind::Stopped`](crate::ErrorKind::Stopped),
    /// [`ConvertError::WrongTarget`] where the target was read back and is wrong.
    pub fn run(self, resources: &Resources<'_>) -> std::result::Result<Updated, UpdateFailure> {
        let left = Cell::new(match self.goes_on() {
            true => Left::Incomplete,
            false => Left::AsItWas,
        });
        let done = self.bring(resources, &left);
        done.map_err(|error| UpdateFailure {
            error,
            left: left.get(),
        })
    }

    fn bring(mut self, resources: &Resources<'_>, left: &Cell<Left>) -> Result<Updated> {
        let lock = self.claim()?;
        remove_leftovers(&self.target, false);
        let checksum = ChecksumFile::admit(&self.options, &self.target, false)?;
        let mut sums = StaleSums::of(&self.target, &self.input)?;
        let cloned = self.cloned(resources)?;
        let replaced = cloned.is_some();
        let sink = match cloned {
            Some(sink) => sink,
            None => self.in_place(&sums, left)?,
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
        if self.options.read_back {
            self.read_back(&*sink, replaced, resources)
                .inspect_err(|error| {
                    let is_wrong = matches!(error.detail(), Some(ConvertError::WrongTarget { .. }));
                    if !replaced && is_wrong {
                        left.set(self.distrust());
                    }
                })?;
        }
        let format = &*self.format;
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
        let finish = || {
            sink.finish()?;
            left.set(Left::Complete);
            Ok(())
        };
        let mut written = None;
        match (checksum, digest) {
            (Some(file), Some((algorithm, digest))) => {
                written = Some((file.path().to_owned(), algorithm, digest.clone()));
                let digests = [(digest, self.target.as_path())];
                file.write(&digests, durability, resources.partials, finish, || ())?;
            }
            _ => finish()?,
        }
        let is_at = |lock: &PathLock| lock.is_at(&self.target);
        if !replaced && !lock.as_ref().is_none_or(is_at) {
            left.set(Left::AsItWas);
            return Err(self.changed("another file took its place meanwhile"));
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

    /// Compares the target with the disk.
    fn read_back(
        &self,
        sink: &dyn ExistingSink,
        replaced: bool,
        resources: &Resources<'_>,
    ) -> Result<()> {
        let format = &*self.format;
        let fate = match replaced {
            true => "was not put in the place of the old one",
            false if format.is_plain() => "its first MiB was made zeros",
            false => "its header was made zeros",
        };
        read_back(sink, &self.input, format, fate, resources)
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

    /// Keeps other updates of the same file out: two at a time would make a mixture, and each would
    /// call it right. A device has one writer at a time anyway ([`BlockSink`]), and udev locks it
    /// now and then.
    fn claim(&self) -> Result<Option<PathLock>> {
        let lock = match self.is_device {
            true => None,
            false => match PathLock::take(&self.target)? {
                None => {
                    let (path, user) = (self.target.clone(), "changed by another update");
                    let user = user.to_owned();
                    return Err(TargetError::InUse { path, user }.into());
                }
                lock => lock,
            },
        };
        match State::read(&self.state_path)? == self.read {
            true => Ok(lock),
            false => Err(self.changed("another update of it came to its end meanwhile")),
        }
    }

    fn changed(&self, why: &str) -> Error {
        UpdateError::Target {
            path: self.target.clone(),
            why: why.to_owned(),
        }
        .into()
    }

    /// The target itself. Its state says that it is changed before it is, and not before it can be.
    fn in_place(&mut self, sums: &StaleSums, left: &Cell<Left>) -> Result<Box<dyn ExistingSink>> {
        let durability = self.options.durability;
        let size = self.input.disk().size();
        let (path, change) = (self.target.clone(), self.change.take());
        if self.is_device {
            let mut device = BlockSink::open_as_it_is(&path, size, durability)?;
            let token = self.begin(sums, left)?;
            device.begin(&token)?;
            return Ok(Box::new(device));
        }
        let mut file = FileInPlace::open(&path, durability)?;
        let token = self.begin(sums, left)?;
        Ok(match change {
            None => {
                file.begin(&InPlace::raw(size, &token))?;
                Box::new(file)
            }
            Some(change) => {
                file.begin(&InPlace {
                    head: FileBefore::HEAD,
                    kept: change.before().len,
                    size: change.file_len(),
                    token: &token,
                })?;
                change.sink(Box::new(file))
            }
        })
    }

    /// Writes down that what the target holds is not what its state says, so that the next update
    /// believes neither.
    fn distrust(&self) -> Left {
        let state = State {
            token: None,
            ..self.state.clone()
        };
        match state.write(&self.state_path) {
            Ok(()) if self.format.is_plain() => Left::Incomplete,
            _ => Left::Wrong,
        }
    }

    /// Writes down that the target is changed from now on.
    fn begin(&mut self, sums: &StaleSums, left: &Cell<Left>) -> Result<Token> {
        // Where an earlier update has left its token, that is still there.
        let token = self.state.token().unwrap_or_else(Token::random);
        self.state.set_changed(&few(self.ranges.clone()));
        self.state.under_way = true;
        self.state.before = Some(self.before.clone());
        self.state.token = Some(token.as_str().to_owned());
        self.state.write(&self.state_path)?;
        sums.remove()?;
        left.set(Left::Incomplete);
        Ok(token)
    }

    /// What the target holds when it is complete, but for what shows that it stayed so.
    fn new_state(&self) -> Result<State> {
        let mut state = State {
            under_way: false,
            before: None,
            token: None,
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
