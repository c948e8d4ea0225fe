//! `ploopconv IMAGE -o TARGET`: the main job.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{IsTerminal, stdout};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use ploopconv::copy::{CopyOptions, Summary, copy, stored_bytes};
use ploopconv::disk::VirtualDisk;
use ploopconv::ploop::{PloopDisk, Severity};
use ploopconv::sink::{FileSink, FileSinkOptions, PartialFile, Sink, StreamSink, free_room};
use ploopconv::{Error, Workers};
use serde::Serialize;

use super::Verdict;
use super::exit::Usage;
use super::open::OpenArgs;
use super::output::{complain, finish, json, line, results};
use super::progress::{Display, When};
use super::report::warn;
use super::side::{Side, layer_files};
use super::signals::Guard;
use super::size::{human, short};
use super::verify;

/// Convert a disk (the same as giving no command)
#[derive(Debug, clap::Args)]
pub(crate) struct ConvertArgs {
    #[command(flatten)]
    open: OpenArgs,
    /// Where to: a file that does not exist yet, or - for stdout
    #[arg(short, long, value_name = "TARGET", help_heading = "Writing")]
    pub(crate) output: PathBuf,
    /// Format of the target [default: raw]
    #[arg(short = 'O', long, help_heading = "Writing")]
    format: Option<Format>,
    /// Which zeros become holes: those of the image, all (a bare --sparse), none
    #[arg(
        long,
        value_name = "WHEN",
        num_args = 0..=1,
        require_equals = true,
        default_value = "auto",
        default_missing_value = "always",
        help_heading = "Writing"
    )]
    sparse: Sparse,
    /// Replace an existing file, once the new one is complete
    #[arg(short, long, help_heading = "Writing")]
    force: bool,
    /// Only say what would be done, and whether there is room for it
    #[arg(long, help_heading = "Writing")]
    dry_run: bool,
    /// Do not wait until the target has reached the disk
    #[arg(long, help_heading = "Writing")]
    no_sync: bool,
    /// Read the target back and compare it with the image before it gets its name
    #[arg(long, conflicts_with = "no_sync", help_heading = "Writing")]
    verify: bool,
    /// Print a JSON report at the end
    #[arg(long)]
    json: bool,
    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more
    #[arg(short, long)]
    verbose: bool,
    /// When to show progress
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    progress: When,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// The disk's bytes as they are
    Raw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Sparse {
    /// Holes of the disk and of its images
    Auto,
    /// Also zero blocks of 4 KiB in what is stored
    Always,
    /// The target is fully allocated
    Never,
}

#[derive(Serialize)]
struct Report {
    image: String,
    target: String,
    format: &'static str,
    dry_run: bool,
    virtual_size: u64,
    /// Bytes that some layer stores.
    data_bytes: u64,
    /// Bytes that were, or at most would be, written as data.
    written_bytes: u64,
    /// Bytes that were, or at least would be, left as zeros.
    zero_bytes: u64,
    /// Free room where the target goes, where the file system can tell.
    free_bytes: Option<u64>,
    fits: bool,
    /// Whether the target was read back.
    verified: bool,
}

/// What a target is, told before anything is opened.
enum Target {
    Stdout,
    /// A pipe or a character device.
    Stream(PathBuf),
    File(PathBuf),
}

pub(crate) fn run(args: &ConvertArgs) -> anyhow::Result<Verdict> {
    let context = || format!("converting {}", args.open.name());
    let target = Target::of(args)?;
    if args.verify && !matches!(target, Target::File(_)) {
        let mistake = "--verify reads the target back, and what was sent to a stream is gone";
        return Err(Usage(mistake.to_owned()).into());
    }
    let signals = Guard::start()?;
    let workers = args.open.workers()?;
    let examined = args.open.examine(&workers).with_context(context)?;
    if !args.quiet {
        let least = if args.verbose {
            Severity::Info
        } else {
            Severity::Warning
        };
        warn(&examined, least);
    }
    let disk = examined
        .into_disk(args.open.allow_dirty)
        .with_context(context)?;
    target.refuse_sources(&disk).with_context(context)?;
    let plan = Plan::new(args, &target, &disk).with_context(context)?;
    if args.dry_run {
        return plan.show(args);
    }
    plan.refuse_if_full().with_context(context)?;
    let started = Instant::now();
    let summary = match write(args, &target, &disk, &workers, &signals) {
        Ok(summary) => summary,
        Err(error) => {
            return Err(match signals.interrupted() {
                Some(interrupted) => interrupted.into(),
                None => error.context(context()),
            });
        }
    };
    if args.json {
        json(&plan.report(args, summary))?;
    }
    if !args.quiet && !matches!(target, Target::Stdout) {
        complain(&format!(
            "{}: {} disk, {} written in {:.1} s",
            args.output.display(),
            short(disk.size()),
            short(summary.written),
            started.elapsed().as_secs_f64()
        ));
    }
    Ok(Verdict::Done)
}

