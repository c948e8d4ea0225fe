//! The tests of the built program. One module a subject; what they share is in `support`.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that meets the unexpected fails where it stands"
)]

mod support;

mod architecture;
mod attach;
mod bad_sectors;
mod builders;
mod by_hand;
mod chains;
mod checksums;
mod compare;
mod compare_qcow2;
mod containers;
mod conventions;
mod damage;
mod damage_page;
mod debian;
mod dependencies;
mod descriptors;
mod devices;
mod ends;
mod errno;
mod every_partition;
mod failures;
mod faults;
mod fixtures;
mod full;
mod hints;
mod hints_files;
mod hints_table;
mod hostile;
mod image_forms;
mod in_use;
mod install;
mod interrupted;
mod kills;
mod library;
mod memory;
mod messages;
mod migrate_kvm;
mod migrate_lxc;
mod mistakes;
mod names;
mod nbd_connections;
mod nbd_hostile;
mod nbd_interop;
mod nbd_server;
mod oracles;
mod other_systems;
mod packages;
mod pages;
mod partition_contents;
mod partitions;
mod pipeline;
mod prepare_guest;
mod qcow2;
mod qcow2_room;
mod raw_ends;
mod reading;
mod readme;
mod recipes;
mod recover;
mod room;
mod safety;
mod salvage;
mod salvage_lists;
mod salvaged_files;
mod sharing;
mod tables;
mod target_names;
mod targets;
mod tools;
mod vectors;
