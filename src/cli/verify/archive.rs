//! An archive against the files of the image that it was made from.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use ploopconv::convert::{ComparedArchive, Input, MadeArchive, Resources, Tally, compare_archive};
use ploopconv::format::by_extension;
use ploopconv::format::tar::TarOptions;
use ploopconv::util::size::human;
use serde::Serialize;

use super::VerifyArgs;
use crate::cli::ending::Ending;
use crate::cli::outcome::Verdict;
use crate::cli::output::{finish, line, results, write_message};
use crate::cli::report::path;
use crate::cli::scratch::scratch_folder;

#[derive(Serialize)]
struct Report {
    target: String,
    image: String,
    equal: bool,
    archive_bytes: u64,
    first_difference: Option<u64>,
    lost_bytes: u64,
}

/// What a target is where its name and its first bytes say that it is an archive.
pub(super) fn options_of(target: &Path) -> Option<TarOptions> {
    by_extension(target).filter(|known| known.name == "tar")?;
    let mut start = Vec::new();
    let file = File::open(target).ok()?;
    file.take(512).read_to_end(&mut start).ok()?;
    TarOptions::of_start(&start)
}

/// Compares it. Memory and progress are those of a conversion.
pub(super) fn compare(
    input: &Input,
    args: &VerifyArgs,
    format: TarOptions,
    resources: &Resources<'_>,
) -> anyhow::Result<ComparedArchive> {
    let mut guest = None;
    if args.guest.is_given() {
        let container = args.guest.container(input, &args.open.image)?;
        let warnings = container.warnings();
        for line in warnings.iter().filter(|_| !args.quiet) {
            write_message(line);
        }
        guest = args.guest.options(&container);
    }
    let archive = MadeArchive {
        path: &args.target,
        format,
        guest: guest.as_ref(),
    };
    let folder = scratch_folder();
    Ok(compare_archive(
        input.clone(),
        &archive,
        &folder,
        resources,
    )?)
}

/// Says what was found.
pub(super) fn report(
    args: &VerifyArgs,
    found: ComparedArchive,
    lost: &Tally,
) -> anyhow::Result<Verdict> {
    let verdict = match found.first_difference {
        Some(_) => Verdict::Different,
        None if lost.is_nothing() => Verdict::Done,
        None => Verdict::Salvaged,
    };
    let text = match found.first_difference {
        Some(offset) => {
            let hint = match args.guest.is_given() {
                true => "",
                false => "; what was made with --for is verified with the same options",
            };
            format!(
                "different: the archive is another one from offset {offset:#x} on, before \
                 compression{hint}"
            )
        }
        None => format!("verified: {} of files", human(found.size)),
    };
    if args.json {
        let report = Report {
            target: path(&args.target),
            image: path(&args.open.image),
            equal: found.first_difference.is_none(),
            archive_bytes: found.size,
            first_difference: found.first_difference,
            lost_bytes: lost.zeros,
        };
        Ending::of(verdict, || text).print(&report)?;
    } else {
        let mut out = results();
        line(&mut out, &format!("{}: {text}", args.target.display()))?;
        finish(out)?;
    }
    Ok(verdict)
}
