//! Patterns for names of cards, as systemd and netplan have them.

/// Whether one of several patterns, with spaces between them, matches; with `!` in front, whether
/// none does.
pub(super) fn one_matches(patterns: &str, name: &str) -> bool {
    let (patterns, is_turned) = match patterns.strip_prefix('!') {
        Some(rest) => (rest, true),
        None => (patterns, false),
    };
    let mut patterns = patterns.split_whitespace();
    patterns.any(|pattern| matches(pattern.trim_matches('"').as_bytes(), name.as_bytes()))
        != is_turned
}

/// As the shell matches: `*`, `?` and `[a-z]`. Names are short, and so are patterns.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], _) => name.is_empty(),
        ([b'*', rest @ ..], _) => {
            // More of them say nothing more, and would take their time.
            let stars = rest.iter().take_while(|&&sign| sign == b'*').count();
            let rest = rest.get(stars..).unwrap_or_default();
            (0..=name.len()).any(|n| matches(rest, name.get(n..).unwrap_or_default()))
        }
        (_, []) => false,
        ([b'?', rest @ ..], [_, after @ ..]) => matches(rest, after),
        ([b'[', rest @ ..], [first, after @ ..]) => {
            let Some(end) = rest.iter().skip(1).position(|&c| c == b']') else {
                return *first == b'[' && matches(rest, after);
            };
            let (set, rest) = rest.split_at(end + 1);
            let rest = rest.get(1..).unwrap_or_default();
            is_in(set, *first) && matches(rest, after)
        }
        ([sign, rest @ ..], [first, after @ ..]) => sign == first && matches(rest, after),
    }
}

fn is_in(set: &[u8], sign: u8) -> bool {
    let (set, is_turned) = match set {
        [b'!' | b'^', rest @ ..] => (rest, true),
        _ => (set, false),
    };
    let in_range = set
        .windows(3)
        .any(|range| matches!(range, [a, b'-', z] if (*a..=*z).contains(&sign)));
    (in_range || set.contains(&sign)) != is_turned
}
