//! Writes down what a target of a whole conversion holds.

use std::path::PathBuf;

use super::state::{State, path_of};
use crate::convert::error::ConvertError;
use crate::convert::input::Input;
use crate::convert::options::{ConvertOptions, StateFile};
use crate::convert::target::Target;
use crate::error::Result;
use crate::format::TargetFormat;
use crate::sink::{Durability, PartialFile};

/// Removes what killed runs left of the state of a target.
pub(in crate::convert) fn remove_leftovers_of_state(target: &Target, options: &ConvertOptions) {
    if let Some(path) = path_of(target, options) {
        PartialFile::remove_leftovers(&path);
    }
}

/// Where it is written, and can be; `None` where nothing is: not of a snapshot, or not for a target
/// that could be brought up to date.
pub(in crate::convert) fn record_path(
    input: &Input,
    target: &Target,
    options: &ConvertOptions,
) -> Result<Option<PathBuf>> {
    let is_disk = matches!(options.format, TargetFormat::Disk(_));
    // After a crash of the machine such a target may look right and be wrong.
    let is_sure = options.durability == Durability::Synced;
    let is_snapshot = input.origin().is_some_and(|origin| origin.is_closed);
    if options.state_file == StateFile::LeftOut || !is_disk || !is_sure || !is_snapshot {
        return Ok(None);
    }
    let path = path_of(target, options);
    if let Some(path) = path.as_ref().filter(|path| input.is_file_of_it(path)) {
        let path = path.clone();
        return Err(ConvertError::TargetIsSource { path }.into());
    }
    path.as_deref().map(State::admit).transpose()?;
    Ok(path)
}

/// The file that says what an older target held, which the new one does not. Nothing where no one
/// wrote it for updates, or it is a file of the source.
pub(in crate::convert) fn stale_path(
    target: &Target,
    input: &Input,
    options: &ConvertOptions,
) -> Option<PathBuf> {
    let path = path_of(target, options).filter(|path| !input.is_file_of_it(path))?;
    State::is_at(&path).then_some(path)
}

/// Writes it, where the target is complete.
pub(in crate::convert) fn record(
    path: &std::path::Path,
    input: &Input,
    target: &std::path::Path,
    options: &ConvertOptions,
) -> Result<()> {
    let (Some(origin), TargetFormat::Disk(format)) = (input.origin(), &options.format) else {
        return Ok(());
    };
    State::new(input, origin, (options, &**format), target)?.write(path)
}
