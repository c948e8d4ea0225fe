//! `ploopconv verify`: whether a target holds what it was made from.

pub(crate) mod digest;

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use ploopconv::Workers;
use ploopconv::compare::{Comparison, compare};
use ploopconv::copy::Progress;
use ploopconv::disk::{Slice, VirtualDisk};
use serde::Serialize;

use super::Verdict;
use super::open::OpenArgs;
use super::output::{finish, json, line, results};
use super::progress::{Display, When};
use super::report::{path, warn};
use super::side::{Kind, Place, Side, forget_cached, in_partition};
use super::signals::Guard;
use super::size::{human, short};

/// What stands for no image: a file of this name is `./-`, as for any other tool.
const NO_IMAGE: &str = "-";

/// Compare a target with its checksum file, or with the image it was made from
#[derive(Debug, clap::Args)]
#[command(mut_arg("image", |image| image
    .long("against")
    .value_name("IMAGE")
    .required(false)
    .default_value(NO_IMAGE)
    .hide_default_value(true)
    .help("The image it was made from [default: look for a checksum file]")))]
pub(crate) struct VerifyArgs {
    /// The file or device to look at
    #[arg(value_name = "TARGET")]
    target: PathBuf,
    // Here IMAGE belongs to an option.
    #[command(flatten)]
    pub(crate) open: OpenArgs,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
    /// Say nothing on stderr but errors
    #[arg(short, long)]
    quiet: bool,
    /// When to show progress
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    progress: When,
}

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

/// What was found when a target was read back.
struct Found {
    comparison: Comparison,
    difference: Option<Difference>,
    /// The sizes of target and disk, where they do not go together.
    sizes: Option<(u64, u64)>,
}

/// A target does not hold what it was made from.
#[derive(Debug, thiserror::Error)]
#[error("the target was read back and is wrong, and {fate}: {found}")]
pub(crate) struct ReadBack {
    found: String,
    fate: &'static str,
}

pub(crate) fn run(args: &VerifyArgs) -> anyhow::Result<Verdict> {
    let context = || format!("verifying {}", args.target.display());
    let signals = Guard::start()?;
    let workers = args.open.workers()?;
    if args.open.image == Path::new(NO_IMAGE) {
        let verdict = digest::run(args, &workers, &signals);
        return match signals.interrupted() {
            Some(interrupted) => Err(interrupted.into()),
            None => verdict.with_context(context),
        };
    }
    let examined = args.open.examine(&workers).with_context(context)?;
    warn(&examined, args.open.allow_dirty);
    let opened = args.open.disk(examined).with_context(context)?;
    let source = Side::ploop(opened, args.open.partition);
    let size = source.disk.size();
    forget_cached(&args.target).with_context(context)?;
    let target = Side::file(&args.target).with_context(context)?;
    let progress = Display::new(args.progress, args.quiet, size);
    let found = look(&target, &source, &workers, &signals, &progress);
    progress.clear();
    if let Some(interrupted) = signals.interrupted() {
        return Err(interrupted.into());
    }
    let found = found.with_context(context)?;
    let equal = found.is_equal();
    let lost = source.tally().with_context(context)?;
    if !args.quiet {
        lost.warn(&path(&args.open.image));
    }
    if args.json {
        json(&Report {
            target: path(&args.target),
            image: path(&args.open.image),
            equal,
            target_size: target.disk.size(),
            image_size: size,
            first_difference: found.difference,
            compared_bytes: found.comparison.compared,
            skipped_bytes: found.comparison.skipped,
            lost_bytes: lost.zeros,
        })?;
    } else {
        print(&found, &args.target, size)?;
    }
    Ok(match equal {
        true if lost.is_nothing() => Verdict::Done,
        true => Verdict::Salvaged,
        false => Verdict::No,
    })
}

/// Reads a target back that was made from `source`.
///
/// An error says where they differ.
pub(crate) fn read_back(
    target: &Side,
    source: &Side,
    workers: &Workers,
    signals: &Guard,
    progress: &dyn Progress,
) -> anyhow::Result<()> {
    if let Some(file) = target.files.first() {
        forget_cached(file)?;
    }
    let found = look(target, source, workers, signals, progress)?;
    if found.is_equal() {
        return Ok(());
    }
    let fate = match target.kind {
        Kind::Device => "its first MiB was made zeros",
        _ => "was removed",
    };
    let found = found.to_string();
    Err(ReadBack { found, fate }.into())
}

fn look(
    target: &Side,
    source: &Side,
    workers: &Workers,
    signals: &Guard,
    progress: &dyn Progress,
) -> ploopconv::Result<Found> {
    let (target_size, size) = (target.disk.size(), source.disk.size());
    let fits = match target.kind {
        // What lies behind the disk on a device is not the conversion's.
        Kind::Device => target_size >= size,
        // The format counts sectors of 512 bytes.
        Kind::Qcow2 => size.checked_next_multiple_of(512) == Some(target_size),
        Kind::File | Kind::Ploop => target_size == size,
    };
    let part;
    let held: &dyn VirtualDisk = if target.kind == Kind::Device && fits {
        part = Slice::new(target.disk.as_ref(), 0, size)?;
        &part
    } else {
        target.disk.as_ref()
    };
    let comparison = compare(
        held,
        source.disk.as_ref(),
        workers,
        signals.stop(),
        progress,
    )?;
    let difference = match comparison.first_difference {
        Some(offset) => Some(Difference {
            offset,
            target: target.place(offset)?,
            image: source.place(offset)?,
            partition: source.partition_at(offset),
        }),
        None => None,
    };
    Ok(Found {
        comparison,
        difference,
        sizes: (!fits).then_some((target_size, size)),
    })
}

impl Found {
    fn is_equal(&self) -> bool {
        self.difference.is_none() && self.sizes.is_none()
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((target, disk)) = self.sizes {
            write!(f, "the target has {target} bytes and the disk {disk}")?;
        }
        match (&self.difference, self.sizes) {
            (Some(difference), sizes) => {
                let Difference {
                    offset,
                    target,
                    image,
                    partition,
                } = difference;
                let inside = in_partition(*partition);
                let and = if sizes.is_some() { "; " } else { "" };
                write!(
                    f,
                    "{and}they differ first at offset {offset:#x}{inside} (target: {target}; image: {image})"
                )
            }
            (None, Some(_)) => f.write_str("; what one has more is zeros"),
            (None, None) => f.write_str("they are equal"),
        }
    }
}

fn print(found: &Found, target: &Path, size: u64) -> anyhow::Result<()> {
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
