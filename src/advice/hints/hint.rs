//! One thing that a user could do.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::retry::Typed;
use crate::advice::shell::{quoted, shell_word};

/// One thing that a user could do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Hint {
    /// What for, or what to do.
    pub(crate) text: String,
    /// The command that does it, as a shell takes it.
    pub(crate) command: Option<String>,
    /// What is shown of the command: all of it, or the option to add.
    #[serde(skip)]
    shown: Option<String>,
}

impl Hint {
    /// Something to do outside of the program.
    pub(crate) fn say(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            text,
            command: None,
            shown: None,
        }
    }

    /// A command to run.
    pub(crate) fn run(text: impl Into<String>, command: String) -> Self {
        Self {
            text: text.into(),
            shown: Some(command.clone()),
            command: Some(command),
        }
    }

    /// The same command with one more option.
    pub(super) fn add(text: impl Into<String>, option: &str, typed: &Typed) -> Self {
        let command = typed.adding(option);
        Self {
            text: text.into(),
            // "Add" would be wrong where it has to stand elsewhere, or in the place of another.
            shown: Some(if typed.can_be_followed_by(option) {
                format!("add {option}")
            } else {
                command.clone()
            }),
            command: Some(command),
        }
    }

    /// Another command that tells more about a path; nothing for one who has just run it.
    pub(super) fn look(text: &str, command: &str, path: &Path, typed: &Typed) -> Option<Self> {
        let mut line = format!("ploopconv {command} {}", quoted(path));
        if let (Some(disk), true) = (typed.value("disk_name"), path == typed.image()) {
            line += &format!(" --disk {}", shell_word(disk));
        }
        (!typed.is_command(command)).then(|| Self::run(text, line))
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.shown {
            Some(shown) => write!(f, "{}: {shown}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// A GUID without its braces, which some shells would read as their own.
pub(super) fn bare(guid: &str) -> &str {
    guid.trim_start_matches('{').trim_end_matches('}')
}
