//! Reading qcow2 images.

mod reader;

pub use reader::{Qcow2Disk, ReadError};
