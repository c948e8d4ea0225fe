//! `ploopconv IMAGE -o TARGET`: the main job.

mod args;
mod checksum;
mod digest;
mod fill;
mod lost;
mod partitions;
mod plan;
mod target;
mod team;

use std::iter;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use ploopconv::Workers;
use ploopconv::copy::Summary;
use ploopconv::partition::{self, FileSystem, Warning};
use ploopconv::ploop::Severity;
use ploopconv::qcow2::Layout;
use ploopconv::sink::PartialFile;

pub(crate) use self::args::ConvertArgs;

use self::checksum::ChecksumFile;
use self::fill::{Hands, fill, open_sink, passes};
use self::lost::LostFile;
use self::plan::Plan;
use self::target::Target;
use super::Verdict;
use super::losses::Account;
use super::output::{complain, json};
use super::progress::Display;
use super::report::warn;
use super::side::Side;
use super::signals::Guard;
use super::size::short;

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
    if let (false, Ok(layout)) = (args.quiet, partition::read(disk)) {
        if args.open.partition.is_none() {
            say_what_hides_partitions(&layout);
        }
        say_what_is_in_a_journal(&layout);
    }
    if let Target::Directory(dir) = &target {
        return partitions::run(args, dir, source, &workers, &signals);
    }
    if let (Target::File(path), false) = (&target, args.dry_run) {
        // First, because what a killed run left may take the room that is needed now.
        say_what_was_left(args, PartialFile::remove_leftovers(path));
    }
    let mut plan = Plan::new(args, &target, disk, &workers).with_context(context)?;
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
fn say_what_hides_partitions(layout: &partition::Layout) {
    for warning in &layout.warnings {
        if matches!(warning, Warning::SectorSize(_) | Warning::WholeDiskLuks) {
            complain(&format!("warning: {warning}"));
        }
    }
}

/// A copy is as the disk was when it stopped. Where that was not a clean stop, what the file system
/// wrote last stands in its journal only, and whoever reads the copy without replaying it misses it.
fn say_what_is_in_a_journal(layout: &partition::Layout) {
    let whole = layout.whole.iter().map(|content| (None, content));
    let parts = layout.partitions.iter();
    let parts = parts.filter_map(|part| Some((Some(part.number), part.content.as_ref()?)));
    for (number, content) in whole.chain(parts) {
        let place = number.map_or_else(String::new, |number| format!(" in partition {number}"));
        if content.journal_dirty == Some(true) {
            let what_next = match content.kind {
                FileSystem::Ext2 | FileSystem::HfsPlus => "check the copy with fsck",
                _ => {
                    "its newest files may only be in its journal, which is replayed when the copy \
                      is mounted writable"
                }
            };
            complain(&format!(
                "warning: the {}{place} was not unmounted cleanly: {what_next}",
                content.kind.title()
            ));
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
    let size = source.disk.size().saturating_mul(passes(args));
    let progress = Display::new(args.progress, args.quiet, size);
    let hands = Hands {
        workers,
        signals,
        progress: &progress,
    };
    let filled = fill(args, &sink, algorithm, source, &hands);
    progress.clear();
    let (summary, digest) = filled?;
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