/// Writes the whole target: complete, or not there.
fn write(
    args: &ConvertArgs,
    target: &Target,
    disk: &PloopDisk,
    workers: &Workers,
    signals: &Guard,
) -> anyhow::Result<Summary> {
    let sink: Box<dyn Sink> = match target {
        Target::Stdout => {
            // Not std's stdout, which would look for line ends.
            let out = stdout()
                .as_fd()
                .try_clone_to_owned()
                .context("opening stdout")?;
            Box::new(StreamSink::new(
                Box::new(File::from(out)),
                Path::new("stdout"),
            ))
        }
        Target::Stream(path) => Box::new(StreamSink::open(path, signals.stop())?),
        Target::File(path) => {
            let options = FileSinkOptions {
                replace: args.force,
                allocate: args.sparse == Sparse::Never,
                sync: !args.no_sync,
            };
            let sink = FileSink::create(path, disk.size(), options)?;
            signals.partial(sink.partial_path());
            Box::new(sink)
        }
    };
    let progress = Display::new(args.progress, args.quiet, disk.size());
    let options = CopyOptions {
        find_zeros: args.sparse == Sparse::Always,
        stop: signals.stop(),
    };
    let copied = copy(disk, sink.as_ref(), workers, options, &progress);
    progress.clear();
    let summary = copied?;
    if signals.interrupted().is_some() {
        return Err(Error::Stopped.into());
    }
    if args.verify {
        sink.complete()?;
        read_back(args, sink.as_ref(), disk, workers, signals)?;
    }
    sink.finish()?;
    Ok(summary)
}

/// Compares what the sink made, and has not named yet, with the disk.
fn read_back(
    args: &ConvertArgs,
    sink: &dyn Sink,
    disk: &PloopDisk,
    workers: &Workers,
    signals: &Guard,
) -> anyhow::Result<()> {
    let path = sink.readable_at().context("the target cannot be read")?;
    // The target is what it was made as, whatever the first bytes of the disk look like.
    let target = match args.format.unwrap_or(Format::Raw) {
        Format::Raw => Side::raw(path),
    }?;
    let progress = Display::new(args.progress, args.quiet, disk.size());
    let source = (disk as &dyn VirtualDisk, &layer_files(disk)[..]);
    verify::read_back(&target, source, workers, signals, &progress)
}

impl Target {
    fn of(args: &ConvertArgs) -> anyhow::Result<Self> {
        let path = &args.output;
        if path == OsStr::new("-") {
            if args.json {
                let mistake = "--json and -o - would both write to stdout";
                return Err(Usage(mistake.to_owned()).into());
            }
            if !args.dry_run && stdout().is_terminal() {
                let mistake = "a disk is not written to a terminal; redirect stdout";
                return Err(Usage(mistake.to_owned()).into());
            }
            return Ok(Self::Stdout);
        }
        let is_qcow =
            |ext: &OsStr| ext.eq_ignore_ascii_case("qcow2") || ext.eq_ignore_ascii_case("qcow");
        if args.format.is_none() && path.extension().is_some_and(is_qcow) {
            return Err(Usage(format!(
                "{} asks for qcow2, and this version writes raw disks only: name the target \
                 otherwise or add -O raw, and use qemu-img convert -O qcow2 on the result",
                path.display()
            ))
            .into());
        }
        let Ok(meta) = std::fs::metadata(path) else {
            return Ok(Self::File(path.clone()));
        };
        let kind = meta.file_type();
        if kind.is_block_device() {
            return Err(Error::TargetKind {
                path: path.clone(),
                why: "it is a block device, and this version writes files and streams only; \
                      use -o - and dd",
            }
            .into());
        }
        if kind.is_char_device() || kind.is_fifo() {
            return Ok(Self::Stream(path.clone()));
        }
        Ok(Self::File(path.clone()))
    }

