//! A target against the checksum file beside it.

use anyhow::bail;
use ploopconv::Workers;
use ploopconv::convert::{ExpectedDigest, digest_of, expected_digest};
use ploopconv::hash::Algorithm;
use serde::Serialize;

use super::args::VerifyArgs;
use crate::cli::any_disk::{AnyDisk, forget_cached};
use crate::cli::ending::Ending;
use crate::cli::outcome::Verdict;
use crate::cli::output::{finish, line, results, write_message};
use crate::cli::progress::Display;
use crate::cli::report::path;
use crate::cli::signals::Guard;

#[derive(Serialize)]
struct Report {
    target: String,
    checksum_file: String,
    algorithm: &'static str,
    expected: String,
    found: String,
    equal: bool,
}

pub(super) fn run(
    args: &VerifyArgs,
    workers: &Workers,
    signals: &Guard,
) -> anyhow::Result<Verdict> {
    let Some(ExpectedDigest {
        file,
        algorithm,
        digest: expected,
    }) = expected_digest(&args.target)?
    else {
        bail!("there is no checksum file beside it that names it; add --against IMAGE");
    };
    forget_cached(&args.target)?;
    let target = match algorithm {
        // Of the file as it is, whatever it holds.
        Algorithm::Sha256 => AnyDisk::raw(&args.target),
        Algorithm::Blkhash => AnyDisk::file(&args.target),
    }?;
    let disk = target.disk();
    let progress = Display::new(args.progress, args.quiet, disk.size());
    let found = digest_of(disk, algorithm, workers, signals.stop(), &progress);
    progress.clear();
    let found = found?;
    let equal = found == expected;
    let verdict = if equal {
        Verdict::Done
    } else {
        Verdict::Different
    };
    if args.json {
        let ending = Ending::of(verdict, || {
            format!("the checksum is not the one in {}", file.display())
        });
        ending.print(&Report {
            target: path(&args.target),
            checksum_file: path(&file),
            algorithm: algorithm.name(),
            expected,
            found,
            equal,
        })?;
    } else {
        let word = if equal { "verified" } else { "different" };
        let mut out = results();
        line(
            &mut out,
            &format!("{}: {word} ({})", args.target.display(), file.display()),
        )?;
        finish(out)?;
        if !equal && !args.quiet {
            write_message(
                "a checksum does not say where: --against IMAGE names the first difference",
            );
        }
    }
    Ok(verdict)
}
