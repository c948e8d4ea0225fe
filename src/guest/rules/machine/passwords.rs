//! Whether somebody can log in to a machine: a container's host needed no password.

use super::super::super::draft::Draft;
use crate::error::Result;

const REASON: &str = "no user has a password or an SSH key here: set a password in the \
     container before it is converted, or the machine has a login that no user gets through";

pub(super) fn apply(draft: &mut Draft<'_>) -> Result<()> {
    // A system without it keeps its passwords in the list of users.
    let path = "etc/shadow";
    let Some(text) = draft.view.readable(path) else {
        return Ok(());
    };
    let mut users = text.lines().map(|line| line.split(':').nth(1));
    let has_password = users.any(|password| password.is_some_and(is_password));
    let mut has_key = false;
    for keys in ["root/.ssh/authorized_keys*", "home/*/.ssh/authorized_keys*"] {
        for path in draft.view.matching(keys)? {
            let keys = draft.view.readable(&path).unwrap_or_default();
            let mut lines = keys.lines().map(str::trim);
            has_key |= lines.any(|line| !line.is_empty() && !line.starts_with('#'));
        }
    }
    match has_password || has_key {
        true => Ok(()),
        false => draft.keep(path, REASON),
    }
}

/// Whether a field is a password or an empty one, which needs none. `!` and `*` are for users
/// without a login.
fn is_password(field: &str) -> bool {
    !field.starts_with(['!', '*'])
}
