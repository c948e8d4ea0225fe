//! The list of terminals on which CentOS 6 and its kin start logins: `ACTIVE_CONSOLES`.

use super::super::draft::Draft;
use super::super::view::split;
use super::assignment::Assignment;
use crate::error::Result;

const LIST: &str = "etc/sysconfig/init";
const KEY: &str = "ACTIVE_CONSOLES";

const TWICE: &str =
    "was written by OpenVZ's host: CentOS starts a login on this terminal by itself";

/// Whether the guest starts logins on such a list.
pub(super) fn starts_terminals(draft: &Draft<'_>) -> Result<bool> {
    let both = ["etc/init/start-ttys.conf", "etc/init/tty.conf"];
    Ok(draft.has(both[0])? && draft.has(both[1])?)
}

/// Gives an empty list, as OpenVZ's templates for CentOS 6 have it, these terminals; then a job for
/// one of the list goes.
pub(super) fn fill(draft: &mut Draft<'_>, terminals: &str, reason: &str) -> Result<()> {
    draft.edit(LIST, reason, |text| {
        let lines = text.split('\n').map(|line| {
            match Assignment::parse(line, KEY).filter(|found| found.value.trim().is_empty()) {
                Some(found) => found.with(terminals),
                None => line.to_owned(),
            }
        });
        lines.collect::<Vec<_>>().join("\n")
    })?;
    if !starts_terminals(draft)? {
        return Ok(());
    }
    let Some(text) = draft.text(LIST)? else {
        return Ok(());
    };
    let mut lists = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#') && line.contains(KEY))
        .map(|line| Assignment::parse(line, KEY).map(|found| found.value));
    // The job that reads the file has a list of its own for one that says nothing.
    let list = match (lists.next(), lists.next()) {
        (None, _) => "/dev/tty[1-6]",
        (Some(Some(list)), None) => list,
        _ => return Ok(()),
    };
    for path in draft.view.matching("etc/init/tty?.conf")? {
        let tty = split(&path).1.trim_end_matches(".conf");
        if !list.split_whitespace().any(|pattern| names(pattern, tty)) {
            continue;
        }
        let job = draft.view.text(&path)?.unwrap_or_default();
        let starts_login = job.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some("exec") && line.contains("getty") && words.any(|word| word == tty)
        });
        if starts_login {
            draft.remove(&path, TWICE)?;
        }
    }
    Ok(())
}

/// Whether a pattern of the list, as `/dev/tty[1-6]`, names a terminal with one digit.
fn names(pattern: &str, tty: &str) -> bool {
    let (Some(pattern), Some(digit)) = (pattern.strip_prefix("/dev/tty"), tty.chars().last())
    else {
        return false;
    };
    let inside = pattern
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let Some(inside) = inside else {
        return pattern.chars().eq([digit]);
    };
    match inside.split_once('-') {
        Some((first, last)) => {
            let one = |text: &str| text.parse::<u8>().ok();
            let digit = digit
                .to_digit(10)
                .and_then(|digit| u8::try_from(digit).ok());
            one(first) <= digit && digit <= one(last) && one(first).is_some()
        }
        None => inside.contains(digit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_terminals_is_a_pattern_of_the_shell() {
        for (pattern, fits) in [
            ("/dev/tty[1-6]", true),
            ("/dev/tty2", true),
            ("/dev/tty[12]", true),
            ("/dev/tty[3-6]", false),
            ("/dev/tty1", false),
            ("/dev/tty12", false),
            ("/dev/tty[34]", false),
            ("tty2", false),
        ] {
            assert_eq!(names(pattern, "tty2"), fits, "{pattern}");
        }
    }
}
