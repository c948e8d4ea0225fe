//! What a conversion will do: which images it makes, and whether there is room for them.

use std::path::{Path, PathBuf};

use super::archive::{PlannedArchive, plan_archive};
use super::checksum::checksum_path;
use super::error::ConvertError;
use super::input::Input;
use super::options::{ConvertOptions, Sparse};
use super::resources::Resources;
use super::room::Room;
use super::target::Target;
use crate::disk::stored_bytes;
use crate::error::Result;
use crate::format::tar::TarOptions;
use crate::format::{Format, PlannedFile, TargetFormat};
use crate::sink::{PartialFile, Reflink, TargetError, create_directory};
use crate::workers::Workers;

/// A conversion that was planned: nothing is open for writing.
#[derive(Debug)]
pub struct Plan {
    pub(super) target: Target,
    pub(super) options: ConvertOptions,
    pub(super) images: Vec<PlannedImage>,
    pub(super) room: Room,
    pub(super) folder: NewFolder,
}

/// An image that will be made.
#[derive(Debug)]
pub struct PlannedImage {
    /// Where.
    pub path: PathBuf,
    /// Of what.
    pub input: Input,
    /// Bytes of the disk that are stored.
    pub data_bytes: u64,
    /// Bytes that are stored and left out, where free blocks are.
    pub left_out: Option<u64>,
    /// What it takes, and what there is for it.
    pub room: Room,
    /// Whether it is a file, and neither a device nor a stream.
    pub(super) is_file: bool,
    /// The file of a disk, until it is made.
    pub(super) file: Option<Box<dyn PlannedFile>>,
    /// The archive of the disk's files, where it is to hold those.
    pub(super) archive: Option<PlannedArchive>,
}

/// A directory that was made for the targets, and goes again if nothing comes of it.
#[derive(Debug, Default)]
pub(super) struct NewFolder(Option<PathBuf>);

impl NewFolder {
    fn make(path: &Path) -> Result<Self> {
        if path.exists() {
            return Ok(Self(None));
        }
        create_directory(path)?;
        Ok(Self(Some(path.to_owned())))
    }

    /// It stays.
    pub(super) fn keep(&mut self) {
        self.0 = None;
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // Only an empty one: what somebody else put there stays.
            let _ = std::fs::remove_dir(path);
        }
    }
}

/// Plans a conversion: asks the target and the disk, and opens nothing for writing. For a directory
/// as the target, an image of every partition; a directory that is not there is made, and goes
/// with the plan unless that is run. Of an archive all files are looked at, which can take a while
/// and can be stopped.
///
/// # Errors
///
/// [`ConvertError::TargetIsSource`] where a file of the source would be written over, by a target
/// or by a checksum file,
/// [`ConvertError::WantsFile`] for a device or a stream in a format that is not the disk's bytes,
/// what else the target says against being written, and what the disk says while it is walked over.
pub fn plan(
    input: Input,
    target: Target,
    options: ConvertOptions,
    resources: &Resources<'_>,
) -> Result<Plan> {
    refuse_own_files(&target, &options, &input)?;
    let mut folder = NewFolder::default();
    let images = match &target {
        Target::Directory(path) => {
            let parts = input.divide()?;
            folder = NewFolder::make(path)?;
            planned_in(path, parts, &options, resources)?
        }
        other => vec![PlannedImage::new(input, other, &options, resources)?],
    };
    Ok(Plan::new(target, options, images, folder))
}

/// Plans the conversion of several disks into one directory, each under the name that stands beside
/// it, complete or absent all together; as [`plan`].
///
/// # Errors
///
/// As [`plan`]: no file of any of the disks is written over.
pub fn plan_disks(
    inputs: Vec<(String, Input)>,
    path: &Path,
    options: ConvertOptions,
    resources: &Resources<'_>,
) -> Result<Plan> {
    let target = Target::Directory(path.to_owned());
    let extension = options.format.name();
    for (_, input) in &inputs {
        refuse_own_files(&target, &options, input)?;
        for (name, _) in &inputs {
            let file = path.join(format!("{name}.{extension}"));
            refuse_own_files(&Target::File(file), &options, input)?;
        }
    }
    let folder = NewFolder::make(path)?;
    let images = planned_in(path, inputs, &options, resources)?;
    Ok(Plan::new(target, options, images, folder))
}

/// Refuses a target, or a checksum file, that is a file of the source.
fn refuse_own_files(target: &Target, options: &ConvertOptions, input: &Input) -> Result<()> {
    target.refuse_files_of(input)?;
    let is_directory = matches!(target, Target::Directory(_));
    match checksum_path(options, target.name(), is_directory) {
        Some(path) if input.is_file_of_it(&path) => {
            Err(ConvertError::TargetIsSource { path }.into())
        }
        _ => Ok(()),
    }
}

/// An image of each disk in a directory.
fn planned_in(
    path: &Path,
    disks: Vec<(String, Input)>,
    options: &ConvertOptions,
    resources: &Resources<'_>,
) -> Result<Vec<PlannedImage>> {
    let extension = options.format.name();
    let images = disks.into_iter().map(|(name, disk)| {
        let file = Target::File(path.join(format!("{name}.{extension}")));
        PlannedImage::new(disk, &file, options, resources)
    });
    images.collect()
}

