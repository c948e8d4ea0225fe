//! `ploopconv IMAGE -o TARGET`: the main job.

mod checksum;
mod digest;
mod lost;
mod partitions;
mod plan;
mod target;

use std::ffi::OsStr;
use std::fs::File;
use std::io::stdout;
use std::iter;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use ploopconv::Workers;
use ploopconv::copy::{CopyOptions, Observer, Summary, copy};
use ploopconv::disk::{RawDisk, VirtualDisk};
use ploopconv::hash;
use ploopconv::partition::{self, Warning};
use ploopconv::ploop::Severity;
use ploopconv::qcow2::{Layout, Qcow2Options, Qcow2Sink};
use ploopconv::sink::{self, BlockSink, FileSink, FileSinkOptions, PartialFile, Sink, StreamSink};

use self::checksum::{Algorithm, ChecksumFile};
use self::digest::OpenSink;
use self::lost::LostFile;
use self::plan::Plan;
use self::target::Target;
use super::Verdict;
use super::exit::Usage;
use super::losses::Account;
use super::open::OpenArgs;
use super::output::{complain, json};
use super::progress::{Display, When};
use super::qcow2::Qcow2Args;
use super::report::warn;
use super::side::Side;
use super::signals::Guard;
use super::size::short;
use super::verify;

