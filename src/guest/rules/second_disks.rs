//! Disks of the container beside its root: they are images of their own.

use super::super::draft::Draft;
use super::super::receiver::Kind;
use super::context::Context;
use crate::error::Result;

/// How Virtuozzo 7's host begins the description of a unit that it writes for such a disk.
const DESCRIPTION: &str = "Description=ploop with UUID=";

pub(super) fn apply(draft: &mut Draft<'_>, context: &Context<'_>) -> Result<()> {
    for path in draft.view.matching("etc/systemd/system/*.mount")? {
        let text = draft.text(&path)?.unwrap_or_default();
        let mut lines = text.lines().map(str::trim);
        let Some(uuid) = lines.find_map(|line| line.strip_prefix(DESCRIPTION)) else {
            continue;
        };
        let mut lines = text.lines().map(str::trim);
        let folder = lines.find_map(|line| line.strip_prefix("Where="));
        let folder = folder.unwrap_or("a folder");
        let disk = format!(
            "mounts another disk of the container at {folder}, an image of its own that has to be \
             converted too"
        );
        if context.receiver.kind == Kind::Kvm {
            let reason = format!("{disk}; the machine needs it as a disk with the UUID {uuid}");
            draft.keep(&path, &reason)?;
            continue;
        }
        let reason = format!("{disk}; the new host mounts it there");
        let name = path.rsplit('/').next().unwrap_or_default();
        for link in draft
            .view
            .matching(&format!("etc/systemd/system/*.wants/{name}"))?
        {
            draft.remove(&link, &reason)?;
        }
        draft.remove(&path, &reason)?;
    }
    Ok(())
}
