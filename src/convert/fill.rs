//! Opens a sink for a target, fills it, and reads it back.

use super::archive::{create_archive, fill_archive};
use super::checksum::digest_of;
use super::error::ConvertError;
use super::filled::{Filled, readable};
use super::input::Input;
use super::options::{ConvertOptions, Sparse};
use super::plan::PlannedImage;
use super::read_back::{Held, compare_target};
use super::resources::Resources;
use super::target::Target;
use crate::copy::{CopyOptions, Summary, copy};
use crate::disk::{RawDisk, VirtualDisk};
use crate::error::Result;
use crate::format::{Format, TargetFormat};
use crate::hash::{Algorithm, Hasher};
use crate::observe::Observer;
use crate::sink::TargetError;
use crate::sink::{BlockSink, FileBytes, Sink, StreamSink};
use crate::source::FileSource;

/// Opens the target of an image, which is no directory.
pub(super) fn open_sink(
    target: Target,
    image: &mut PlannedImage,
    options: &ConvertOptions,
    resources: &Resources<'_>,
) -> Result<Box<dyn Sink>> {
    match (image.file.take(), &image.archive, &target) {
        (Some(file), _, _) => return file.create(&image.path, options.file(), resources.partials),
        (None, Some(archive), Target::File(path)) => {
            return create_archive(&archive.plan, path, options, resources);
        }
        _ => {}
    }
    let size = image.input.disk().size();
    Ok(match target {
        Target::Device(path) => Box::new(BlockSink::open(&path, size, options.durability)?),
        Target::Stream(path) => Box::new(StreamSink::open(&path, resources.stop)?),
        Target::Open(stream) => {
            Box::new(StreamSink::new(stream.out, &stream.name).kept_in(stream.kept_in))
        }
        Target::File(path) | Target::Directory(path) => {
            let why = "no file was planned for it";
            return Err(TargetError::Kind { path, why }.into());
        }
    })
}

/// Copies the disk or its files into the sink, reads it back if asked to, and computes the digest
/// if one was asked for. The sink is still to be finished.
pub(super) fn fill(
    sink: Box<dyn Sink>,
    image: &PlannedImage,
    options: &ConvertOptions,
    resources: &Resources<'_>,
) -> Result<Filled> {
    match (&image.archive, &options.format) {
        (Some(archive), _) => fill_archive(sink, &archive.plan, &image.input, options, resources),
        (None, TargetFormat::Disk(format)) => {
            fill_disk(sink, &image.input, &**format, options, resources)
        }
        (None, TargetFormat::Files(_)) => unreachable!("an archive was planned"),
    }
}

fn fill_disk(
    sink: Box<dyn Sink>,
    input: &Input,
    format: &dyn Format,
    options: &ConvertOptions,
    resources: &Resources<'_>,
) -> Result<Filled> {
    let (summary, digest) = match options.checksum {
        None => (run_copy(&*sink, input, options, resources, None)?, None),
        Some(algorithm) => {
            let (summary, digest) = copy_with_digest(&*sink, input, algorithm, options, resources)?;
            (summary, Some(digest))
        }
    };
    if options.read_back {
        sink.complete()?;
        read_back(&*sink, input, format, "was removed", resources)?;
    }
    Ok(Filled {
        sink,
        summary,
        digest,
        archive: None,
    })
}

fn run_copy(
    sink: &dyn Sink,
    input: &Input,
    options: &ConvertOptions,
    resources: &Resources<'_>,
    observer: Option<&mut dyn Observer>,
) -> Result<Summary> {
    let options = CopyOptions {
        find_zeros: options.sparse == Sparse::Always,
        stop: resources.stop,
    };
    let disk = input.disk();
    copy(
        disk,
        sink,
        resources.workers,
        options,
        resources.progress,
        observer,
    )
}

/// Fills the sink and computes a digest on the way: of the file as it will be, or of the disk in
/// it. A file whose bytes are only known when it is complete is read for it.
fn copy_with_digest(
    sink: &dyn Sink,
    input: &Input,
    algorithm: Algorithm,
    options: &ConvertOptions,
    resources: &Resources<'_>,
) -> Result<(Summary, String)> {
    let mut hasher = Hasher::new(algorithm);
    let copy =
        |observer: Option<&mut dyn Observer>| run_copy(sink, input, options, resources, observer);
    if algorithm == Algorithm::Sha256 {
        let mut see = |bytes: &[u8]| hasher.data(bytes, &[]);
        let summary = match sink.file_bytes(&mut see) {
            FileBytes::AreTheDisk => None,
            FileBytes::Seen(mut file) => {
                let summary = copy(Some(file.as_mut()))?;
                file.complete()?;
                Some(summary)
            }
            FileBytes::WhenComplete => {
                let summary = copy(None)?;
                sink.complete()?;
                let file = RawDisk::open(readable(sink)?)?;
                let digest = digest_of(&file, algorithm, resources.workers, resources.stop, &())?;
                return Ok((summary, digest));
            }
        };
        if let Some(summary) = summary {
            return Ok((summary, hasher.finish()));
        }
    }
    let summary = copy(Some(&mut hasher))?;
    Ok((summary, hasher.finish()))
}

/// Compares what the sink made, and has not named yet, with the disk. `fate` is what becomes of a
/// file that is wrong.
pub(super) fn read_back(
    sink: &dyn Sink,
    input: &Input,
    format: &dyn Format,
    fate: &'static str,
    resources: &Resources<'_>,
) -> Result<()> {
    let path = readable(sink)?;
    FileSource::open_file_or_device(path)?.forget_cached()?;
    // The target is what it was made as, whatever the first bytes of the disk look like.
    let target = format.open(path)?;
    let (held, fate) = if is_device(target.as_ref()) {
        (Held::AtLeast, "its first MiB was made zeros")
    } else {
        let size = format.held_size(input.disk().size());
        (Held::Exactly(size), fate)
    };
    let found = compare_target(target.as_ref(), held, input, resources)?;
    if found.is_equal() {
        return Ok(());
    }
    let found = found.to_string();
    Err(ConvertError::WrongTarget { found, fate }.into())
}

/// Whether a target that is read as a disk is a block device.
fn is_device(target: &dyn VirtualDisk) -> bool {
    let files = target.stores().iter().map(|store| store.path());
    files.into_iter().any(crate::source::is_block_device)
}
