//! Results to stdout, everything else to stderr.

use std::fmt::Write as _;
use std::io::{self, BufWriter, StdoutLock, Write};

use anyhow::Context;
use ploopconv::util::text;
use serde::Serialize;

use crate::advice::words::with_its_option;

/// What was done when a result could not be written.
#[derive(Debug, thiserror::Error)]
#[error("writing to stdout")]
pub(crate) struct Stdout;

/// A locked, buffered stdout for results.
pub(crate) fn results() -> BufWriter<StdoutLock<'static>> {
    BufWriter::with_capacity(1 << 16, io::stdout().lock())
}

/// Writes one line of results, with other people's text made safe.
pub(crate) fn line(out: &mut impl Write, text: &str) -> anyhow::Result<()> {
    writeln!(out, "{}", text::safe(text)).context(Stdout)
}

/// Ends the results.
pub(crate) fn finish(mut out: impl Write) -> anyhow::Result<()> {
    out.flush().context(Stdout)
}

/// Writes a value as indented JSON and a line end.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value).context("making JSON")?;
    let mut out = results();
    writeln!(out, "{}", safe_json(&text)).context(Stdout)?;
    finish(out)
}

/// Escapes what a terminal would obey. It can only stand inside strings, where JSON has its own
/// escape for it; line ends between values stay.
pub(crate) fn safe_json(text: &str) -> String {
    text.chars()
        .fold(String::with_capacity(text.len()), |mut safe, c| {
            if text::is_unsafe(c) && c != '\n' {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(safe, "\\u{unit:04x}");
                }
            } else {
                safe.push(c);
            }
            safe
        })
}

/// An error and what caused it, in one line.
///
/// What was being done is left out where the cause names the same file: a path in a line is enough
/// once. Numbers of the operating system's errors tell a person nothing.
pub(crate) fn story(error: &anyhow::Error) -> String {
    story_of(error.as_ref())
}

/// The same of an error that is kept.
pub(crate) fn story_of(error: &(dyn std::error::Error + 'static)) -> String {
    let links: Vec<String> = anyhow::Chain::new(error).map(link).collect();
    let says_more = |(at, doing): (usize, &String)| {
        let mut causes = links.iter().skip(at + 1);
        let is_repeated = causes.any(|cause| names_the_same(doing, cause));
        (!is_repeated).then(|| doing.clone())
    };
    let story: Vec<_> = links.iter().enumerate().filter_map(says_more).collect();
    story.join(": ")
}

fn link(cause: &(dyn std::error::Error + 'static)) -> String {
    let ours = cause.downcast_ref().and_then(with_its_option);
    let text = ours.unwrap_or_else(|| cause.to_string());
    let errno = cause
        .downcast_ref::<io::Error>()
        .and_then(io::Error::raw_os_error);
    let number = errno.map_or_else(String::new, |number| format!(" (os error {number})"));
    text.strip_suffix(&number).unwrap_or(&text).to_owned()
}

/// Whether `doing`, as in "converting disk.hdd" or "p1.raw", names a file that `cause` names as
/// well.
fn names_the_same(doing: &str, cause: &str) -> bool {
    let (verb, rest) = doing.split_once(' ').unwrap_or((doing, ""));
    let path = if verb.ends_with("ing") { rest } else { doing };
    let is_end = |c: Option<char>| c.is_none_or(|c| c == ' ' || c == ':' || c == ',');
    !path.is_empty()
        && cause.match_indices(path).any(|(at, _)| {
            let (before, after) = (&cause[..at], &cause[at + path.len()..]);
            is_end(before.chars().next_back()) && is_end(after.chars().next())
        })
}

/// Writes a text for a person to stderr as it is.
pub(crate) fn write_to_stderr(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Writes a message to stderr, in the program's name. A closed stderr is no error.
pub(crate) fn write_message(message: &str) {
    let line = format!("ploopconv: {}\n", text::safe(message));
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_story_names_a_path_once_and_no_number_of_an_error() {
        let missing = || io::Error::from_raw_os_error(2);
        let opening = |path: &str| {
            let error = ploopconv::Error::io("opening", path.as_ref(), missing());
            anyhow::Error::from(error).context("converting a b")
        };
        let reason = missing().to_string().replace(" (os error 2)", "");
        assert_eq!(story(&opening("a b")), format!("opening a b: {reason}"));
        for other in ["a b/c", "x/a b", "a bc", "ba b"] {
            assert_eq!(
                story(&opening(other)),
                format!("converting a b: opening {other}: {reason}")
            );
        }
        assert_eq!(story(&anyhow!("plain (os error 2)")), "plain (os error 2)");
    }
}
