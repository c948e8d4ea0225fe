//! Reads a descriptor, once.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::ploop::descriptor::{Descriptor, DescriptorError};
use crate::ploop::gate::{Gate, Reach};
use crate::source::{FileSource, Source};
use crate::util::bytes::to_usize;

/// A descriptor that was read, whatever it says.
#[derive(Debug)]
pub(super) struct DescriptorFile {
    pub(super) path: PathBuf,
    /// For its names, wherever they lead.
    pub(super) gate: Gate,
    /// Kept open to see whether it changes.
    pub(super) source: FileSource,
    /// Its first bytes, as many as one can have.
    pub(super) bytes: Vec<u8>,
    parsed: std::result::Result<Descriptor, DescriptorError>,
}

impl DescriptorFile {
    /// Opens and reads a file that may not lie farther away than `reach`.
    ///
    /// # Errors
    ///
    /// [`OpenError::Outside`](crate::ploop::OpenError::Outside) where it does,
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where it cannot be read. What it says is no error
    /// yet.
    pub(super) fn open(path: &Path, reach: Reach) -> Result<Self> {
        let gate = Gate::new(path, Reach::Anywhere)?;
        gate.narrowed(reach)?;
        let source = gate.open_descriptor()?;
        let len = source.len();
        let mut bytes = vec![0; to_usize(len.min(Descriptor::MAX_LEN))];
        source
            .read_exact_at(&mut bytes, 0)
            .map_err(|error| Error::io("reading", path, error))?;
        let parsed = if len > Descriptor::MAX_LEN {
            Err(DescriptorError::TooLarge(len))
        } else {
            Descriptor::parse(&bytes)
        };
        Ok(Self {
            path: path.to_owned(),
            gate,
            source,
            bytes,
            parsed,
        })
    }

    /// What it says.
    ///
    /// # Errors
    ///
    /// [`DescriptorError`] where it makes no sense or is of a kind that is not read.
    pub(super) fn descriptor(&self) -> Result<&Descriptor> {
        let wrong = |why: &DescriptorError| Error::during("reading", why.clone()).of(&self.path);
        self.parsed.as_ref().map_err(wrong)
    }
}
