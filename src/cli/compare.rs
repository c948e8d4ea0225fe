//! `ploopconv compare`: whether two disks hold the same bytes.

use std::path::{Path, PathBuf};

use anyhow::Context;
use ploopconv::compare::{Comparison, compare};
use ploopconv::convert::Tally;
use serde::Serialize;

use super::any_disk::{AnyDisk, Kind, Place, in_partition};
use super::compact::DiskArgs;
use super::ending::Ending;
use super::losses::warn_about;
use super::outcome::{Usage, Verdict};
use super::output::{finish, line, results, write_message};
use super::progress::{Display, When};
use super::report::path;
use super::signals::Guard;
use ploopconv::util::size::{human, short};

/// Compare two disks byte by byte
#[derive(Debug, clap::Args)]
#[command(mut_arg("image", |image| image
    .index(1)
    .value_name("A")
    .help("A ploop image (as for convert), a raw file or device, or a qcow2 image")))]
pub(crate) struct CompareArgs {
    #[command(flatten)]
    open: DiskArgs,
    /// The disk to compare it with
    #[arg(value_name = "B", index = 2)]
    other: PathBuf,
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
    a: String,
    b: String,
    equal: bool,
    size_a: u64,
    size_b: u64,
    first_difference: Option<Difference>,
    compared_bytes: u64,
    skipped_bytes: u64,
    lost_bytes_a: u64,
    lost_bytes_b: u64,
    /// What cannot be trusted, of both.
    #[serde(skip)]
    lost: (Tally, Tally),
}

#[derive(Serialize)]
struct Difference {
    offset: u64,
    a: Place,
    b: Place,
    /// The partition that has the offset.
    partition: Option<u32>,
}

/// What was being done when one of the two could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("opening {}", .image.display())]
struct Opening {
    image: PathBuf,
    is_b: bool,
}

impl CompareArgs {
    /// The one of the two images that an error is about.
    pub(crate) fn image(&self, error: &anyhow::Error) -> &Path {
        match error.downcast_ref::<Opening>() {
            Some(Opening { is_b: true, .. }) => &self.other,
            _ => &self.open.image,
        }
    }
}

pub(crate) fn run(args: &CompareArgs) -> anyhow::Result<Verdict> {
    let signals = Guard::start()?;
    let workers = args.open.workers()?;
    let open = |image: &Path, is_b| {
        let image = image.to_owned();
        AnyDisk::open(&args.open.of(&image), &workers).context(Opening { image, is_b })
    };
    let a = open(&args.open.image, false)?;
    let b = open(&args.other, true)?;
    if let (Some(option), false) = (
        args.open.only_for_ploop(),
        [&a, &b].iter().any(|disk| matches!(disk.kind, Kind::Ploop)),
    ) {
        let mistake = format!("{option} is for ploop images, and neither disk is one");
        return Err(Usage(mistake).into());
    }
    let larger = a.disk().size().max(b.disk().size());
    let progress = Display::new(args.progress, args.quiet, larger);
    let found = compare(a.disk(), b.disk(), &workers, signals.stop(), &progress);
    progress.clear();
    if let Some(interrupted) = signals.interrupted() {
        return Err(interrupted.into());
    }
    let names = (path(&args.open.image), path(&args.other));
    let found = found.with_context(|| format!("comparing {} and {}", names.0, names.1))?;
    let report = report(names, &a, &b, found)?;
    if !args.quiet {
        report.warn();
    }
    let verdict = report.verdict();
    if args.json {
        Ending::of(verdict, || report.message()).print(&report)?;
    } else {
        report.print()?;
    }
    Ok(verdict)
}

fn report(
    (a_name, b_name): (String, String),
    a: &AnyDisk,
    b: &AnyDisk,
    found: Comparison,
) -> anyhow::Result<Report> {
    let first_difference = match found.first_difference {
        Some(offset) => Some(Difference {
            offset,
            a: Place(a.input.location(offset)?),
            b: Place(b.input.location(offset)?),
            partition: a
                .input
                .partition_at(offset)
                .or_else(|| b.input.partition_at(offset)),
        }),
        None => None,
    };
    let lost = (a.tally()?, b.tally()?);
    Ok(Report {
        a: a_name,
        b: b_name,
        equal: first_difference.is_none(),
        size_a: a.disk().size(),
        size_b: b.disk().size(),
        first_difference,
        compared_bytes: found.compared,
        skipped_bytes: found.skipped,
        lost_bytes_a: lost.0.zeros,
        lost_bytes_b: lost.1.zeros,
        lost,
    })
}

impl Report {
    fn verdict(&self) -> Verdict {
        if !self.equal {
            Verdict::Different
        } else if self.lost.0.is_nothing() && self.lost.1.is_nothing() {
            Verdict::Done
        } else {
            Verdict::Salvaged
        }
    }

    /// What keeps the two from being equal without doubt.
    fn message(&self) -> String {
        match &self.first_difference {
            Some(Difference {
                offset, partition, ..
            }) => {
                let inside = in_partition(*partition);
                format!("they differ first at offset {offset:#x}{inside}")
            }
            None => "they are equal, but part of them is lost and was compared as zeros".to_owned(),
        }
    }

    fn warn(&self) {
        warn_about(&self.lost.0, &self.a);
        warn_about(&self.lost.1, &self.b);
        if self.size_a == self.size_b {
            return;
        }
        let tail = if self.equal {
            "; what one has more is zeros"
        } else {
            ""
        };
        write_message(&format!(
            "warning: the sizes differ, {} and {} bytes{tail}",
            self.size_a, self.size_b
        ));
    }

    fn print(&self) -> anyhow::Result<()> {
        let mut out = results();
        if let Some(Difference {
            offset,
            a,
            b,
            partition,
        }) = &self.first_difference
        {
            let inside = in_partition(*partition);
            line(
                &mut out,
                &format!("different, first at offset {offset:#x}{inside}"),
            )?;
            line(&mut out, &format!("  {}: {a}", self.a))?;
            line(&mut out, &format!("  {}: {b}", self.b))?;
        } else {
            let size = human(self.size_a.max(self.size_b));
            let compared = short(self.compared_bytes);
            line(
                &mut out,
                &format!("equal: {size}, {compared} compared, the rest are holes"),
            )?;
        }
        finish(out)
    }
}
