//! Tests that pass for any user and without programs of other packages. One module a subject; what
//! the binaries share is in `tests/support`.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that meets the unexpected fails where it stands"
)]

// Modules say `crate::support`, as they do of modules of this binary.
extern crate support;

mod advice;
mod architecture;
mod batches;
mod builders;
mod bundles;
mod by_hand;
mod chains;
mod compare;
mod containers;
mod damage;
mod damage_page;
mod descriptors;
mod ends;
mod faults;
mod fixtures;
mod guest_debian;
mod guest_files;
mod guest_host_tools;
mod guest_hostile;
mod guest_machines;
mod guest_netifrc;
mod guest_networks;
mod guest_next;
mod guest_next_machine;
mod guest_old_inits;
mod guest_starts;
mod guest_systems;
mod guest_tree;
mod habits;
mod hints;
mod hints_lost_descriptor;
mod hints_never_read;
mod hints_other_disks;
mod hints_table;
mod hostile;
mod image_forms;
mod interrupted;
mod inventory;
mod library;
mod memory;
mod messages;
mod mistakes;
mod names;
mod nbd_connections;
mod nbd_hostile;
mod other_systems;
mod pipeline;
mod reading;
mod retries;
mod safety;
mod split_damage;
mod split_disks;
mod split_lost;
mod style;
mod tables;
mod targets;
mod updates;
mod updates_refused;
mod updates_snapshots;
mod updates_states;
mod vectors;
