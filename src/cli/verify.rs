//! `ploopconv verify`: whether a target holds what it was made from.

mod archive;
mod args;
mod digest;

use std::path::Path;

use anyhow::Context;
use ploopconv::Workers;
use ploopconv::convert::{FirstDifference, Input, ReadBack, Resources, Tally, compare_target};
use ploopconv::ext4::IfDirty;
use ploopconv::format::tar::TarOptions;
use ploopconv::util::size::{human, short};
use serde::Serialize;

pub(crate) use self::args::VerifyArgs;

use self::args::NO_IMAGE;
use super::any_disk::{AnyDisk, Place, forget_cached};
use super::ending::Ending;
use super::losses::warn_about;
use super::outcome::{Usage, Verdict};
use super::output::{finish, line, results};
use super::progress::Display;
use super::report::{path, warn};
use super::signals::Guard;
use super::source::Source;

#[derive(Serialize)]
struct Report {
    target: String,
    image: String,
    equal: bool,
    target_size: u64,
    image_size: u64,
    first_difference: Option<Difference>,
    compared_bytes: u64,
    skipped_bytes: u64,
    lost_bytes: u64,
}

/// Where a target and its disk differ first.
#[derive(Debug, Serialize)]
struct Difference {
    offset: u64,
    target: Place,
    image: Place,
    /// The partition that has the offset.
    partition: Option<u32>,
}

impl Difference {
    fn of(found: &FirstDifference) -> Self {
        Self {
            offset: found.offset,
            target: Place(found.target.clone()),
            image: Place(found.image.clone()),
            partition: found.partition,
        }
    }
}

pub(crate) fn run(args: &VerifyArgs) -> anyhow::Result<Verdict> {
    let context = || format!("verifying {}", args.target.display());
    let signals = Guard::start()?;
    let workers = args.open.workers()?;
    args.refuse_nonsense()?;
    if args.open.image == Path::new(NO_IMAGE) {
        let verdict = digest::run(args, &workers, &signals);
        return match signals.interrupted() {
            Some(interrupted) => Err(interrupted.into()),
            None => verdict.with_context(context),
        };
    }
    let source = source(args, &workers).with_context(context)?;
    forget_cached(&args.target).with_context(context)?;
    match archive::options_of(&args.target) {
        Some(options) => against_archive(args, &source, options, &workers, &signals),
        None if args.guest.is_given() && !args.guest.is_for_machine() => {
            Err(not_an_archive(&args.target).into())
        }
        None => against_disk(args, &source, &workers, &signals),
    }
}

/// Compares an archive with the files that it should hold.
fn against_archive(
    args: &VerifyArgs,
    source: &Input,
    options: TarOptions,
    workers: &Workers,
    signals: &Guard,
) -> anyhow::Result<Verdict> {
    let context = || format!("verifying {}", args.target.display());
    let resources = Resources {
        workers,
        stop: signals.stop(),
        partials: signals.partials(),
        progress: &(),
    };
    let found = archive::compare(source, args, options, &resources);
    if let Some(interrupted) = signals.interrupted() {
        return Err(interrupted.into());
    }
    let found = found.with_context(context)?;
    let lost = lost(args, source).with_context(context)?;
    archive::report(args, found, &lost)
}

/// What of the source is lost; that is said.
fn lost(args: &VerifyArgs, source: &Input) -> ploopconv::Result<Tally> {
    let lost = Tally::of(source.losses())?;
    if !args.quiet {
        warn_about(&lost, &path(&args.open.image));
    }
    Ok(lost)
}

/// Compares a file or device with the disk that it should hold.
fn against_disk(
    args: &VerifyArgs,
    source: &Input,
    workers: &Workers,
    signals: &Guard,
) -> anyhow::Result<Verdict> {
    let context = || format!("verifying {}", args.target.display());
    let size = source.disk().size();
    let target = AnyDisk::file(&args.target).with_context(context)?;
    let progress = Display::new(args.progress, args.quiet, size);
    let resources = Resources {
        workers,
        stop: signals.stop(),
        partials: signals.partials(),
        progress: &progress,
    };
    let found = compare_target(target.disk(), target.held(size), source, &resources);
    progress.clear();
    if let Some(interrupted) = signals.interrupted() {
        return Err(interrupted.into());
    }
    let found = found.with_context(context)?;
    let equal = found.is_equal();
    let lost = lost(args, source).with_context(context)?;
    let verdict = match equal {
        true if lost.is_nothing() => Verdict::Done,
        true => Verdict::Salvaged,
        false => Verdict::Different,
    };
    if args.json {
        let report = Report {
            target: path(&args.target),
            image: path(&args.open.image),
            equal,
            target_size: target.disk().size(),
            image_size: size,
            first_difference: found.difference.as_ref().map(Difference::of),
            compared_bytes: found.comparison.compared,
            skipped_bytes: found.comparison.skipped,
            lost_bytes: lost.zeros,
        };
        ending(verdict, &found).print(&report)?;
    } else {
        print(&found, &args.target, size)?;
    }
    Ok(verdict)
}

/// What the target should hold: the disk, with what starts it where it was made to boot.
fn source(args: &VerifyArgs, workers: &Workers) -> anyhow::Result<Input> {
    let if_dirty = match args.guest.is_for_machine() {
        true => IfDirty::Replay,
        false => IfDirty::Refuse,
    };
    let input = match Source::of(&args.open, &args.guest, workers)? {
        Source::Machine(input) => *input,
        Source::Image(examined) => {
            warn(&examined, args.open.if_in_use());
            args.open.disk_with(*examined, if_dirty, workers)?
        }
    };
    if !args.guest.is_for_machine() {
        return Ok(input);
    }
    let container = args.guest.container(&input, &args.open.image)?;
    let (input, _) = args.guest.booting(input, Some(&container), workers)?;
    Ok(input)
}

fn not_an_archive(target: &Path) -> Usage {
    let target = target.display();
    Usage(format!(
        "--for says how the files of an archive were changed, and {target} is none"
    ))
}

fn ending(verdict: Verdict, found: &ReadBack) -> Ending {
    Ending::of(verdict, || match verdict {
        Verdict::Salvaged => {
            "they are equal, but part of the image is lost and was compared as zeros".to_owned()
        }
        _ => found.to_string(),
    })
}

fn print(found: &ReadBack, target: &Path, size: u64) -> anyhow::Result<()> {
    let mut out = results();
    let text = if found.is_equal() {
        format!(
            "verified: {}, {} compared, the rest are holes",
            human(size),
            short(found.comparison.compared)
        )
    } else {
        format!("different: {found}")
    };
    line(&mut out, &format!("{}: {text}", target.display()))?;
    finish(out)
}
