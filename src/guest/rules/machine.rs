//! What a machine needs that a container did without: disks, udev, logins on its console.

mod console;
mod fstab;
mod openrc;
mod passwords;
mod services;

use super::super::draft::Draft;
use super::context::Context;
use crate::error::Result;

pub(super) fn apply(draft: &mut Draft<'_>, context: &Context<'_>) -> Result<()> {
    fstab::apply(draft, context)?;
    services::apply(draft, context)?;
    openrc::apply(draft, context)?;
    console::apply(draft, context)?;
    passwords::apply(draft)
}
