//! Exit statuses, and the last words before one.

use std::io;
use std::process::ExitCode;

use ploopconv::{Class, Error};

use super::hints::{Typed, hint};
use super::output::complain;
use super::signals::Interrupted;

/// How a command ended that did what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Done, clean, equal.
    Done,
    /// The answer is no: it does not fit.
    No,
    /// The image is damaged.
    Damaged,
    /// The image is in use.
    InUse,
    /// Done, and part of it is lost.
    Salvaged,
    /// As another process ended that did the work.
    Status(u8),
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        Self::from(match verdict {
            Verdict::Done => 0,
            Verdict::No => 1,
            Verdict::Damaged => 3,
            Verdict::InUse => 4,
            Verdict::Salvaged => 5,
            Verdict::Status(status) => status,
        })
    }
}

/// A mistake of the command line that shows only when its parts are seen together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// Says what went wrong and what could be typed next, and gives the exit status for it.
pub(crate) fn report(error: &anyhow::Error, typed: &Typed) -> ExitCode {
    if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
        complain(&format!("{error:#}"));
        return ExitCode::from(interrupted.status());
    }
    let ours = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Error>());
    if let Some(status) = closed_pipe(error, ours) {
        return status;
    }
    complain(&format!("{error:#}"));
    for hint in ours.iter().flat_map(|error| hint(error, typed)) {
        complain(&hint.to_string());
    }
    if error.is::<Usage>() {
        return ExitCode::from(2);
    }
    ExitCode::from(match ours.map(Error::class) {
        Some(Class::Damaged) => 3,
        Some(Class::InUse) => 4,
        Some(Class::Failed) | None => 1,
    })
}

/// Whoever closes a pipe has read enough: nothing is said. A disk that was not sent whole is no
/// success all the same.
fn closed_pipe(error: &anyhow::Error, ours: Option<&Error>) -> Option<ExitCode> {
    if ours.is_some_and(Error::is_broken_pipe) {
        return Some(ExitCode::from(1));
    }
    let closed = |cause: &(dyn std::error::Error + 'static)| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    error.chain().any(closed).then_some(ExitCode::SUCCESS)
}
