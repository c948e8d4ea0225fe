//! What a target's file can look like: formats, each a module of its own, and the list of them.
//!
//! A format plans a file for a disk before anything is written, says how much room it takes, makes
//! the sink that writes it, and reads it back. A conversion knows no format by its name, and asks
//! the list for names, options, reading back and what may go to a stream; a new format is its
//! module and a line of [`FORMATS`]. Most formats hold a disk; [`tar`] holds the files of one.

mod change;
mod kind;
mod list;
pub mod qcow2;
mod raw;
pub mod tar;

pub use self::change::{FileBefore, FileChange, PlannedChange};
pub use self::kind::{Allocation, Format, PlannedFile, TargetFormat};
pub use self::list::{FORMATS, Holds, KnownFormat, by_extension};
pub use self::raw::Raw;
