//! Results to stdout, everything else to stderr.

use std::fmt::Write as _;
use std::io::{self, BufWriter, StdoutLock, Write};

use anyhow::Context;
use ploopconv::text;
use serde::Serialize;

/// A locked, buffered stdout for results.
pub(crate) fn results() -> BufWriter<StdoutLock<'static>> {
    BufWriter::with_capacity(1 << 16, io::stdout().lock())
}

/// Writes one line of results, with other people's text made safe.
pub(crate) fn line(out: &mut impl Write, text: &str) -> anyhow::Result<()> {
    writeln!(out, "{}", text::safe(text)).context("writing to stdout")
}

/// Ends the results.
pub(crate) fn finish(mut out: impl Write) -> anyhow::Result<()> {
    out.flush().context("writing to stdout")
}

/// Writes a value as indented JSON and a line end.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value).context("making JSON")?;
    let mut out = results();
    writeln!(out, "{}", safe_json(&text)).context("writing to stdout")?;
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

/// Says something on stderr, in the program's name. A closed stderr is nobody's business.
pub(crate) fn complain(message: &str) {
    let line = format!("ploopconv: {}\n", text::safe(message));
    let _ = io::stderr().lock().write_all(line.as_bytes());
}
