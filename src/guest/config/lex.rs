//! Lines of a container's configuration, as a shell would split them. Nothing is ever run.

/// A line that is an assignment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Assignment {
    /// Its first line, from 1.
    pub(super) line: usize,
    pub(super) key: String,
    pub(super) value: String,
    pub(super) odd: Option<Odd>,
}

/// What is odd about a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Odd {
    /// It is neither a comment nor an assignment.
    NoAssignment,
    /// A quote has no end: the value reaches to the end of the line.
    OpenQuote,
    /// A shell would run a command or look up a variable.
    Expansion,
    /// Words come after the value.
    Trailing,
}

/// The assignments of a text in their order, and the numbers of lines that are none.
///
/// The grammar is that of a shell's assignment: quotes of both kinds, parts that stand beside one
/// another, `\` in front of a character or the end of a line, `#` after white space. A quote ends
/// with its line, as OpenVZ's own reader has it, so that one lost quote costs one value.
pub(super) fn assignments(text: &str) -> (Vec<Assignment>, Vec<usize>) {
    let (mut found, mut others) = (Vec::new(), Vec::new());
    let mut lines = text.split('\n').enumerate();
    while let Some((number, line)) = lines.next() {
        let mut whole = line.strip_suffix('\r').unwrap_or(line).to_owned();
        while ends_with_escape(&whole) && !is_comment(&whole) {
            whole.pop();
            let Some((_, next)) = lines.next() else {
                break;
            };
            whole.push_str(next.strip_suffix('\r').unwrap_or(next));
        }
        if whole.trim().is_empty() || is_comment(&whole) {
            continue;
        }
        match assignment(&whole) {
            Some((key, value, odd)) => found.push(Assignment {
                line: number + 1,
                key,
                value,
                odd,
            }),
            None => others.push(number + 1),
        }
    }
    (found, others)
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// Whether a line ends with an odd number of `\`.
fn ends_with_escape(line: &str) -> bool {
    line.chars().rev().take_while(|&c| c == '\\').count() % 2 == 1
}

fn assignment(line: &str) -> Option<(String, String, Option<Odd>)> {
    let line = line.trim_start();
    let line = match line.strip_prefix("export") {
        Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start(),
        _ => line,
    };
    let (key, rest) = line.split_once('=')?;
    // OpenVZ's reader refuses white space around the sign, Proxmox's does not.
    let key = key.trim_end();
    let first = key.chars().next()?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if first.is_ascii_digit() || !key.chars().all(is_name) {
        return None;
    }
    let (value, odd) = value(rest.trim_start());
    Some((key.to_owned(), value, odd))
}

/// A value as a shell takes it apart, but for expansions, which stay as they are written.
fn value(text: &str) -> (String, Option<Odd>) {
    let mut chars = text.chars().peekable();
    let (mut value, mut odd, mut quote) = (String::new(), None, None);
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (Some('\''), c) => value.push(c),
            (None, '\\') => value.extend(chars.next()),
            (Some(_), '\\') => match chars.peek() {
                Some('"' | '\\' | '$' | '`') => value.extend(chars.next()),
                _ => value.push('\\'),
            },
            (None, c) if c.is_whitespace() => {
                let rest: String = chars.collect();
                let rest = rest.trim_start();
                if !rest.is_empty() && !rest.starts_with('#') {
                    odd = odd.or(Some(Odd::Trailing));
                }
                return (value, odd);
            }
            (_, '`') => {
                odd = Some(Odd::Expansion);
                value.push(c);
            }
            (_, '$') => {
                // VEID is the one variable that OpenVZ itself writes.
                let rest: String = chars.clone().take(6).collect();
                if !rest.starts_with("VEID") && !rest.starts_with("{VEID}") {
                    odd = Some(Odd::Expansion);
                }
                value.push(c);
            }
            (_, c) => value.push(c),
        }
    }
    if quote.is_some() {
        odd = Some(Odd::OpenQuote);
    }
    (value, odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> (String, Option<Odd>) {
        let (found, others) = assignments(line);
        assert_eq!((found.len(), others.len()), (1, 0), "{line:?}");
        (found[0].value.clone(), found[0].odd)
    }

    #[test]
    fn values_are_what_a_shell_would_make_of_them() {
        for (line, value) in [
            ("A=\"b c\"", "b c"),
            ("A='b \"c\"'", "b \"c\""),
            ("A=b\\ c", "b c"),
            ("A=\"a\"'b'c # comment", "abc"),
            ("  export A=\"x\"  ", "x"),
            ("A = \"x\"", "x"),
            ("A=", ""),
            ("A=\"\"\r", ""),
            ("A=\"b\\\"c\\\\d\\e\"", "b\"c\\d\\e"),
            ("A=\"b \\\nc\"", "b c"),
            ("A=b#c", "b#c"),
            ("VE_ROOT=\"/vz/root/$VEID\"", "/vz/root/$VEID"),
        ] {
            assert_eq!(one(line), (value.to_owned(), None), "{line:?}");
        }
    }

    #[test]
    fn a_lost_quote_costs_one_value() {
        let (found, others) = assignments("A=\"b\nC=\"d\"\nE='f");
        let found: Vec<_> = found.iter().map(|a| (a.value.as_str(), a.odd)).collect();
        let open = Some(Odd::OpenQuote);
        assert_eq!(found, [("b", open), ("d", None), ("f", open)]);
        assert!(others.is_empty());
    }

    #[test]
    fn what_a_shell_would_run_is_text() {
        for text in ["$(reboot)", "`reboot`", "$HOME"] {
            let line = format!("A=\"{text}\"");
            assert_eq!(one(&line), (text.to_owned(), Some(Odd::Expansion)));
        }
        assert_eq!(one("A=b; reboot"), ("b;".to_owned(), Some(Odd::Trailing)));
        // Single quotes mean what they enclose.
        assert_eq!(one("A='$(reboot)'"), ("$(reboot)".to_owned(), None));
    }

    #[test]
    fn lines_that_assign_nothing_are_counted() {
        let (found, others) = assignments("# a=b\n\nreboot\n=x\n1a=b\na-b=c\n");
        assert!(found.is_empty());
        assert_eq!(others, [3, 4, 5, 6]);
    }
}
