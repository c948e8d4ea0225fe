//! The disk of a machine that was made of a container before, which gets a new boot partition.

use super::input::Input;
use super::machine::MachineError;
use crate::boot::has_added;
use crate::error::Result;
use crate::in_use::{Host, Watched};
use crate::partition;
use crate::ploop::IfInUse;

impl Input {
    /// The same disk, where [`Input::booting`] made it: it has the boot partition that was added.
    /// `None` for any other disk.
    ///
    /// # Errors
    ///
    /// [`MachineError::Runs`] where the disk is in use and is not to be read so, and what the disk
    /// says.
    pub fn made_before(self, if_in_use: IfInUse) -> Result<Option<Self>> {
        if !has_added(&partition::read(self.disk())?) {
            return Ok(None);
        }
        let files = self.store_files().into_iter();
        let files: Vec<Watched> = files.map(|path| Watched { path, top: true }).collect();
        let sign = Host::default().signs(&files).into_iter().next();
        match (sign, if_in_use) {
            (Some(sign), IfInUse::Refuse) => Err(MachineError::Runs {
                path: sign.path,
                user: sign.user.to_string(),
            }
            .into()),
            _ => Ok(Some(self.of_machine())),
        }
    }
}
