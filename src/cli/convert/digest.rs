//! The digest of a target, computed while it is filled.

use std::path::Path;

use ploopconv::Result;
use ploopconv::copy::{Observer, Summary};
use ploopconv::hash::{Algorithm, Hasher};
use ploopconv::qcow2::Qcow2Sink;
use ploopconv::sink::Sink;

/// A target that is open.
pub(super) enum OpenSink {
    Qcow2(Box<Qcow2Sink>),
    Other(Box<dyn Sink>),
}

impl OpenSink {
    pub(super) fn sink(&self) -> &dyn Sink {
        match self {
            Self::Qcow2(sink) => sink.as_ref(),
            Self::Other(sink) => sink.as_ref(),
        }
    }

    /// See [`Sink::finish`].
    pub(super) fn finish(self) -> Result<()> {
        match self {
            Self::Qcow2(sink) => sink.finish(),
            Self::Other(sink) => sink.finish(),
        }
    }

    /// Lets `copy` fill the sink, and computes a digest on the way: of the file as it will be, or
    /// of the disk in it. Where nobody knows the file before its last byte is written, `read`
    /// computes the digest of the file at a path.
    pub(super) fn digest(
        &self,
        algorithm: Algorithm,
        copy: impl FnOnce(Option<&mut dyn Observer>) -> Result<Summary>,
        read: impl FnOnce(&Path) -> Result<String>,
    ) -> Result<(Summary, String)> {
        let mut hasher = Hasher::new(algorithm);
        let (Self::Qcow2(sink), Algorithm::Sha256) = (self, algorithm) else {
            let summary = copy(Some(&mut hasher))?;
            return Ok((summary, hasher.finish()));
        };
        let mut see = |bytes: &[u8]| hasher.data(bytes, &[]);
        if let Some(mut file) = sink.file_bytes(&mut see) {
            let summary = copy(Some(&mut file))?;
            file.complete()?;
            return Ok((summary, hasher.finish()));
        }
        let summary = copy(None)?;
        sink.complete()?;
        Ok((summary, read(sink.path())?))
    }
}
