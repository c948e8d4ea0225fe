//! A line for a shell.

use crate::util::text::shell_word;

/// A line for a shell, as it grows.
pub(super) struct Line(pub(super) String);

impl Line {
    pub(super) fn new(program: &str) -> Self {
        Self(program.to_owned())
    }

    pub(super) fn word(mut self, word: &str) -> Self {
        self.0.push(' ');
        self.0.push_str(&shell_word(word));
        self
    }

    /// A file: one whose name begins like an option, or is like that of a storage's volume, is
    /// named by its folder too.
    pub(super) fn file(self, path: &str) -> Self {
        let first = path.split('/').next().unwrap_or_default();
        if path.starts_with('-') || first.contains(':') {
            self.word(&format!("./{path}"))
        } else {
            self.word(path)
        }
    }

    /// A word that the shell is to take as it stands.
    pub(super) fn shell(mut self, text: &str) -> Self {
        self.0.push(' ');
        self.0.push_str(text);
        self
    }

    pub(super) fn option(mut self, name: &str, value: &str) -> Self {
        self.0.push_str(&format!(" --{name}"));
        self.word(value)
    }

    /// An option without a value.
    pub(super) fn flag(mut self, name: &str) -> Self {
        self.0.push_str(&format!(" --{name}"));
        self
    }

    /// An option whose value the shell is to take as it stands.
    pub(super) fn shell_option(self, name: &str, text: &str) -> Self {
        self.flag(name).shell(text)
    }

    /// An option as QEMU has them, with one dash.
    pub(super) fn short(mut self, name: &str) -> Self {
        self.0.push_str(&format!(" -{name}"));
        self
    }

    pub(super) fn option_if(self, name: &str, value: Option<String>) -> Self {
        match value {
            Some(value) => self.option(name, &value),
            None => self,
        }
    }
}
