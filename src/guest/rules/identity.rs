//! What makes the container the one that others know.

use std::net::IpAddr;

use super::super::draft::Draft;
use super::super::machine::calls_vsyscall;
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
    name_servers(draft)?;
    // A machine's own kernel has both versions of control groups, and its command line the option.
    if context.receiver.kind == Kind::Kvm {
        return Ok(());
    }
    if calls_vsyscall(draft.view, context.system)? {
        draft.keep(
            "sbin/init",
            "this C library calls the kernel where many of today's have nothing: a host with such \
             a kernel, as Debian's are, has to be started with vsyscall=emulate, or every program \
             of the container ends at once",
        )?;
    }
    if context.system.needs_cgroup_v1() {
        draft.keep(
            "sbin/init",
            "this systemd knows the control groups of version 1 only: the new host has to be \
             started with systemd.unified_cgroup_hierarchy=0, and hosts with systemd 258 or newer \
             cannot do that",
        )?;
    }
    Ok(())
}

/// OpenVZ's host wrote the name servers of its own network into a plain file, and neither
/// systemd-networkd nor wicked replaces one.
fn name_servers(draft: &mut Draft<'_>) -> Result<()> {
    const PATH: &str = "etc/resolv.conf";
    if draft.view.link(PATH)?.is_some() {
        return Ok(());
    }
    let text = draft.text(PATH)?.unwrap_or_default();
    let lines = text.lines().map(|line| line.split_whitespace());
    let servers = lines.filter_map(|mut words| {
        let is_server = words.next() == Some("nameserver");
        words
            .next()
            .filter(|server| is_server && is_elsewhere(server))
    });
    let servers: Vec<&str> = servers.collect();
    if servers.is_empty() {
        return Ok(());
    }
    let reason = format!(
        "its name servers are those of the old network ({}), and they stay until the new host or a \
         DHCP client writes others",
        servers.join(", ")
    );
    draft.keep(PATH, &reason)
}

/// Whether a name server is not in the guest itself.
fn is_elsewhere(server: &str) -> bool {
    let address = server.parse::<IpAddr>();
    address.is_ok_and(|address| !address.is_loopback())
}
