//! A program of this host, and what the kernel says of it.

use std::fmt;
use std::path::Path;

/// A program that runs, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number; `None` where the kernel does not say.
    pub id: Option<u32>,
    /// Its name: somebody else's text. Empty where it is not known.
    pub name: String,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id {
            Some(id) if self.name.is_empty() => write!(f, "process {id}"),
            Some(id) => write!(f, "process {id} ({})", self.name),
            None => f.write_str("a program"),
        }
    }
}

/// The only line of a file in `/sys`.
pub(super) fn line_of(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

/// A running program, by its number.
pub(super) fn process(proc: &Path, id: u32) -> Process {
    Process {
        id: Some(id),
        name: line_of(&proc.join(id.to_string()).join("comm")).unwrap_or_default(),
    }
}
