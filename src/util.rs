//! What every room may use and what knows no room: integers, locks, paths, times and text.

pub mod bytes;
pub(crate) mod exact_path;
pub mod paths;
pub(crate) mod percent;
pub mod size;
pub mod sync;
pub mod text;
pub mod time;
