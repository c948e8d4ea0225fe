//! Where the server of a mount writes what went wrong when it is in the background.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::attach::STATE_DIR;

/// The log of the server with this process number that a user runs; `None` where that user has no
/// folder for what is gone with the machine or the session.
#[must_use]
pub fn log_file_of(user: u32, pid: u32) -> Option<PathBuf> {
    let folder = match user {
        0 => PathBuf::from(STATE_DIR),
        _ => {
            let folder = PathBuf::from(format!("/run/user/{user}"));
            let meta = std::fs::symlink_metadata(&folder).ok()?;
            let is_own = meta.is_dir() && meta.uid() == user;
            is_own.then(|| folder.join("ploopconv"))?
        }
    };
    Some(folder.join(format!("mount-{pid}.log")))
}
