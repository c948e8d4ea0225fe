//! Opens a sink for a target, fills it, and reads it back.

use std::fs::File;
use std::io::stdout;
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::Context;
use ploopconv::Workers;
use ploopconv::copy::{CopyOptions, Observer, Summary, copy};
use ploopconv::disk::RawDisk;
use ploopconv::hash;
use ploopconv::qcow2::{Layout, Qcow2Sink};
use ploopconv::sink::{BlockSink, FileSink, FileSinkOptions, Sink, StreamSink};

use super::args::{ConvertArgs, Format, Sparse};
use super::digest::OpenSink;
use super::target::Target;
use crate::cli::progress::Display;
use crate::cli::side::Side;
use crate::cli::signals::Guard;
use crate::cli::verify;

/// Opens a target for a disk of `size` bytes.
pub(super) fn open_sink(
    args: &ConvertArgs,
    target: &Target,
    layout: Option<Layout>,
    size: u64,
    signals: &Guard,
) -> anyhow::Result<OpenSink> {
    let options = FileSinkOptions {
        replace: args.force,
        allocate: args.sparse == Sparse::Never,
        sync: !args.no_sync,
        reflink: args.reflink.into(),
    };
    let partials = signals.partials();
    let sink: Box<dyn Sink> = match (target, layout) {
        (Target::Stdout, _) => {
            // Not std's stdout, which would look for line ends.
            let out = stdout()
                .as_fd()
                .try_clone_to_owned()
                .context("opening stdout")?;
            let out = Box::new(File::from(out));
            let place = std::fs::canonicalize("/proc/self/fd/1").ok();
            Box::new(StreamSink::new(out, Path::new("stdout")).kept_in(place))
        }
        (Target::Device(path), _) => Box::new(BlockSink::open(path, size, !args.no_sync)?),
        (Target::Stream(path), _) => Box::new(StreamSink::open(path, signals.stop())?),
        (Target::File(path) | Target::Directory(path), Some(layout)) => {
            let sink = Qcow2Sink::create(path, layout, options, partials)?;
            return Ok(OpenSink::Qcow2(Box::new(sink)));
        }
        (Target::File(path) | Target::Directory(path), None) => {
            Box::new(FileSink::create(path, size, options, partials)?)
        }
    };
    Ok(OpenSink::Other(sink))
}

/// Who does the work, who may stop it, and who sees how far it has come.
pub(super) struct Hands<'a> {
    pub(super) workers: &'a Workers,
    pub(super) signals: &'a Guard,
    pub(super) progress: &'a Display,
}

/// How often every byte of the disk is seen, for progress.
pub(super) fn passes(args: &ConvertArgs) -> u64 {
    if args.verify { 2 } else { 1 }
}

/// Copies the disk into the sink, reads it back if asked to, and gives the digest if one was
/// asked for. The sink is still to be finished.
pub(super) fn fill(
    args: &ConvertArgs,
    sink: &OpenSink,
    algorithm: Option<hash::Algorithm>,
    source: &Side,
    hands: &Hands<'_>,
) -> anyhow::Result<(Summary, Option<String>)> {
    let (disk, stop) = (source.disk.as_ref(), hands.signals.stop());
    let options = CopyOptions {
        find_zeros: args.sparse == Sparse::Always,
        stop,
    };
    let copy = |observer: Option<&mut dyn Observer>| {
        let sink = sink.sink();
        copy(disk, sink, hands.workers, options, hands.progress, observer)
    };
    let (summary, digest) = match algorithm {
        None => (copy(None)?, None),
        Some(algorithm) => {
            let read = |path: &Path| {
                let file = RawDisk::open(path)?;
                verify::digest::of(&file, algorithm, hands.workers, stop, &())
            };
            let (summary, digest) = sink.digest(algorithm, copy, read)?;
            (summary, Some(digest))
        }
    };
    if args.verify {
        sink.sink().complete()?;
        read_back(args, sink.sink(), source, hands)?;
    }
    Ok((summary, digest))
}

/// Compares what the sink made, and has not named yet, with the disk.
fn read_back(
    args: &ConvertArgs,
    sink: &dyn Sink,
    source: &Side,
    hands: &Hands<'_>,
) -> anyhow::Result<()> {
    let path = sink.readable_at().context("the target cannot be read")?;
    // The target is what it was made as, whatever the first bytes of the disk look like.
    let target = match args.format() {
        Format::Raw => Side::raw(path),
        Format::Qcow2 => Side::qcow2(path),
    }?;
    verify::read_back(
        &target,
        source,
        hands.workers,
        hands.signals,
        hands.progress,
    )
}
