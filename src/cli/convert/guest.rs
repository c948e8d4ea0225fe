//! What a container becomes on another host: the list of changes, what to type next.

use std::path::Path;

use ploopconv::convert::PlannedGuest;
use ploopconv::format::tar::TarOptions;
use ploopconv::guest::{Archive, Change, Hint, What, next};
use ploopconv::util::text::safe;
use serde::Serialize;
use similar::TextDiff;

use crate::cli::guest::Container;

impl Container {
    /// Settings that are not carried over, a line each.
    pub(super) fn left_out(&self) -> Vec<String> {
        let left = self.config.left_out().into_iter();
        let lines = left.map(|left| {
            let value = safe(left.value).into_owned();
            format!("{}={value}: {}", left.key, left.reason)
        });
        lines.collect()
    }

    /// What to type for an archive at `target`.
    pub(super) fn next(
        &self,
        guest: &PlannedGuest,
        target: &Path,
        packing: TarOptions,
    ) -> Vec<Hint> {
        let archive = Archive {
            path: &target.to_string_lossy(),
            ending: packing.ending(),
            id: &self.id,
            disk_size: guest.disk_size,
        };
        next(&archive, &self.config, &guest.system, &guest.receiver)
    }

    /// For a report.
    pub(super) fn report(&self, guest: &PlannedGuest) -> GuestReport {
        let left = self.config.left_out().into_iter();
        GuestReport {
            system: safe(&guest.system.name).into_owned(),
            config: self.found.as_ref().map(|path| path.display().to_string()),
            changes: guest.changes.iter().map(JsonChange::of).collect(),
            left_out: left
                .map(|left| JsonLeft {
                    key: left.key.to_owned(),
                    value: left.value.to_owned(),
                    reason: left.reason,
                })
                .collect(),
        }
    }
}

/// What a container becomes, for a report.
#[derive(Serialize)]
pub(super) struct GuestReport {
    /// The system that was found.
    system: String,
    /// Where the container's configuration was found.
    config: Option<String>,
    changes: Vec<JsonChange>,
    /// Settings that have no counterpart.
    left_out: Vec<JsonLeft>,
}

#[derive(Serialize)]
struct JsonChange {
    path: String,
    what: &'static str,
    reason: String,
}

#[derive(Serialize)]
struct JsonLeft {
    key: String,
    value: String,
    reason: &'static str,
}

/// What to type on a host, for a report.
#[derive(Serialize)]
pub(super) struct JsonHint {
    host: &'static str,
    commands: Vec<String>,
    notes: Vec<String>,
}

impl JsonChange {
    fn of(change: &Change) -> Self {
        Self {
            path: format!("/{}", String::from_utf8_lossy(&change.path)),
            what: change.what.name(),
            reason: change.reason.clone(),
        }
    }
}

impl JsonHint {
    pub(super) fn of(hint: Hint) -> Self {
        Self {
            host: hint.host,
            commands: hint.commands,
            notes: hint.notes,
        }
    }
}

/// A change in words.
pub(super) fn shown(change: &Change) -> String {
    let path = String::from_utf8_lossy(&change.path);
    let reason = safe(&change.reason).into_owned();
    format!("{:<6} /{}: {reason}", change.what.name(), safe(&path))
}

/// A change as a diff, where it is one of a text.
pub(super) fn diff(guest: &PlannedGuest, change: &Change) -> ploopconv::Result<Vec<String>> {
    let What::Write { contents, .. } = &change.what else {
        return Ok(Vec::new());
    };
    let before = guest.before(change)?;
    let is_new = before.is_none();
    let before = before.unwrap_or_default();
    let (before, after) = (
        String::from_utf8_lossy(&before),
        String::from_utf8_lossy(contents),
    );
    let path = String::from_utf8_lossy(&change.path);
    let (old, new) = (format!("/{path}"), format!("/{path}"));
    let old = if is_new { "/dev/null" } else { &old };
    let diff = TextDiff::from_lines(&*before, &*after);
    let text = diff.unified_diff().header(old, &new).to_string();
    Ok(text.lines().map(|line| safe(line).into_owned()).collect())
}

/// What to type next, a line each: notes as comments of a shell.
pub(super) fn lines(hints: &[Hint]) -> Vec<String> {
    let mut lines = Vec::new();
    for hint in hints {
        let notes = hint
            .notes
            .iter()
            .map(|note| format!("# {}: {}", hint.host, safe(note)));
        lines.extend(notes);
        lines.extend(hint.commands.iter().cloned());
    }
    lines
}
