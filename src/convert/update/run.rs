//! Carries an update out.

use std::path::PathBuf;

use super::plan::UpdatePlan;
use super::prints::TargetPrint;
use super::ranges::few;
use super::state::{State, layers};
use crate::convert::checksum::{ChecksumFile, digest_of};
use crate::convert::fill::read_back;
use crate::convert::filled::readable;
use crate::convert::options::Sparse;
use crate::convert::resources::Resources;
use crate::copy::{CopyOptions, Summary, copy_ranges};
use crate::disk::RawDisk;
use crate::error::Result;
use crate::format::TargetFormat;
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
        let cloned = self.cloned(resources)?;
        let replaced = cloned.is_some();
        let sink: Box<dyn ExistingSink> = match cloned {
            Some(sink) => Box::new(sink),
            None => self.in_place()?,
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
        let mut sums = None;
        if replaced || self.options.read_back || checksum.is_some() {
            sink.complete()?;
        }
        if self.options.read_back
            && let TargetFormat::Disk(format) = &self.options.format
        {
            let fate = match replaced {
                true => "was not put in the place of the old one",
                false => "its first MiB was made zeros",
            };
            read_back(&*sink, &self.input, &**format, fate, resources)?;
        }
        if let Some(algorithm) = self.options.checksum {
            let target = RawDisk::open(readable(&*sink)?)?;
            let (workers, stop) = (resources.workers, resources.stop);
            let digest = digest_of(&target, algorithm, workers, stop, resources.progress)?;
            sums = Some((algorithm, digest));
        }
        let now = self.new_state()?;
        if replaced {
            self.state.next = Some(Box::new(State {
                target: TargetPrint::of(readable(&*sink)?, now.size)?,
                ..now.clone()
            }));
            self.state.write(&self.state_path)?;
        }
        let durability = self.options.durability;
        let mut written = None;
        match (checksum, sums) {
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
            target: TargetPrint::of(&self.target, size)?,
            ..now
        };
        state.write(&self.state_path)?;
        Ok(Updated {
            summary,
            replaced,
            checksum: written,
            snapshot: state.snapshot,
        })
    }

    /// A new file that shares its blocks with the target, where the file system can do that.
    fn cloned(&self, resources: &Resources<'_>) -> Result<Option<ClonedFile>> {
        let reflink = self.options.reflink;
        if !self.may_be_replaced() {
            return Ok(None);
        }
        let (size, durability) = (self.input.disk().size(), self.options.durability);
        match ClonedFile::create(&self.target, size, durability, resources.partials) {
            Ok(sink) => Ok(Some(sink)),
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
        self.state.write(&self.state_path)?;
        let durability = self.options.durability;
        Ok(match self.is_device {
            true => Box::new(BlockSink::open(&self.target, size, durability)?),
            false => Box::new(FileInPlace::open(&self.target, size, durability)?),
        })
    }

    /// What the target holds when it is complete, but for what shows that it stayed so.
    fn new_state(&self) -> Result<State> {
        let mut state = State {
            under_way: false,
            next: None,
            ..self.state.clone()
        };
        if self.origin.is_closed {
            // All of it is the state of a snapshot.
            state.snapshot = self.origin.snapshot.to_string();
            state.layers = layers(&self.origin)?;
            state.size = self.input.disk().size();
            state.set_changed(&[]);
        } else {
            state.set_changed(&few(self.ranges.clone()));
        }
        Ok(state)
    }
}
