//! The commands of README and of the pages in `docs/`, run as they stand there, with what they
//! need: root and other programs. One module a subject; what the binaries share is in
//! `tests/support`.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that meets the unexpected fails where it stands"
)]

// Modules say `crate::support`, as they do of modules of this binary.
extern crate support;
use support::tools;

mod ansible;
mod compact;
mod downtime;
mod guide;
mod hosts;
mod migrate_kvm;
mod migrate_lxc;
mod mount;
mod pages;
mod parallels;
mod readme;
mod recipes;
mod recover;