/// Convert a disk (the same as giving no command)
#[derive(Debug, clap::Args)]
pub(crate) struct ConvertArgs {
    #[command(flatten)]
    pub(crate) open: OpenArgs,
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
    /// Whether the target shares blocks with the image, where the file system can
    #[arg(
        long,
        value_name = "WHEN",
        num_args = 0..=1,
        require_equals = true,
        default_value = "auto",
        default_missing_value = "always",
        help_heading = "Writing"
    )]
    reflink: Reflink,
    /// Replace an existing file, once the new one is complete
    #[arg(short, long, help_heading = "Writing")]
    force: bool,
    /// Write every partition to TARGET/p1.raw, p2.raw and so on; TARGET is a directory
    #[arg(long, conflicts_with = "partition", help_heading = "Writing")]
    partitions: bool,
    /// Write TARGET.sha256 (or TARGET.blkhash), computed while converting
    #[arg(
        long,
        value_name = "HOW",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "sha256",
        help_heading = "Writing"
    )]
    checksum: Option<Algorithm>,
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
pub(crate) enum Sparse {
    /// Holes of the disk and of its images
    Auto,
    /// Also zero blocks of 4 KiB in what is stored
    Always,
    /// The target is fully allocated
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Reflink {
    /// Share what can be shared, copy the rest
    Auto,
    /// Fail where something cannot be shared
    Always,
    /// Copy everything
    Never,
}

impl From<Reflink> for sink::Reflink {
    fn from(reflink: Reflink) -> Self {
        match reflink {
            Reflink::Auto => Self::Auto,
            Reflink::Always => Self::Always,
            Reflink::Never => Self::Never,
        }
    }
}

pub(crate) fn run(args: &ConvertArgs) -> anyhow::Result<Verdict> {
    let context = || format!("converting {}", args.open.name());
    let target = if args.partitions {
        Target::directory_of(args)?
    } else {
        Target::of(args)?
    };
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
    target.refuse_sources(&opened.files).with_context(context)?;
    let source = Side::ploop(opened, args.open.partition);
    let disk = source.disk.as_ref();
    if !args.quiet && args.open.partition.is_none() {
        say_what_hides_partitions(disk);
    }
    if let Target::Directory(dir) = &target {
        return partitions::run(args, dir, source, &workers, &signals);
    }
    if let (Target::File(path), false) = (&target, args.dry_run) {
        // First, because what a killed run left may take the room that is needed now.
        say_what_was_left(args, PartialFile::remove_leftovers(path));
    }
    let mut plan = Plan::new(args, &target, disk).with_context(context)?;
    if args.dry_run {
        // Unreadable sectors show when the disk is read.
        let known = source.salvage.as_ref();
        let known = known.map(|salvage| Account::of(salvage, disk, source.partition));
        return plan.show(args, known.transpose().with_context(context)?);
    }
    plan.refuse_if_full().with_context(context)?;
    let checksum = args
        .checksum
        .map(|how| ChecksumFile::beside(how, &args.output, args.force));
    let checksum = checksum.transpose().with_context(context)?;
    let lost = args
        .open
        .salvage
        .then(|| LostFile::create(&target, args.force, &source, signals.partials()));
    let lost = lost.transpose().with_context(context)?;
    let started = Instant::now();
    let beside = Beside {
        layout: plan.layout.take(),
        checksum,
        lost,
    };
    let (summary, account) = match write(args, &target, beside, &source, &workers, &signals) {
        Ok(written) => written,
        Err(error) => {
            return Err(match signals.interrupted() {
                Some(interrupted) => interrupted.leaving(target.fate()).into(),
                None => error.context(context()),
            });
        }
    };
    if let (None, true, Target::File(path)) = (&account, args.force, &target) {
        lost::remove_stale(path);
    }
    let verdict = verdict(account.as_ref());
    if let (Some(account), false) = (&account, args.quiet) {
        account.complain(&args.output.display().to_string());
    }
    if args.json {
        json(&plan.report(args, &args.output, summary, account))?;
    }
    if !args.quiet && !matches!(target, Target::Stdout) {
        complain(&format!(
            "{}: {} disk, {} in {:.1} s",
            args.output.display(),
            short(disk.size()),
            done(summary),
            started.elapsed().as_secs_f64()
        ));
    }
    Ok(verdict)
}

fn verdict(account: Option<&Account>) -> Verdict {
    match account {
        Some(account) if !account.is_nothing() => Verdict::Salvaged,
        _ => Verdict::Done,
    }
}

/// What goes with a target.
struct Beside {
    layout: Option<Layout>,
    checksum: Option<ChecksumFile>,
    lost: Option<LostFile>,
}

/// Nobody should wonder where a file went.
fn say_what_was_left(args: &ConvertArgs, removed: Vec<PathBuf>) {
    for path in removed.iter().filter(|_| !args.quiet) {
        complain(&format!(
            "removed what a killed run left: {}",
            path.display()
        ));
    }
}

/// What a copy did, for people.
fn done(summary: Summary) -> String {
    let written = format!("{} written", short(summary.written));
    match summary.shared {
        0 => written,
        shared => format!("{} shared, {written}", short(shared)),
    }
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
    beside: Beside,
    source: &Side,
    workers: &Workers,
    signals: &Guard,
) -> anyhow::Result<(Summary, Option<Account>)> {
    let Beside {
        layout,
        checksum,
        lost,
    } = beside;
    let sink = open_sink(args, target, layout, source.disk.size(), signals)?;
    let algorithm = checksum.as_ref().map(ChecksumFile::algorithm);
    let (summary, digest) = fill(args, &sink, algorithm, source, workers, signals)?;
    let (sync, partials) = (!args.no_sync, signals.partials());
    // What lies beside the target is ready before the target is there, so that nothing but names
    // is left to be given.
    let sum = checksum.as_ref().map(|file| file.path().to_owned());
    let account = lost.as_ref().map(|file| list(args, file, source));
    let account = account.transpose()?;
    match checksum.zip(digest) {
        Some((file, digest)) => {
            let digests = [(digest, args.output.as_path())];
            let finish = || sink.finish();
            file.write(&digests, sync, partials, finish, || {
                args.take_back([args.output.as_path()]);
            })?;
        }
        None => sink.finish()?,
    }
    lost.map_or(Ok(()), |list| list.finish(sync))
        .inspect_err(|_| args.take_back(iter::once(args.output.as_path()).chain(sum.as_deref())))?;
    Ok((summary, account))
}

/// Accounts for what is lost of the disk, and writes it down.
fn list(args: &ConvertArgs, file: &LostFile, source: &Side) -> anyhow::Result<Account> {
    let salvage = source.salvage.as_ref().context("nothing was salvaged")?;
    let disk = source.disk.as_ref();
    let mut account = Account::of(salvage, disk, source.partition)?;
    let name = args.open.name().to_string();
    file.write(salvage, disk.size(), &account, &name)?;
    account.list = Some(file.path().display().to_string());
    Ok(account)
}

/// Opens a target for a disk of `size` bytes.
fn open_sink(
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
            Box::new(StreamSink::new(out, Path::new("stdout")))
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

/// Copies the disk into the sink, reads it back if asked to, and gives the digest if one was
/// asked for. The sink is still to be finished.
fn fill(
    args: &ConvertArgs,
    sink: &OpenSink,
    algorithm: Option<hash::Algorithm>,
    source: &Side,
    workers: &Workers,
    signals: &Guard,
) -> anyhow::Result<(Summary, Option<String>)> {
    let disk = source.disk.as_ref();
    let progress = Display::new(args.progress, args.quiet, disk.size());
    let options = CopyOptions {
        find_zeros: args.sparse == Sparse::Always,
        stop: signals.stop(),
    };
    let copy = |observer: Option<&mut dyn Observer>| {
        copy(disk, sink.sink(), workers, options, &progress, observer)
    };
    let copied = match algorithm {
        None => copy(None).map(|summary| (summary, None)),
        Some(algorithm) => {
            let read = |path: &Path| {
                let file = RawDisk::open(path)?;
                verify::digest::of(&file, algorithm, workers, signals.stop(), &())
            };
            let digested = sink.digest(algorithm, copy, read);
            digested.map(|(summary, digest)| (summary, Some(digest)))
        }
    };
    progress.clear();
    let (summary, digest) = copied?;
    if args.verify {
        sink.sink().complete()?;
        read_back(args, sink.sink(), source, workers, signals)?;
    }
    Ok((summary, digest))
}

/// Compares what the sink made, and has not named yet, with the disk.
fn read_back(
    args: &ConvertArgs,
    sink: &dyn Sink,
    source: &Side,
    workers: &Workers,
    signals: &Guard,
) -> anyhow::Result<()> {
    let path = sink.readable_at().context("the target cannot be read")?;
    // The target is what it was made as, whatever the first bytes of the disk look like.
    let target = match args.format() {
        Format::Raw => Side::raw(path),
        Format::Qcow2 => Side::qcow2(path),
    }?;
    let progress = Display::new(args.progress, args.quiet, source.disk.size());
    verify::read_back(&target, source, workers, signals, &progress)
}

impl ConvertArgs {
    fn format(&self) -> Format {
        let is_qcow =
            |ext: &OsStr| ext.eq_ignore_ascii_case("qcow2") || ext.eq_ignore_ascii_case("qcow");
        let by_name = || match self.output.extension() {
            // A directory has no format; its name says nothing.
            Some(ext) if is_qcow(ext) && !self.partitions => Format::Qcow2,
            _ => Format::Raw,
        };
        self.format.unwrap_or_else(by_name)
    }

    /// Removes targets that have their names already, because they belong together with something
    /// that failed. What replaced an older file is complete, and stays.
    fn take_back<'a>(&self, targets: impl IntoIterator<Item = &'a Path>) {
        for path in targets.into_iter().filter(|_| !self.force) {
            let _ = std::fs::remove_file(path);
        }
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
        if self.verify && matches!(target, Target::Stdout | Target::Stream(_)) {
            return mistake("--verify reads the target back, and what went to a stream is gone");
        }
        let to_files = matches!(target, Target::File(_) | Target::Directory(_));
        if self.checksum.is_some() && !to_files {
            return mistake("--checksum writes a file beside the target, which has to be a file");
        }
        if self.reflink == Reflink::Always && self.open.salvage {
            return mistake("--salvage reads every byte, and --reflink=always none");
        }
        if self.reflink == Reflink::Always && !to_files {
            return mistake("--reflink=always wants a file as the target: others share nothing");
        }
        let Some(options) = self.qcow2() else {
            return self.qcow2.refuse_any();
        };
        if self.reflink == Reflink::Always && options.compression.is_some() {
            return mistake("--reflink=always and --compress exclude each other");
        }
        if !to_files {
            return mistake("qcow2 is not written from start to end; its target has to be a file");
        }
        if options.compression.is_some() && self.sparse == Sparse::Never {
            return mistake("--sparse=never and --compress want opposite things");
        }
        Ok(())
    }
}
