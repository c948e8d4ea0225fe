//! Files of a tree, written into a directory of this machine.
//!
//! Every name is looked up in an open directory and no link is followed. So nothing outside the
//! target is made or changed: no link in the tree or in the target leads out, even one that another
//! program puts there meanwhile. A file gets its name when it is complete.

mod directory;
mod error;
mod extraction;
mod file;
mod links;
mod maker;
mod new_name;
mod options;
mod queue;
mod restore;
mod selection;
mod summary;
mod total;

pub use self::error::ExtractError;
pub use self::extraction::extract;
pub use self::options::ExtractOptions;
pub use self::summary::{Extracted, LostPart, NotRestored, Problem, Property};
pub use self::total::total_size;

#[cfg(test)]
mod tests;
