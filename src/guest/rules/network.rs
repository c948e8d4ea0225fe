//! From `venet0`, which the OpenVZ host set up, to `eth0`.

mod files;
mod glob;
mod ifupdown;
mod manager;
mod netctl;
mod networkd;
mod openrc;
mod own;
mod redhat;
mod routed;
mod shell;
mod suse;
mod unmanaged;
mod upstart;
mod wanted;
mod written;
mod yaml;

use self::manager::Manager;
use self::wanted::wanted;
use super::super::draft::Draft;
use super::super::system::Init;
use super::context::Context;
use crate::error::Result;

/// The managers, the one whose settings count first where a guest has several.
const MANAGERS: &[Manager] = &[
    files::NETPLAN,
    redhat::SCRIPTS,
    suse::WICKED,
    ifupdown::IFUPDOWN,
    openrc::NETIFRC,
    files::NETWORK_MANAGER,
    networkd::NETWORKD,
];

const NO_DHCP: &str = "no program of the guest asks for an address by DHCP, as dhclient does: let \
     eth0 keep the container's addresses, or install such a program first";

const UNREAD: &str =
    "has settings of eth0, and the program that would read them does not start here";

pub(super) fn apply(draft: &mut Draft<'_>, context: &Context<'_>) -> Result<()> {
    let wanted = wanted(draft, context)?;
    // What set venet0 up sets eth0 up, where a guest has several.
    let mut managers: Vec<(&Manager, bool)> = Vec::new();
    for manager in MANAGERS {
        let before = draft.number_of_changes();
        (manager.clean)(draft)?;
        managers.push((manager, draft.number_of_changes() > before));
    }
    managers.sort_by_key(|(_, had_venet)| !had_venet);
    let had_venet = managers.iter().any(|(_, had_venet)| *had_venet);
    netctl::clean(draft)?;
    ifupdown::unread(draft, context.system)?;
    for manager in MANAGERS {
        let Some(path) = (manager.card)(draft)? else {
            continue;
        };
        if (manager.is_used)(draft, context.system)? {
            unmanaged::is_managed(draft, context)?;
            if had_venet {
                own::has_way_out(draft, &path)?;
            }
            return own::stays(draft, context, &path);
        }
        draft.keep(&path, UNREAD)?;
    }
    if let Some(path) = netctl::card(draft)? {
        return own::stays(draft, context, &path);
    }
    let Some(wanted) = wanted else {
        return Ok(());
    };
    if netctl::serves_every_card(draft, &wanted)? {
        return Ok(());
    }
    unmanaged::is_managed(draft, context)?;
    let mut used = Vec::new();
    for (manager, _) in managers {
        if (manager.is_used)(draft, context.system)? {
            used.push(manager);
        }
    }
    for manager in &used {
        if !wanted.is_dhcp() || manager.has_dhcp(draft)? {
            (manager.set)(draft, &wanted, context.system)?;
            return upstart::starts_network(draft, context);
        }
    }
    if let Some(manager) = used.first() {
        (manager.set)(draft, &wanted, context.system)?;
        return draft.keep("etc", NO_DHCP);
    }
    if context.system.init != Init::None && draft.view.is_directory("etc")? {
        draft.keep(
            "etc",
            "no settings of a network were found: set eth0 up where this system keeps them",
        )?;
    }
    Ok(())
}
