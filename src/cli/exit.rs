//! Exit statuses, and the last words before one.

use std::fmt;
use std::io;
use std::process::ExitCode;

use ploopconv::{Class, Error};
use serde::Serialize;

use super::command_line::CommandLine;
use super::convert::Promised;
use super::hints::{Hint, hint};
use super::output::{complain, json, story};
use super::signals::Interrupted;
use super::verify::ReadBack;

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
pub(crate) struct Reported(anyhow::Error);

impl Reported {
    /// For `map_err` behind the report of a command.
    pub(crate) fn after(error: impl Into<anyhow::Error>) -> anyhow::Error {
        Self(error.into()).into()
    }
}

/// The report of a command that failed, for scripts.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    pub(crate) status: u8,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// What could be done next, as on stderr.
    pub(crate) hints: Vec<Hint>,
}

impl Failure {
    /// A mistake of the command line.
    pub(crate) fn usage(message: String, hints: Vec<Hint>) -> Self {
        Self {
            status: 2,
            code: "usage",
            message,
            hints,
        }
    }

    fn of(error: &anyhow::Error, line: &CommandLine) -> Self {
        let ours = ours(error);
        let mut hints = Vec::new();
        if let Some(promised) = error.downcast_ref::<Promised>() {
            hints = promised.hints(line);
        }
        if let Some(noted) = error.downcast_ref::<Noted>() {
            hints.extend(noted.notes.iter().map(Hint::say));
        }
        let typed = line.typed(error);
        hints.extend(ours.into_iter().flat_map(|error| hint(error, &typed)));
        let (status, code) = status_and_code(error, ours);
        Self {
            status,
            code,
            message: message(error, ours),
            hints,
        }
    }

    /// Says it on stderr, and with `--json` on stdout too.
    pub(crate) fn say(&self, as_json: bool) -> ExitCode {
        complain(&self.message);
        let hints = self.hints.iter();
        hints.for_each(|hint| complain(&hint.to_string()));
        if as_json {
            // Where stdout cannot be written either, stderr has it all.
            let _ = json(self);
        }
        ExitCode::from(self.status)
    }
}

/// Says what went wrong and what could be typed next, and gives the exit status for it.
pub(crate) fn report(error: anyhow::Error, line: &CommandLine) -> ExitCode {
    let (error, is_reported) = match error.downcast::<Reported>() {
        Ok(Reported(error)) => (error, true),
        Err(error) => (error, false),
    };
    let to_stdout = error.is::<Stdout>();
    if to_stdout && error.chain().any(is_broken_pipe) {
        // A reader that closes the pipe has read enough of a result: nothing is said.
        return ExitCode::SUCCESS;
    }
    let as_json = line.wants_json() && !is_reported && !to_stdout;
    Failure::of(&error, line).say(as_json)
}

/// What was done when a result could not be written.
#[derive(Debug, thiserror::Error)]
#[error("writing to stdout")]
pub(crate) struct Stdout;

fn ours(error: &anyhow::Error) -> Option<&Error> {
    let mut chain = error.chain();
    chain.find_map(|cause| cause.downcast_ref::<Error>())
}

fn is_broken_pipe(cause: &(dyn std::error::Error + 'static)) -> bool {
    let error = cause.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The whole story in one line.
///
/// A closed pipe ends a result quietly, because its reader has seen what it wanted. A disk that was
/// cut is another matter: what the reader kept looks like a disk and is none, and the status of a
/// pipe is that of its last command. So a line says it, as `dd` does.
fn message(error: &anyhow::Error, ours: Option<&Error>) -> String {
    match ours {
        Some(Error::Io { path, .. }) if ours.is_some_and(Error::is_broken_pipe) => format!(
            "the reader of {} has gone; what it got is only part of the disk",
            path.display()
        ),
        _ => story(error),
    }
}

fn status_and_code(error: &anyhow::Error, ours: Option<&Error>) -> (u8, &'static str) {
    if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
        return (interrupted.status(), "interrupted");
    }
    if error.is::<Usage>() || error.is::<Promised>() {
        return (2, "usage");
    }
    if error.is::<ReadBack>() {
        return (1, "different");
    }
    let Some(ours) = ours else {
        return (1, code_of_others(error));
    };
    let status = match ours.class() {
        Class::Damaged => 3,
        Class::InUse => 4,
        Class::Failed => 1,
    };
    let code = if ours.is_broken_pipe() {
        "closed-pipe"
    } else {
        ours.code()
    };
    (status, code)
}

fn code_of_others(error: &anyhow::Error) -> &'static str {
    let mut chain = error.chain();
    match chain.find_map(|cause| cause.downcast_ref::<io::Error>()) {
        Some(error) if error.kind() == io::ErrorKind::NotFound => "no-such-file",
        Some(error) if error.kind() == io::ErrorKind::PermissionDenied => "permission-denied",
        Some(_) => "io",
        None => "failed",
    }
}
