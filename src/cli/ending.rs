//! How a command ended, as every report on stdout says it: the exit status, a code and a sentence.

use ploopconv::{Error, ErrorKind};
use serde::Serialize;

use super::outcome::Verdict;
use super::output;

/// What every report begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Ending {
    status: u8,
    /// What kind of ending it is; nothing for status 0.
    code: Option<&'static str>,
    message: Option<String>,
}

/// A report, and how its command ended.
#[derive(Serialize)]
struct Report<'a, T> {
    #[serde(flatten)]
    ending: &'a Ending,
    #[serde(flatten)]
    own: &'a T,
}

impl Ending {
    /// Of a command that did what it was asked; `message` says what is not as it should be.
    pub(crate) fn of(verdict: Verdict, message: impl FnOnce() -> String) -> Self {
        let code = verdict.code();
        Self {
            status: verdict.status(),
            code,
            message: code.map(|_| message()),
        }
    }

    /// Of a command that failed, and has more to say than why.
    pub(crate) fn of_error(error: &Error) -> Self {
        Self {
            status: status_of(error),
            code: Some(error.code()),
            message: Some(error.to_string()),
        }
    }

    /// The report of a command as text, for a file.
    pub(crate) fn text(&self, own: &impl Serialize) -> anyhow::Result<String> {
        let text = serde_json::to_string_pretty(&Report { ending: self, own })?;
        Ok(output::safe_json(&text) + "\n")
    }

    /// Prints the report of a command.
    pub(crate) fn print(&self, own: &impl Serialize) -> anyhow::Result<()> {
        output::json(&Report { ending: self, own })
    }
}

/// The exit status for an error.
pub(crate) fn status_of(error: &Error) -> u8 {
    match error.kind() {
        ErrorKind::Corrupt | ErrorKind::Lost => 3,
        ErrorKind::InUse | ErrorKind::Changed => 4,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_begins_with_how_its_command_ended() {
        #[derive(Serialize)]
        struct Own {
            equal: bool,
        }
        let text = |ending: &Ending| {
            let own = &Own { equal: true };
            serde_json::to_string(&Report { ending, own }).unwrap()
        };
        let done = Ending::of(Verdict::Done, || "never said".to_owned());
        assert_eq!(
            text(&done),
            r#"{"status":0,"code":null,"message":null,"equal":true}"#
        );
        let different = Ending::of(Verdict::Different, || "they differ".to_owned());
        assert_eq!(
            text(&different),
            r#"{"status":1,"code":"different","message":"they differ","equal":true}"#
        );
    }
}
