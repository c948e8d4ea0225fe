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
use ploopconv::partition::{self, Warning};
use ploopconv::ploop::Severity;
use ploopconv::qcow2::{Layout, Qcow2Options, Qcow2Sink};
use ploopconv::sink::{FileSink, FileSinkOptions, PartialFile, Sink, StreamSink, free_room};
use ploopconv::{Error, Workers};
use serde::Serialize;

use super::Verdict;
use super::exit::Usage;
use super::open::OpenArgs;
use super::output::{complain, finish, json, line, results};
use super::progress::{Display, When};
use super::qcow2::{self, Qcow2Args};
use super::report::warn;
use super::signals::Guard;
use super::size::{human, short};

/// Convert a disk (the same as giving no command)
#[derive(Debug, clap::Args)]
pub(crate) struct ConvertArgs {
    #[command(flatten)]
    open: OpenArgs,
    /// Where to: a file that does not exist yet, or - for stdout
    #[arg(short, long, value_name = "TARGET", help_heading = "Writing")]
    pub(crate) output: PathBuf,
    /// Format of the target [default: by its name, else raw]
    #[arg(short = 'O', long, help_heading = "Writing")]
    format: Option<Format>,
    #[command(flatten)]
    qcow2: Qcow2Args,
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
    /// What QEMU, Proxmox and libvirt take; the default for .qcow2 and .qcow
    Qcow2,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }
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
    /// Of a qcow2 target.
    cluster_size: Option<u64>,
    compression: Option<&'static str>,
    dry_run: bool,
    virtual_size: u64,
    /// Bytes that some layer stores.
    data_bytes: u64,
    /// Bytes that were, or at most would be, written as data.
    written_bytes: u64,
    /// Bytes that were, or at least would be, left as zeros.
    zero_bytes: u64,
    /// The most room that the target takes.
    needed_bytes: u64,
    /// Free room where the target goes, where the file system can tell.
    free_bytes: Option<u64>,
    fits: bool,
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
    args.refuse_nonsense(&target)?;
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
    let opened = args.open.disk(examined).with_context(context)?;
    let disk = opened.disk.as_ref();
    target.refuse_sources(&opened.files).with_context(context)?;
    if !args.quiet && args.open.partition.is_none() {
        say_what_hides_partitions(disk);
    }
    let mut plan = Plan::new(args, &target, disk).with_context(context)?;
    if args.dry_run {
        return plan.show(args);
    }
    plan.refuse_if_full().with_context(context)?;
    let started = Instant::now();
    let summary = match write(args, &target, plan.layout.take(), disk, &workers, &signals) {
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

/// Whoever gets a disk with a table that counts in other sectors may see no partition on it, and a
/// disk that is encrypted as a whole shows none without its key. What else may be wrong with a
/// table is for `info`: it is copied as it is.
fn say_what_hides_partitions(disk: &dyn VirtualDisk) {
    let Ok(layout) = partition::read(disk) else {
        return;
    };
    for warning in layout.warnings {
        if matches!(warning, Warning::SectorSize(_) | Warning::WholeDiskLuks) {
            complain(&format!("warning: {warning}"));
        }
    }
}

/// Writes the whole target: complete, or not there.
fn write(
    args: &ConvertArgs,
    target: &Target,
    layout: Option<Layout>,
    disk: &dyn VirtualDisk,
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
            if let Some(layout) = layout {
                let sink = Qcow2Sink::create(path, layout, options)?;
                signals.partial(sink.partial_path());
                Box::new(sink)
            } else {
                let sink = FileSink::create(path, disk.size(), options)?;
                signals.partial(sink.partial_path());
                Box::new(sink)
            }
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
    sink.finish()?;
    Ok(summary)
}

impl ConvertArgs {
    fn format(&self) -> Format {
        let is_qcow =
            |ext: &OsStr| ext.eq_ignore_ascii_case("qcow2") || ext.eq_ignore_ascii_case("qcow");
        let by_name = || match self.output.extension() {
            Some(ext) if is_qcow(ext) => Format::Qcow2,
            _ => Format::Raw,
        };
        self.format.unwrap_or_else(by_name)
    }

    /// What the target is to look like where it is qcow2.
    fn qcow2(&self) -> Option<Qcow2Options> {
        (self.format() == Format::Qcow2).then(|| self.qcow2.options())
    }

    /// The format as people read it.
    fn kind(&self) -> String {
        let name = self.format().name();
        let Some(options) = self.qcow2() else {
            return name.to_owned();
        };
        let compressed = self.qcow2.compression_name();
        let compressed = compressed.map_or_else(String::new, |how| format!(", {how}"));
        format!("{name}, clusters of {}{compressed}", options.cluster_size)
    }

    /// Refuses options that cannot be followed together.
    fn refuse_nonsense(&self, target: &Target) -> Result<(), Usage> {
        let mistake = |text: &str| Err(Usage(text.to_owned()));
        let Some(options) = self.qcow2() else {
            return self.qcow2.refuse_any();
        };
        if !matches!(target, Target::File(_)) {
            return mistake("qcow2 is not written from start to end; its target has to be a file");
        }
        if options.compression.is_some() && self.sparse == Sparse::Never {
            return mistake("--sparse=never and --compress want opposite things");
        }
        Ok(())
    }
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
    fn refuse_sources(&self, files: &[(u64, u64)]) -> anyhow::Result<()> {
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
        if files.contains(&identity) {
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
    /// Whether it may be far less.
    at_most: bool,
    /// Of a qcow2 target.
    layout: Option<Layout>,
    directory: Option<PathBuf>,
    /// Free bytes there, where that says something.
    free: Option<u64>,
}

impl Plan {
    fn new(args: &ConvertArgs, target: &Target, disk: &dyn VirtualDisk) -> anyhow::Result<Self> {
        if let Target::File(path) = target {
            PartialFile::admit(path, args.force)?;
        }
        let size = disk.size();
        let allocate = args.sparse == Sparse::Never;
        let layout = args
            .qcow2()
            .map(|options| qcow2::plan(disk, options, allocate))
            .transpose()?;
        let data = match &layout {
            Some(layout) if !allocate => layout.stored_bytes(),
            _ => stored_bytes(disk)?,
        };
        let directory = target.directory();
        let free = directory.as_deref().map(free_room).transpose()?.flatten();
        let needed = match (&layout, target) {
            (Some(layout), _) if allocate => layout.file_len(),
            (Some(layout), _) => layout.needed_bytes(),
            (None, Target::File(_)) if !allocate => data,
            (None, _) => size,
        };
        // Nobody knows how much of the data is zeros, or how small it becomes.
        let compressed = args
            .qcow2()
            .is_some_and(|qcow2| qcow2.compression.is_some());
        let at_most = args.sparse == Sparse::Always || compressed;
        Ok(Self {
            size,
            data,
            needed,
            at_most,
            layout,
            directory,
            free: free.filter(|_| !at_most),
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
        let qcow2 = args.qcow2();
        Report {
            image: args.open.name().to_string(),
            target: args.output.display().to_string(),
            format: args.format().name(),
            cluster_size: qcow2.map(|options| options.cluster_size.bytes()),
            compression: qcow2.and(args.qcow2.compression_name()),
            dry_run: args.dry_run,
            virtual_size: self.size,
            data_bytes: self.data,
            written_bytes: summary.written,
            zero_bytes: summary.zeros,
            needed_bytes: self.needed,
            free_bytes: self.free,
            fits: self.fits(),
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
        field(
            "target:",
            &format!("{} ({})", args.output.display(), args.kind()),
        )?;
        field("disk:", &human(self.size))?;
        field("stored:", &human(self.data))?;
        let most = if self.at_most { "at most " } else { "" };
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
