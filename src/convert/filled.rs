//! A target that is filled, and has no name yet.

use std::path::Path;

use crate::copy::Summary;
use crate::error::Result;
use crate::format::tar::TarWritten;
use crate::sink::{Sink, TargetError};

/// An image that is filled, and has no name yet.
pub(super) struct Filled {
    pub(super) sink: Box<dyn Sink>,
    pub(super) summary: Summary,
    pub(super) digest: Option<String>,
    /// What became of an archive.
    pub(super) archive: Option<TarWritten>,
}

/// Where what a sink made can be read back.
pub(super) fn readable(sink: &dyn Sink) -> Result<&Path> {
    let unreadable = || {
        TargetError::Kind {
            path: "the target".into(),
            why: "what was written to it is gone and cannot be read back",
        }
        .into()
    };
    sink.readable_at().ok_or_else(unreadable)
}
