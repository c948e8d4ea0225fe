//! What makes the container the one that others know.

use std::net::IpAddr;

use super::super::draft::Draft;
use super::super::machine::calls_vsyscall;
use super::super::receiver::{Kind, Network};
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
    own_name(draft, context)?;
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

/// The line of `/etc/hosts` that OpenVZ's host writes has the address that it gave.
fn own_name(draft: &mut Draft<'_>, context: &Context<'_>) -> Result<()> {
    const PATH: &str = "etc/hosts";
    const MARK: &str = "# Auto-generated hostname.";
    if context.receiver.network != Network::Dhcp {
        return Ok(());
    }
    let text = draft.text(PATH)?.unwrap_or_default();
    let mut lines = text.lines().skip_while(|line| !line.starts_with(MARK));
    let own = lines.nth(1).unwrap_or_default();
    let Some(address) = own.split_whitespace().next().and_then(elsewhere) else {
        return Ok(());
    };
    let reason = format!(
        "has the container's own name at {address}: change that by hand where it gets another \
         address, or its own name leads elsewhere"
    );
    draft.keep(PATH, &reason)
}

/// OpenVZ's host wrote the name servers of its own network into a plain file, and neither
/// systemd-networkd nor wicked replaces one; or into what resolvconf makes such a file of.
fn name_servers(draft: &mut Draft<'_>) -> Result<()> {
    const PATHS: &[&str] = &["etc/resolv.conf", "etc/resolvconf/resolv.conf.d/base"];
    for path in PATHS {
        if draft.view.link(path)?.is_none() {
            old_name_servers(draft, path)?;
        }
    }
    Ok(())
}

fn old_name_servers(draft: &mut Draft<'_>, path: &str) -> Result<()> {
    let text = draft.text(path)?.unwrap_or_default();
    let servers = name_servers_elsewhere(&text);
    let servers: Vec<String> = servers.iter().map(IpAddr::to_string).collect();
    if servers.is_empty() {
        return Ok(());
    }
    let reason = format!(
        "its name servers are those of the old network ({}), and they stay until the new host or a \
         DHCP client writes others",
        servers.join(", ")
    );
    draft.keep(path, &reason)
}

/// The name servers of a file like `/etc/resolv.conf` that are not in the guest itself.
pub(super) fn name_servers_elsewhere(text: &str) -> Vec<IpAddr> {
    let lines = text.lines().map(|line| line.split_whitespace());
    let servers = lines.filter_map(|mut words| {
        let is_server = words.next() == Some("nameserver");
        words.next().filter(|_| is_server).and_then(elsewhere)
    });
    servers.collect()
}

/// An address that is not of the guest alone.
fn elsewhere(word: &str) -> Option<IpAddr> {
    let address = word.parse::<IpAddr>().ok();
    address.filter(|address| !address.is_loopback())
}
