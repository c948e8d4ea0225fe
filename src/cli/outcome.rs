//! How a command ended: well, or with an error that says more than its text.

use std::fmt;
use std::process::ExitCode;

/// How a command ended that did what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Done, clean, equal.
    Done,
    /// The answer is no: two disks differ.
    Different,
    /// The answer is no: there is less room than is needed.
    NoRoom,
    /// Part of what was asked for could not be done.
    Incomplete,
    /// The image is damaged.
    Damaged,
    /// The image is in use.
    InUse,
    /// Done, and part of it is lost.
    Salvaged,
    /// As another process ended that did the work.
    Status(u8),
}

impl Verdict {
    pub(crate) fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Different | Self::NoRoom | Self::Incomplete => 1,
            Self::Damaged => 3,
            Self::InUse => 4,
            Self::Salvaged => 5,
            Self::Status(status) => status,
        }
    }

    /// What reports call it; nothing for a command that has nothing to say about its ending.
    pub(crate) fn code(self) -> Option<&'static str> {
        match self {
            Self::Done | Self::Status(_) => None,
            Self::Different => Some("different"),
            Self::NoRoom => Some("no-room"),
            Self::Incomplete => Some("incomplete"),
            Self::Damaged => Some("damaged"),
            Self::InUse => Some("in-use"),
            Self::Salvaged => Some("salvaged"),
        }
    }
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        Self::from(verdict.status())
    }
}

/// A mistake of the command line that shows only when its parts are seen together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// What was being done, and what there is to say about it besides: a line each.
#[derive(Debug)]
pub(crate) struct Noted {
    pub(crate) doing: String,
    pub(crate) notes: Vec<String>,
}

impl fmt::Display for Noted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.doing)
    }
}

/// An error that came when the report was on stdout already: there is no second one.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
pub(crate) struct Reported(pub(super) anyhow::Error);

impl Reported {
    /// For `map_err` after the report of a command.
    pub(crate) fn after(error: impl Into<anyhow::Error>) -> anyhow::Error {
        Self(error.into()).into()
    }
}