    /// Makes sure that no file of the source is written over, under whatever name.
    fn refuse_sources(&self, disk: &PloopDisk) -> anyhow::Result<()> {
        let meta = match self {
            Self::Stdout => {
                let out = stdout()
                    .as_fd()
                    .try_clone_to_owned()
                    .context("opening stdout")?;
                File::from(out).metadata()
            }
            Self::Stream(path) | Self::File(path) => std::fs::metadata(path),
        };
        let Ok(meta) = meta else { return Ok(()) };
        let identity = (meta.dev(), meta.ino());
        if disk.files().any(|file| file.identity() == identity) {
            let path = match self {
                Self::Stdout => PathBuf::from("stdout"),
                Self::Stream(path) | Self::File(path) => path.clone(),
            };
            return Err(Error::TargetIsSource { path }.into());
        }
        Ok(())
    }

    /// The directory that takes a file.
    fn directory(&self) -> Option<PathBuf> {
        let Self::File(path) = self else { return None };
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        let parent = real
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        Some(parent.map_or_else(|| PathBuf::from("."), Path::to_owned))
    }
}

/// What a conversion would do.
struct Plan {
    size: u64,
    data: u64,
    /// The most bytes that may be written.
    needed: u64,
    directory: Option<PathBuf>,
    /// Free bytes there, where that says something.
    free: Option<u64>,
}

impl Plan {
    fn new(args: &ConvertArgs, target: &Target, disk: &PloopDisk) -> anyhow::Result<Self> {
        if let Target::File(path) = target {
            PartialFile::admit(path, args.force)?;
        }
        let size = disk.size();
        let data = stored_bytes(disk)?;
        let directory = target.directory();
        let free = directory.as_deref().map(free_room).transpose()?.flatten();
        let needed = match (args.sparse, target) {
            (Sparse::Never, _) | (_, Target::Stdout | Target::Stream(_)) => size,
            (Sparse::Auto | Sparse::Always, _) => data,
        };
        Ok(Self {
            size,
            data,
            needed,
            directory,
            // With --sparse nobody knows how much of the data is zeros.
            free: free.filter(|_| args.sparse != Sparse::Always),
        })
    }

    fn fits(&self) -> bool {
        self.free.is_none_or(|free| self.needed <= free)
    }

    fn refuse_if_full(&self) -> Result<(), Error> {
        match (self.free, &self.directory) {
            (Some(free), Some(directory)) if free < self.needed => Err(Error::NoRoom {
                path: directory.clone(),
                free,
                needed: self.needed,
            }),
            _ => Ok(()),
        }
    }

    fn report(&self, args: &ConvertArgs, summary: Summary) -> Report {
        Report {
            image: args.open.name().to_string(),
            target: args.output.display().to_string(),
            format: "raw",
            dry_run: args.dry_run,
            virtual_size: self.size,
            data_bytes: self.data,
            written_bytes: summary.written,
            zero_bytes: summary.zeros,
            free_bytes: self.free,
            fits: self.fits(),
            verified: args.verify && !args.dry_run,
        }
    }

    fn show(&self, args: &ConvertArgs) -> anyhow::Result<Verdict> {
        let verdict = if self.fits() {
            Verdict::Done
        } else {
            Verdict::No
        };
        if args.json {
            let expected = Summary {
                written: self.data,
                zeros: self.size - self.data,
            };
            json(&self.report(args, expected))?;
            return Ok(verdict);
        }
        let mut out = results();
        let mut field = |name: &str, value: &str| line(&mut out, &format!("{name:<8} {value}"));
        field("image:", &args.open.name().to_string())?;
        field("target:", &format!("{} (raw)", args.output.display()))?;
        field("disk:", &human(self.size))?;
        field("stored:", &human(self.data))?;
        let most = if args.sparse == Sparse::Always {
            "at most "
        } else {
            ""
        };
        field("needed:", &format!("{most}{}", human(self.needed)))?;
        match self.free {
            Some(free) => {
                let fits = if self.fits() {
                    "it fits"
                } else {
                    "it does not fit"
                };
                field("free:", &format!("{}: {fits}", human(free)))?;
            }
            None if self.directory.is_some() => field("free:", "not known beforehand")?,
            None => {}
        }
        finish(out)?;
        Ok(verdict)
    }
}
