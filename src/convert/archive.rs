//! The files of a disk as an archive: which file system has them, what the archive will be, and how
//! it is filled.

use std::path::Path;
use std::sync::Arc;

use super::checksum::digest_of;
use super::error::ConvertError;
use super::filled::{Filled, readable};
use super::guest::PlannedGuest;
use super::input::Input;
use super::options::{ConvertOptions, GuestOptions};
use super::resources::Resources;
use super::target::Target;
use crate::copy::Summary;
use crate::disk::RawDisk;
use crate::error::{Error, Result};
use crate::format::tar::{TarJob, TarOptions, TarPlan, Unreadable};
use crate::hash::{Algorithm, Hasher};
use crate::observe::Observer;
use crate::sink::{FileSink, Sink, TargetError};
use crate::source::FileSource;
use crate::tree::Tree;
use crate::util::paths::folder_of;

/// Plans an archive of the files of an input that is one file system.
pub(super) fn plan_archive(
    input: &Input,
    target: &Target,
    format: TarOptions,
    options: &ConvertOptions,
    resources: &Resources<'_>,
) -> Result<PlannedArchive> {
    let folder = match target {
        Target::File(path) => folder_of(path),
        Target::Open(_) | Target::Stream(_) => &options.scratch,
        Target::Device(path) | Target::Directory(path) => {
            let why = "an archive goes to a file or a stream";
            let path = path.clone();
            return Err(TargetError::Kind { path, why }.into());
        }
    };
    plan_files(input, format, options.guest.as_ref(), folder, resources)
}

fn plan_files(
    input: &Input,
    format: TarOptions,
    guest: Option<&GuestOptions>,
    folder: &Path,
    resources: &Resources<'_>,
) -> Result<PlannedArchive> {
    let unreadable = match input.view().is_over_damage() {
        true => Unreadable::LeaveOut,
        false => Unreadable::Refuse,
    };
    let (files, problems) = input.files()?;
    let mut files: Arc<dyn Tree> = Arc::new(files);
    let guest = match guest {
        Some(wanted) => {
            let planned = PlannedGuest::of(&files, wanted, input.disk().size())?;
            files = planned.tree(&wanted.config)?;
            Some(planned)
        }
        None => None,
    };
    let plan = TarPlan::of(files, format, unreadable, folder, resources.stop)?;
    let problems = problems.iter().map(story).collect();
    Ok(PlannedArchive {
        plan,
        problems,
        guest,
    })
}

/// An archive that was compared with the files that it should hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComparedArchive {
    /// The size in bytes that it should have before it is compressed.
    pub size: u64,
    /// Where it differs first, in bytes before it was compressed.
    pub first_difference: Option<u64>,
}

/// An archive in a file, and how it is said to have been made.
#[derive(Debug, Clone, Copy)]
pub struct MadeArchive<'a> {
    /// The file.
    pub path: &'a Path,
    /// How it is packed.
    pub format: TarOptions,
    /// For which host the files were changed; `None` for files as they are.
    pub guest: Option<&'a GuestOptions>,
}

/// Compares an archive in a file with what a conversion would make of the files of an input.
/// `folder` is for files without a name.
///
/// # Errors
///
/// As [`plan`](super::plan()) and [`Plan::run`](super::Plan::run), and what the archive's file
/// says.
pub fn compare_archive(
    input: Input,
    archive: &MadeArchive<'_>,
    folder: &Path,
    resources: &Resources<'_>,
) -> Result<ComparedArchive> {
    let input = input.only_file_system()?;
    let planned = plan_files(&input, archive.format, archive.guest, folder, resources)?;
    let job = job(resources);
    let first_difference = planned.plan.first_difference(archive.path, job)?;
    input.disk().check_unchanged()?;
    Ok(ComparedArchive {
        size: planned.plan.size(),
        first_difference,
    })
}

fn job<'a>(resources: &Resources<'a>) -> TarJob<'a> {
    TarJob {
        workers: resources.workers,
        stop: resources.stop,
        progress: resources.progress,
    }
}

/// An archive that will be made.
#[derive(Debug)]
pub struct PlannedArchive {
    /// What it will be.
    pub plan: TarPlan,
    /// What holds for all files of a damaged file system, as that they may be older than they were.
    pub problems: Vec<String>,
    /// What is changed for another host.
    pub guest: Option<PlannedGuest>,
}

impl PlannedArchive {
    /// Whether it lacks something that the file system has or had.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        !self.problems.is_empty() || self.plan.contents().unreadable_files() > 0
    }
}

/// An error with its causes.
fn story(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

/// Makes the file of an archive, under a temporary name.
pub(super) fn create_archive(
    archive: &TarPlan,
    target: &Path,
    options: &ConvertOptions,
    resources: &Resources<'_>,
) -> Result<Box<dyn Sink>> {
    let size = match archive.options().compression {
        None => archive.size(),
        // It grows.
        Some(_) => 0,
    };
    let sink = FileSink::create(target, size, options.file(), resources.partials)?;
    Ok(Box::new(sink))
}

/// Writes the archive, reads it back if asked to, and computes the digest if one was asked for.
/// The sink is still to be finished.
pub(super) fn fill_archive(
    sink: Box<dyn Sink>,
    archive: &TarPlan,
    input: &Input,
    options: &ConvertOptions,
    resources: &Resources<'_>,
) -> Result<Filled> {
    let job = job(resources);
    let (written, digest) = match options.checksum {
        Some(Algorithm::Sha256) => {
            let mut hasher = Hasher::new(Algorithm::Sha256);
            let written = archive.write(&*sink, job, &mut |bytes| hasher.data(bytes, &[]))?;
            (written, Some(hasher.finish()))
        }
        // It is computed of blocks that all threads read: of the file, as it is.
        Some(algorithm @ Algorithm::Blkhash) => {
            let written = archive.write(&*sink, job, &mut |_| {})?;
            sink.complete()?;
            let file = RawDisk::open(readable(&*sink)?)?;
            let digest = digest_of(&file, algorithm, job.workers, job.stop, &())?;
            (written, Some(digest))
        }
        None => (archive.write(&*sink, job, &mut |_| {})?, None),
    };
    input.disk().check_unchanged()?;
    if options.read_back {
        sink.complete()?;
        let path = readable(&*sink)?;
        FileSource::open_file_or_device(path)?.forget_cached()?;
        if let Some(offset) = archive.first_difference(path, job)? {
            let found = format!("the archive differs first at offset {offset:#x}");
            let fate = "was removed";
            return Err(ConvertError::WrongTarget { found, fate }.into());
        }
    }
    Ok(Filled {
        sink,
        summary: Summary {
            written: written.bytes,
            ..Summary::default()
        },
        digest,
        archive: Some(written),
    })
}
