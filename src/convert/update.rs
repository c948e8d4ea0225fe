//! Brings a target of an earlier run up to date: only what layers above its snapshot store is
//! copied.
//!
//! What a target holds is known from a file beside it, which says for certain of every byte that
//! it is the snapshot's, or names a range that may be something newer. An update copies those
//! ranges, and all that is stored above the snapshot: whatever became of the layers above it in the
//! meantime, the target is the disk afterwards.

mod device;
mod error;
mod plan;
mod prints;
mod ranges;
mod record;
mod run;
mod state;
mod trust;

pub use self::error::UpdateError;
pub use self::plan::{UpdatePlan, content_without_trace, plan_update};
pub(super) use self::record::{record, record_path, remove_leftovers_of_state, stale_path};
pub use self::run::{Left, UpdateFailure, Updated};
