//! Lines `KEY=value` of files that a shell reads: quotes of either kind or none, and a comment.

/// A line that gives one key one value, and does nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Assignment<'a> {
    /// What is in front of the value: the blanks and the key with its `=`.
    start: &'a str,
    /// The value, without its quotes.
    pub(super) value: &'a str,
    /// What is behind it: blanks and a comment.
    end: &'a str,
}

impl<'a> Assignment<'a> {
    /// The line as one of `key`; `None` where it is another one, or more than that.
    pub(super) fn parse(line: &'a str, key: &str) -> Option<Self> {
        let rest = line.trim_start().strip_prefix(key)?.strip_prefix('=')?;
        let start = line.strip_suffix(rest)?;
        let quote = rest.chars().next().filter(|c| ['"', '\''].contains(c));
        let (value, end) = match quote {
            Some(quote) => rest.strip_prefix(quote)?.split_once(quote)?,
            None => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                (rest.get(..end)?, rest.get(end..)?)
            }
        };
        // What a shell would do something with is another file's or another command's.
        let is_plain = !value.contains(['"', '\'', '\\', '$', '`', ';', '&', '|']);
        let is_alone = end.trim().is_empty()
            || end.starts_with(char::is_whitespace) && end.trim_start().starts_with('#');
        (is_plain && is_alone).then_some(Self { start, value, end })
    }

    /// The line with another value, which has its quotes.
    pub(super) fn with(self, value: &str) -> String {
        format!("{}{value}{}", self.start, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_a_shell_reads_it() {
        for (line, value) in [
            ("a=b", Some("b")),
            ("  a=\"b c\"  ", Some("b c")),
            ("a='b'\t# c", Some("b")),
            ("a=b # c", Some("b")),
            ("a= # c", Some("")),
            ("a=", Some("")),
            ("a=b#c", Some("b#c")),
            ("a=\"b\"#c", None),
            ("a=\"b\"c", None),
            ("a=\"b", None),
            ("a=b; c", None),
            ("a=$b", None),
            ("ab=c", None),
            ("#a=b", None),
            ("export a=b", None),
        ] {
            let found = Assignment::parse(line, "a").map(|found| found.value);
            assert_eq!(found, value, "{line}");
        }
        let line = Assignment::parse(" a='b' # c\r", "a").unwrap();
        assert_eq!(line.with("\"d\""), " a=\"d\" # c\r");
    }
}
