//! Tests that need root: they mount, become other users, start machines. They use other programs
//! too. One module a subject; what the binaries share is in `tests/support`.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that meets the unexpected fails where it stands"
)]

// Modules say `crate::support`, as they do of modules of this binary.
extern crate support;
use support::tools;

mod advice;
mod archives;
mod archives_chains;
mod archives_ended;
mod attach;
mod bad_sectors;
mod batches;
mod boot_kills;
mod boot_targets;
mod boots;
mod compact;
mod compare;
mod compare_qcow2;
mod containers;
mod debian;
mod devices;
mod errno;
mod ext4_free;
mod ext4_free_large;
mod ext4_free_mutated;
mod ext4_kinds;
mod ext4_mutated;
mod ext4_replay;
mod ext4_special;
mod ext4_witness;
mod extracted;
mod failures;
mod faults;
mod file_tree;
mod first_boot;
mod first_boot_systems;
mod full;
mod guest_boot;
mod image_forms;
mod in_use;
mod install;
mod messages;
mod mount_ends;
mod mounts;
mod nbd_server;
mod oracles;
mod packages;
mod partition_contents;
mod partitions;
mod qcow2;
mod qcow2_room;
mod raw_ends;
mod read_order;
mod room;
mod salvage_lists;
mod salvaged_files;
mod sharing;
mod targets;
mod updates;
mod updates_machines;
mod updates_mistaken;
mod updates_ploop;
mod updates_power;
mod updates_qcow2;
mod wire;
