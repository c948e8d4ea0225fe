//! A conversion with every promise of a target: no file of the source is written, what is there is
//! replaced only when asked and only at the end, a target is complete or absent, room is looked at
//! before the first byte, several images are made all or none, and what is lost is listed.
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::sync::atomic::AtomicBool;
//! use ploopconv::Workers;
//! use ploopconv::convert::{ConvertOptions, Input, Resources, Target, plan};
//! use ploopconv::disk::RawDisk;
//! use ploopconv::sink::IfExists;
//!
//! let workers = Workers::new(4)?;
//! let input = Input::of(Arc::new(RawDisk::open("disk.img".as_ref())?), "disk.img");
//! let target = Target::at("disk.qcow2".as_ref(), IfExists::Refuse)?;
//! let options = ConvertOptions::for_name("disk.qcow2".as_ref());
//! let (stop, partials) = (AtomicBool::new(false), Arc::default());
//! let with = Resources { workers: &workers, stop: &stop, partials: &partials, progress: &() };
//! let plan = plan(input, target, options, &with)?;
//! let done = plan.run(&with).map_err(|failed| failed.error)?;
//! println!("{} bytes written", done.images[0].summary.written);
//! # Ok::<(), ploopconv::Error>(())
//! ```

mod account;
mod archive;
mod around;
mod checksum;
mod compact;
mod compaction;
mod error;
mod file_system;
mod fill;
mod filled;
mod guest;
mod input;
mod list;
mod machine;
mod made_before;
mod options;
mod origin;
mod parallel;
mod plan;
mod read_back;
mod resources;
mod room;
mod run;
mod stale;
mod target;
mod update;

pub use self::account::{Account, ImageAccount, PartAccount, Tally};
pub use self::archive::{ComparedArchive, MadeArchive, PlannedArchive, compare_archive};
pub use self::checksum::{ExpectedDigest, checksum_line, digest_of, expected_digest};
pub use self::compact::CompactError;
pub use self::compaction::{WholePartition, WhyWhole};
pub use self::error::ConvertError;
pub use self::guest::PlannedGuest;
pub use self::input::Input;
pub use self::machine::{MachineError, MachineOptions, PlannedMachine};
pub use self::options::{ConvertOptions, GuestOptions, Sparse, StateFile};
pub use self::plan::{Plan, PlannedImage, clear_leftovers, plan, plan_disks};
pub use self::read_back::{FirstDifference, Held, ReadBack, compare_target};
pub use self::resources::Resources;
pub use self::room::Room;
pub use self::run::{ConvertFailure, Done, DoneImage};
pub use self::target::{OpenStream, Target};
pub use self::update::{
    Left, UpdateError, UpdateFailure, UpdatePlan, Updated, content_without_trace, plan_update,
};

/// Where a file beside a target says what the target holds. Other programs may have written more
/// into it.
pub(crate) const CONTENT_KEY: &str = "content";
