//! A command line that could be read: what it is about, and what another command needs of it.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::commands::{Command, command};
use crate::advice::hints::Typed;
use crate::advice::shell::{quoted, shell_word};

/// A command line that could be read.
pub(crate) struct CommandLine {
    matches: ArgMatches,
    /// What it means.
    pub(crate) command: Command,
}

impl CommandLine {
    pub(crate) fn new(matches: ArgMatches, command: Command) -> Self {
        Self { matches, command }
    }

    /// The words, for messages about the image that `error` is about.
    pub(crate) fn typed(&self, error: &anyhow::Error) -> Typed {
        Typed::here(self.command.image(error))
    }

    /// Whether a report is wanted on stdout. Where stdout takes the disk, there is none.
    pub(crate) fn wants_json(&self) -> bool {
        let matches = self.of_command();
        let wanted = matches.try_get_one::<bool>("json").ok().flatten();
        let output = matches.try_get_one::<PathBuf>("output").ok().flatten();
        wanted == Some(&true) && output.is_none_or(|target| target != OsStr::new("-"))
    }

    fn of_command(&self) -> &ArgMatches {
        self.matches
            .subcommand()
            .map_or(&self.matches, |(_, matches)| matches)
    }

    /// IMAGE and every option of reading that was given: what another command needs to read the
    /// same disk.
    pub(crate) fn what_is_read(&self) -> String {
        what_is_read(self.of_command())
    }
}

/// IMAGE and every option of reading, as a shell takes them.
pub(crate) fn what_is_read(matches: &ArgMatches) -> String {
    let image = matches.get_one::<PathBuf>("image");
    let mut words: Vec<_> = image.iter().map(|image| quoted(image)).collect();
    let all = command();
    for arg in all.get_arguments() {
        let id = arg.get_id().as_str();
        // Not every command has every option.
        let is_known = matches.try_contains_id(id).is_ok();
        let is_given = is_known && matches.value_source(id) == Some(ValueSource::CommandLine);
        let (Some(long), true) = (arg.get_long(), is_given) else {
            continue;
        };
        if arg.get_help_heading() != Some("Reading") {
            continue;
        }
        if !arg.get_action().takes_values() {
            words.push(format!("--{long}"));
            continue;
        }
        let joint = arg.get_value_delimiter().map(String::from);
        let values = matches.get_raw_occurrences(id).into_iter().flatten();
        for values in values {
            let values: Vec<_> = values.collect();
            let joint = OsString::from(joint.as_deref().unwrap_or(","));
            words.push(format!("--{long} {}", shell_word(&values.join(&*joint))));
        }
    }
    words.join(" ")
}
