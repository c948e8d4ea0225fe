//! The keys of a netplan file, as far as it is sure what they are.

/// The keys of a file, each with those that it is below, outermost first; `None` where this reader
/// is not sure of them.
pub(super) fn keys(text: &str) -> Option<Vec<Vec<&str>>> {
    let mut found = Vec::new();
    let mut above: Vec<(usize, &str)> = Vec::new();
    for line in text.lines() {
        let line = without_comment(line).trim_end();
        let mut rest = line.trim_start_matches(' ');
        if rest.is_empty() || rest == "---" {
            continue;
        }
        let mut indent = line.len() - rest.len();
        while let Some(item) = rest.strip_prefix("- ") {
            let item = item.trim_start_matches(' ');
            indent += rest.len() - item.len();
            rest = item;
        }
        above.retain(|(of, _)| *of < indent);
        // Tabs, anchors, merged keys and texts of several lines are for other readers.
        if rest.starts_with(['\t', '&', '*', '|', '>', '%']) {
            return None;
        }
        let Some((key, value)) = key(rest) else {
            // A word of a list; what begins with a bracket may go on in the next line.
            match rest.starts_with(['{', '[']) && !is_closed(rest) {
                true => return None,
                false => continue,
            }
        };
        above.push((indent, key));
        let path: Vec<&str> = above.iter().map(|(_, key)| *key).collect();
        found.push(path.clone());
        if value.starts_with(['&', '*', '|', '>']) || !is_closed(value) {
            return None;
        }
        if let Some(flow) = value.strip_prefix('{') {
            let rest = of_flow(flow, &path, &mut found)?;
            if !rest.trim().is_empty() {
                return None;
            }
        }
    }
    Some(found)
}

/// A line without its comment. A sign in a quoted text may end it too early, and then a quote is
/// open.
fn without_comment(line: &str) -> &str {
    let begins = |at: usize| {
        line.get(..at)
            .is_none_or(|before| before.ends_with([' ', '\t']))
    };
    let mut signs = line.match_indices('#').map(|(at, _)| at);
    let end = signs.find(|&at| at == 0 || begins(at));
    end.map_or(line, |end| line.get(..end).unwrap_or_default())
}

/// Whether every bracket and quote of a value ends in its line.
fn is_closed(value: &str) -> bool {
    let count = |sign: char| value.matches(sign).count();
    let even = |sign: char| count(sign) % 2 == 0;
    count('{') == count('}') && count('[') == count(']') && even('"') && even('\'')
}

/// A key and its value.
fn key(text: &str) -> Option<(&str, &str)> {
    let is_end = |&(at, _): &(usize, &str)| {
        let after = text.get(at + 1..).unwrap_or_default();
        after.is_empty() || after.starts_with([' ', '{'])
    };
    let (at, _) = text.match_indices(':').find(is_end)?;
    let (key, value) = text.split_at_checked(at)?;
    let key = key.trim().trim_matches(['"', '\'']);
    Some((key, value.get(1..).unwrap_or_default().trim()))
}

/// The keys of a mapping in braces, of which the first is gone; gives what follows it.
fn of_flow<'a>(text: &'a str, path: &[&'a str], found: &mut Vec<Vec<&'a str>>) -> Option<&'a str> {
    /// Deeper than any file of netplan.
    const MOST: usize = 16;
    let mut rest = text.trim_start();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Some(after);
        }
        let (key, value) = key(rest).filter(|_| path.len() < MOST)?;
        let mut path = path.to_vec();
        path.push(key);
        found.push(path.clone());
        rest = match value.strip_prefix('{') {
            Some(flow) => of_flow(flow, &path, found)?,
            None => {
                let end = match value.strip_prefix('[') {
                    Some(list) => value.len() - list.len() + list.find(']')? + 1,
                    None => value.find([',', '}'])?,
                };
                value.get(end..)?
            }
        };
        rest = rest.trim_start().trim_start_matches(',').trim_start();
    }
}
