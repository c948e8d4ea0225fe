//! The tests of the built program. One module a subject; what they share is in `support`.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that meets the unexpected fails where it stands"
)]

mod support;

mod architecture;
mod attach;
mod builders;
mod chains;
mod checksums;
mod compare;
mod conventions;
mod damage;
mod debian;
mod descriptors;
mod devices;
mod ends;
mod every_partition;
mod faults;
mod fixtures;
mod hostile;
mod image_forms;
mod interrupted;
mod library;
mod memory;
mod names;
mod nbd_hostile;
mod nbd_interop;
mod nbd_server;
mod oracles;
mod packages;
mod partitions;
mod qcow2;
mod reading;
mod readme;
mod room;
mod safety;
mod sharing;
mod tables;
mod targets;
mod tools;
mod vectors;
