//! Tests that need programs of other packages, and no root: `tests/install` has the packages. One
//! module a subject; what the binaries share is in `tests/support`.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that meets the unexpected fails where it stands"
)]

// Modules say `crate::support`, as they do of modules of this binary.
extern crate support;
use support::tools;

mod advice;
mod boot_again;
mod boot_disk;
mod boot_refused;
mod boot_targets;
mod builders;
mod checksums;
mod compact;
mod compact_rivals;
mod compact_tables;
mod compare;
mod composed;
mod containers;
mod conventions;
mod dependencies;
mod descriptors;
mod ends;
mod every_partition;
mod fake;
mod files;
mod files_damaged;
mod guest;
mod hints;
mod hints_files;
mod hints_other_disks;
mod hostile;
mod image_forms;
mod kills;
mod nbd_interop;
mod news;
mod promises;
mod safety;
mod salvage;
mod split;
mod target_names;
mod updates_machines;
mod updates_qcow2;
