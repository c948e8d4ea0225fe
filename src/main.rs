//! The command line of ploopconv.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        reason = "a test that meets the unexpected fails where it stands"
    )
)]

mod advice;
mod cli;
mod mistakes;

use std::process::ExitCode;

use cli::command_line::CommandLine;
use cli::commands::Command;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let (matches, read) = match Command::read(&words) {
        Ok(read) => read,
        Err(error) => return mistakes::report(&error, &words),
    };
    if let Some(mistake) = mistakes::misread(&words, &matches) {
        return mistakes::say(mistake, &words);
    }
    cli::allow_open_files();
    cli::run(&CommandLine::new(matches, read))
}