impl Plan {
    fn new(
        target: Target,
        options: ConvertOptions,
        images: Vec<PlannedImage>,
        folder: NewFolder,
    ) -> Self {
        // One file system takes them all.
        let rooms = images.iter().map(|image| image.room);
        let room = rooms.reduce(Room::and).unwrap_or_default();
        Self {
            target,
            options,
            images,
            room,
            folder,
        }
    }
}

impl PlannedImage {
    fn new(
        input: Input,
        target: &Target,
        options: &ConvertOptions,
        resources: &Resources<'_>,
    ) -> Result<Self> {
        target.refuse_files_of(&input)?;
        if !target.is_files() && !options.format.may_stream() {
            let format = options.format.name();
            return Err(ConvertError::WantsFile { format }.into());
        }
        match &options.format {
            TargetFormat::Disk(format) => {
                Self::of_disk(input, target, &**format, options, resources.workers)
            }
            TargetFormat::Files(format) => {
                Self::of_files(input, target, *format, options, resources)
            }
        }
    }

    fn of_files(
        input: Input,
        target: &Target,
        format: TarOptions,
        options: &ConvertOptions,
        resources: &Resources<'_>,
    ) -> Result<Self> {
        let input = input.only_file_system()?;
        let free = target.admit(options.if_exists, 0)?;
        let archive = plan_archive(&input, target, format, options, resources)?;
        let needed = archive.plan.needed_bytes();
        // Its bytes lie nowhere else, and none of them is left out.
        let options = ConvertOptions {
            sparse: Sparse::Auto,
            reflink: Reflink::Never,
            ..options.clone()
        };
        let room = match (free, target.folder()) {
            (Some(free), Some(folder)) => Room::of_file(&options, needed, free, &folder, &input),
            (free, _) => Room::of_device(needed, free.map(|free| free.bytes)),
        };
        Ok(Self {
            path: target.name().to_owned(),
            data_bytes: stored_bytes(input.disk(), resources.workers)?,
            left_out: None,
            input,
            room,
            is_file: matches!(target, Target::File(_)),
            file: None,
            archive: Some(archive),
        })
    }

    fn of_disk(
        input: Input,
        target: &Target,
        format: &dyn Format,
        options: &ConvertOptions,
        workers: &Workers,
    ) -> Result<Self> {
        let input = input.remembered();
        let disk = input.disk();
        let size = disk.size();
        let free = target.admit(options.if_exists, size)?;
        let allocation = options.allocation();
        let file = match target {
            Target::File(_) => Some(format.plan(disk, allocation, workers)?),
            _ => None,
        };
        let (data_bytes, needed) = match &file {
            Some(file) => (file.data_bytes(), file.needed_bytes()),
            None => (stored_bytes(disk, workers)?, size),
        };
        let room = match (free, target.folder()) {
            (Some(free), Some(folder)) => Room::of_file(options, needed, free, &folder, &input),
            (free, _) => Room::of_device(needed, free.map(|free| free.bytes)),
        };
        let left_out = input.left_out(workers)?;
        Ok(Self {
            path: target.name().to_owned(),
            input,
            data_bytes,
            left_out,
            room,
            is_file: file.is_some(),
            file,
            archive: None,
        })
    }
}

impl PlannedImage {
    /// The archive that it will be, where it is to hold the files of a disk.
    #[must_use]
    pub fn archive(&self) -> Option<&PlannedArchive> {
        self.archive.as_ref()
    }
}

impl Plan {
    /// The images that will be made.
    #[must_use]
    pub fn images(&self) -> &[PlannedImage] {
        &self.images
    }

    /// What all of them take, and what there is for them.
    #[must_use]
    pub fn room(&self) -> Room {
        self.room
    }

    /// The options.
    #[must_use]
    pub fn options(&self) -> &ConvertOptions {
        &self.options
    }

    /// Bytes of the disks or archives that are passed by when it is run, for progress.
    #[must_use]
    pub fn work(&self) -> u64 {
        let sizes = self.images.iter().map(|image| match &image.archive {
            Some(archive) => archive.plan.size(),
            None => image.input.disk().size(),
        });
        let size = sizes.fold(0, u64::saturating_add);
        size.saturating_mul(self.options.passes())
    }

    /// Refuses a copy that is known not to fit.
    pub(super) fn refuse_if_full(&self) -> Result<()> {
        let folder = match &self.target {
            Target::Directory(path) => Some(path.clone()),
            other => other.folder(),
        };
        match (self.room.free, folder) {
            (Some(free), Some(path)) if free < self.room.least => Err(TargetError::NoRoom {
                path,
                free,
                needed: self.room.least,
            }
            .into()),
            _ => Ok(()),
        }
    }
}

/// Removes what killed runs for the same target left, which may take the room that is needed now;
/// answers the paths.
#[must_use]
pub fn clear_leftovers(target: &Target) -> Vec<PathBuf> {
    match target {
        Target::File(path) => PartialFile::remove_leftovers(path),
        _ => Vec::new(),
    }
}
