//! From `venet0`, which the OpenVZ host set up, to `eth0`.

mod files;
mod ifupdown;
mod manager;
mod openrc;
mod redhat;
mod suse;
mod wanted;

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
    files::NETWORKD,
];

pub(super) fn apply(draft: &mut Draft<'_>, context: &Context<'_>) -> Result<()> {
    let wanted = wanted(draft, context)?;
    for manager in MANAGERS {
        (manager.clean)(draft)?;
    }
    files::clean_netctl(draft)?;
    for manager in MANAGERS {
        if let Some(path) = (manager.card)(draft)? {
            return draft.keep(&path, "eth0 has settings of its own, and they stay");
        }
    }
    let Some(wanted) = wanted else {
        return Ok(());
    };
    for manager in MANAGERS {
        if (manager.is_used)(draft)? {
            return (manager.set)(draft, &wanted);
        }
    }
    if context.system.init != Init::None && draft.view.is_directory("etc")? {
        draft.keep(
            "etc",
            "no settings of a network were found: set eth0 up where this system keeps them",
        )?;
    }
    Ok(())
}
