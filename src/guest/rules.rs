//! What a container of OpenVZ has that another host does not want, and the reverse. Each rule is a
//! table with reasons, and few lines that read it.

mod assignment;
mod console;
mod context;
mod devices;
mod elsewhere;
mod fstab;
mod identity;
mod insserv;
mod leftovers;
mod login;
mod machine;
mod network;
mod second_disks;
mod services;
mod shared_memory;
mod terminals;

use self::context::Context;
use super::config::Config;
use super::draft::Draft;
use super::receiver::{Kind, Receiver};
use super::system::System;
use crate::error::Result;

type Rule = fn(&mut Draft<'_>, &Context<'_>) -> Result<()>;

/// Rules for every host of containers. Their order is that of the reasons of a file that several
/// of them change.
const FOR_CONTAINERS: &[Rule] = &[
    leftovers::apply,
    devices::apply,
    second_disks::apply,
    fstab::apply,
    services::apply,
    insserv::apply,
    shared_memory::apply,
    console::apply,
    login::apply,
    network::apply,
    elsewhere::apply,
    identity::apply,
];

/// The same for machines.
const FOR_MACHINES: &[Rule] = &[
    leftovers::apply,
    second_disks::apply,
    machine::apply,
    network::apply,
    elsewhere::apply,
    identity::apply,
];

/// Applies all rules for `receiver`.
pub(super) fn apply(
    draft: &mut Draft<'_>,
    system: &System,
    config: &Config,
    receiver: &Receiver,
) -> Result<()> {
    let context = Context {
        system,
        config,
        receiver,
    };
    let rules = match receiver.kind {
        Kind::Lxc | Kind::Incus => FOR_CONTAINERS,
        Kind::Kvm => FOR_MACHINES,
    };
    for rule in rules {
        rule(draft, &context)?;
    }
    Ok(())
}
