//! What makes the container the one that others know.

use super::super::draft::Draft;
use super::super::receiver::Kind;
use super::context::Context;
use crate::error::Result;

/// What stays on purpose.
const KEPT: &[(&str, &str)] = &[
    (
        "etc/machine-id",
        "the machine's identity stays: a copy that runs beside the old container needs a new one",
    ),
    (
        "etc/ssh/ssh_host_*_key",
        "the SSH host keys stay, so that clients notice no change: a copy that runs beside the old \
         container needs new ones",
    ),
];

pub(super) fn apply(draft: &mut Draft<'_>, context: &Context<'_>) -> Result<()> {
    for (pattern, reason) in KEPT {
        for path in draft.view.matching(pattern)? {
            draft.keep(&path, reason)?;
        }
    }
    // A machine's own kernel has both versions.
    if context.receiver.kind != Kind::Kvm && context.system.needs_cgroup_v1() {
        draft.keep(
            "sbin/init",
            "this systemd knows the control groups of version 1 only: the new host has to be \
             started with systemd.unified_cgroup_hierarchy=0, and hosts with systemd 258 or newer \
             cannot do that",
        )?;
    }
    Ok(())
}
