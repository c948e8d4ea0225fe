//! The last words of a command that failed, and its exit status.

use std::io;
use std::process::ExitCode;

use ploopconv::Error;
use serde::Serialize;

use super::command_line::CommandLine;
use super::commands::Command;
use super::convert::ConvertArgs;
use super::ending::status_of;
use super::outcome::{Noted, Reported, Usage};
use super::output::{Stdout, json, story, write_message};
use super::signals::Interrupted;
use crate::advice::hints::{Hint, hint};
use crate::advice::promise::Promised;

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
            hints = promised.hints_for(&line.what_is_read());
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
            message: message(error, ours, line),
            hints,
        }
    }

    /// Says it on stderr, and with `--json` on stdout too.
    pub(crate) fn say(&self, as_json: bool) -> ExitCode {
        write_message(&self.message);
        let hints = self.hints.iter();
        hints.for_each(|hint| write_message(&hint.to_string()));
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
fn message(error: &anyhow::Error, ours: Option<&Error>, line: &CommandLine) -> String {
    let what = match &line.command {
        Command::Convert(args) => args.writes(),
        _ => ConvertArgs::DISK,
    };
    match ours
        .filter(|error| error.is_broken_pipe())
        .and_then(Error::path)
    {
        Some(path) => format!(
            "the reader of {} has gone; what it got is only part of the {what}",
            path.display()
        ),
        None => story(error),
    }
}

fn status_and_code(error: &anyhow::Error, ours: Option<&Error>) -> (u8, &'static str) {
    if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
        return (interrupted.status(), "interrupted");
    }
    if error.is::<Usage>() || error.is::<Promised>() {
        return (2, "usage");
    }
    let Some(ours) = ours else {
        return (1, code_of_others(error));
    };
    let status = status_of(ours);
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
