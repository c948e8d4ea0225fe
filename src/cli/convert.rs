//! `ploopconv IMAGE -o TARGET`: the main job.

mod args;
mod checksum;
mod digest;
mod fill;
mod lost;
mod partitions;
mod plan;
mod promise;
mod room;
mod target;
mod team;
mod warnings;

use std::iter;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use ploopconv::Workers;
use ploopconv::copy::Summary;
use ploopconv::ploop::Severity;
use ploopconv::qcow2::Layout;
use ploopconv::sink::PartialFile;

pub(crate) use self::args::ConvertArgs;
pub(crate) use self::promise::Promised;

use self::checksum::ChecksumFile;
use self::fill::{Hands, fill, open_sink, passes};
use self::lost::LostFile;
use self::plan::{Digest, Plan};
use self::room::Room;
use self::target::Target;
use self::warnings::of_contents;
use super::Verdict;
use super::exit::Noted;
use super::losses::Account;
use super::output::{complain, json};
use super::progress::Display;
use super::report::warnings;
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
    args.refuse_promise(&target)?;
    args.refuse_nonsense(&target)?;
    let started = Instant::now();
    let signals = Guard::start()?;
    let workers = args.open.workers()?;
    let (source, warnings) = open(args, &target, &workers).with_context(context)?;
    let job = Job {
        args,
        workers: &workers,
        signals: &signals,
        started,
        warnings,
    };
    match &target {
        Target::Directory(dir) => partitions::run(&job, dir, source),
        _ => job.run(&target, &source),
    }
}

/// Opens the image, and says what a user should know about it; that is given, too.
fn open(
    args: &ConvertArgs,
    target: &Target,
    workers: &Workers,
) -> anyhow::Result<(Side, Vec<String>)> {
    let examined = args.open.examine(workers)?;
    let least = if args.verbose {
        Severity::Info
    } else {
        Severity::Warning
    };
    let mut warnings = warnings(&examined, least, args.open.allow_dirty);
    // Before the image may be refused.
    let say = |line: &String| {
        if !args.quiet {
            complain(line);
        }
    };
    warnings.iter().for_each(say);
    let opened = args.open.disk(examined)?;
    target.refuse_sources(&opened.files)?;
    let source = Side::ploop(opened, args.open.partition);
    let more = of_contents(source.disk.as_ref(), source.partition);
    more.iter().for_each(say);
    warnings.extend(more);
    Ok((source, warnings))
}

/// What a conversion is done with.
struct Job<'a> {
    args: &'a ConvertArgs,
    workers: &'a Workers,
    signals: &'a Guard,
    started: Instant,
    /// What was said of the image.
    warnings: Vec<String>,
}

/// What was written.
struct Written {
    summary: Summary,
    /// What of it is lost.
    account: Option<Account>,
    digest: Option<Digest>,
}

impl Job<'_> {
    fn run(&self, target: &Target, source: &Side) -> anyhow::Result<Verdict> {
        let args = self.args;
        let context = || format!("converting {}", args.open.name());
        if let (Target::File(path), false) = (target, args.dry_run) {
            // First, because what a killed run left may take the room that is needed now.
            say_what_was_left(args, PartialFile::remove_leftovers(path));
        }
        let mut plan = Plan::new(args, target, source, self.workers).with_context(context)?;
        if args.dry_run {
            // Unreadable sectors show when the disk is read.
            let known = source.salvage.as_ref();
            let known =
                known.map(|salvage| Account::of(salvage, source.disk.as_ref(), source.partition));
            return plan.show(self, known.transpose().with_context(context)?);
        }
        plan.refuse_if_full().with_context(context)?;
        let written = match self.write(target, plan.layout.take(), source) {
            Ok(written) => written,
            Err(error) => return Err(self.failed(error, context(), plan.room, target.fate())),
        };
        if let (None, true, Target::File(path)) = (&written.account, args.force, target) {
            lost::remove_stale(path);
        }
        let verdict = verdict(written.account.as_ref());
        if let (Some(account), false) = (&written.account, args.quiet) {
            account.complain(&args.output.display().to_string());
        }
        let (summary, seconds) = (written.summary, self.seconds());
        if args.json {
            json(&plan.report(self, &args.output, written))?;
        }
        if !args.quiet && !matches!(target, Target::Stdout) {
            complain(&format!(
                "{}: {} disk, {} in {seconds:.1} s",
                args.output.display(),
                short(source.disk.size()),
                done(summary),
            ));
        }
        Ok(verdict)
    }

    /// How long it has taken so far, to the millisecond.
    fn seconds(&self) -> f64 {
        (self.started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0
    }

    /// The error of a conversion that did not come to its end.
    fn failed(
        &self,
        error: anyhow::Error,
        doing: String,
        room: Room,
        fate: &'static str,
    ) -> anyhow::Error {
        match self.signals.interrupted() {
            Some(interrupted) => interrupted.leaving(fate).into(),
            None => {
                let notes = room::notes(&error, room, fate);
                error.context(Noted { doing, notes })
            }
        }
    }

    /// Writes the whole target: complete, or not there.
    fn write(
        &self,
        target: &Target,
        layout: Option<Layout>,
        source: &Side,
    ) -> anyhow::Result<Written> {
        let (args, signals) = (self.args, self.signals);
        let checksum = args
            .checksum
            .map(|how| ChecksumFile::beside(how, &args.output, args.force))
            .transpose()?;
        let lost = args
            .open
            .salvage
            .then(|| LostFile::create(target, args.force, source, signals.partials()))
            .transpose()?;
        let sink = open_sink(args, target, layout, source.disk.size(), signals)?;
        let algorithm = checksum.as_ref().map(ChecksumFile::algorithm);
        let size = source.disk.size().saturating_mul(passes(args));
        let progress = Display::new(args.progress, args.quiet, size);
        let hands = Hands {
            workers: self.workers,
            signals,
            progress: &progress,
        };
        let filled = fill(args, &sink, algorithm, source, &hands);
        progress.clear();
        let (summary, digest) = filled?;
        let (sync, partials) = (!args.no_sync, signals.partials());
        // What lies beside the target is ready before the target is there, so that nothing but
        // names is left to be given.
        let sum = checksum.as_ref().map(|file| file.path().to_owned());
        let account = lost.as_ref().map(|file| list(args, file, source));
        let account = account.transpose()?;
        let mut known = None;
        match checksum.zip(digest) {
            Some((file, digest)) => {
                known = Some(Digest::new(&file, &digest));
                let digests = [(digest, args.output.as_path())];
                let finish = || sink.finish();
                file.write(&digests, sync, partials, finish, || {
                    args.take_back([args.output.as_path()]);
                })?;
            }
            None => sink.finish()?,
        }
        lost.map_or(Ok(()), |list| list.finish(sync))
            .inspect_err(|_| {
                args.take_back(iter::once(args.output.as_path()).chain(sum.as_deref()))
            })?;
        Ok(Written {
            summary,
            account,
            digest: known,
        })
    }
}

fn verdict(account: Option<&Account>) -> Verdict {
    match account {
        Some(account) if !account.is_nothing() => Verdict::Salvaged,
        _ => Verdict::Done,
    }
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
