//! What keeps people from logging in, whatever the terminal.

use super::super::draft::Draft;
use super::super::system::{Family, Init, System};
use super::context::Context;
use crate::error::Result;

/// The module that writes down who logged in first.
const MODULE: &str = "pam_loginuid.so";

const REASON: &str = "Linux-PAM before 1.1.8 refuses every login where this module may not write, \
     as in an unprivileged container: it may fail now";

pub(super) fn apply(draft: &mut Draft<'_>, context: &Context<'_>) -> Result<()> {
    if !has_old_pam(context.system) {
        return Ok(());
    }
    for path in draft.view.matching("etc/pam.d/*")? {
        draft.edit(&path, REASON, optional)?;
    }
    Ok(())
}

/// Whether the system may be older than Linux-PAM 1.1.8, of 2013.
fn has_old_pam(system: &System) -> bool {
    if system.init != Init::Systemd {
        return true;
    }
    let version = system.major();
    match system.family {
        Family::Fedora => version.is_some_and(|version| version < 20),
        Family::Suse => version.is_some_and(|version| (11..=13).contains(&version)),
        _ => false,
    }
}

/// The text with the module as one that may fail.
fn optional(text: &str) -> String {
    let lines = text.split('\n').map(|line| {
        let mut words = line.split_whitespace();
        let is_it = words
            .next()
            .is_some_and(|word| word.trim_start_matches('-') == "session")
            && words.next() == Some("required")
            && words.next().is_some_and(|word| word.ends_with(MODULE));
        if is_it {
            line.replacen("required", "optional", 1)
        } else {
            line.to_owned()
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}
