//! What is wrong with a command line, for a person.

use crate::advice::hints::Hint;

/// What is wrong with a command line, for a person.
#[derive(Debug, Default)]
pub(crate) struct Mistake {
    /// What is wrong: the first line is the message.
    pub(super) lines: Vec<String>,
    /// What to type.
    pub(super) hints: Vec<Hint>,
}

impl Mistake {
    pub(super) fn says(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }
}
