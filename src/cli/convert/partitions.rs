//! `--partitions`: an image of every partition, in a directory.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::Context;
use ploopconv::copy::Summary;
use ploopconv::disk::VirtualDisk;
use ploopconv::partition;
use ploopconv::{Error, Workers};
use serde::Serialize;

use super::checksum::ChecksumFile;
use super::lost::{LostFile, remove_stale};
use super::plan::{Plan, Report};
use super::target::Target;
use super::team::{Job, fill_all};
use super::{ConvertArgs, done, list};
use crate::cli::Verdict;
use crate::cli::losses::Account;
use crate::cli::output::{complain, finish, json, line, results};
use crate::cli::side::Side;
use crate::cli::signals::Guard;
use crate::cli::size::{human, short};

#[derive(Serialize)]
struct Reports {
    image: String,
    target: String,
    dry_run: bool,
    needed_bytes: u64,
    free_bytes: Option<u64>,
    fits: bool,
    images: Vec<Report>,
}

/// One image that is to be made.
struct Part {
    path: PathBuf,
    side: Side,
    plan: Plan,
}

/// What was written of an image, and what of it is lost.
type Written = (Summary, Option<Account>);

/// A directory that goes again if nothing came of it.
struct NewDirectory<'a>(Option<&'a Path>);

impl Drop for NewDirectory<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.0 {
            // Only an empty one: what somebody else put there stays.
            let _ = std::fs::remove_dir(path);
        }
    }
}

pub(super) fn run(
    args: &ConvertArgs,
    dir: &Path,
    source: Side,
    workers: &Workers,
    signals: &Guard,
) -> anyhow::Result<Verdict> {
    let context = || format!("converting the partitions of {}", args.open.name());
    let sides = divide(source).with_context(context)?;
    let mut new = NewDirectory(None);
    if !dir.exists() {
        let made = std::fs::create_dir(dir);
        made.with_context(|| format!("creating the directory {}", dir.display()))?;
        new.0 = Some(dir);
    }
    let parts = plan(args, dir, sides, workers).with_context(context)?;
    let needed = parts.iter().map(|part| part.plan.needed).sum();
    // One file system takes them all.
    let free = parts.first().and_then(|part| part.plan.free);
    let fits = free.is_none_or(|free| needed <= free);
    let reports = |images| Reports {
        image: args.open.name().to_string(),
        target: dir.display().to_string(),
        dry_run: args.dry_run,
        needed_bytes: needed,
        free_bytes: free,
        fits,
        images,
    };
    let report = |part: &Part, summary, lost| part.plan.report(args, &part.path, summary, lost);
    if args.dry_run {
        let images: Vec<_> = parts
            .iter()
            .map(|part| report(part, part.plan.expected(), None))
            .collect();
        if args.json {
            json(&reports(images))?;
        } else {
            show(&parts, needed, free)?;
        }
        return Ok(if fits { Verdict::Done } else { Verdict::No });
    }
    if let (Some(free), false) = (free, fits) {
        let path = dir.to_owned();
        return Err(Error::NoRoom { path, free, needed }).with_context(context);
    }
    let (parts, written) = match write(args, dir, parts, workers, signals) {
        Ok(written) => written,
        Err(error) => {
            return Err(match signals.interrupted() {
                Some(interrupted) => interrupted.into(),
                None => error.context(context()),
            });
        }
    };
    new.0 = None;
    let mut verdict = Verdict::Done;
    for (part, (summary, account)) in parts.iter().zip(&written) {
        let name = part.path.display().to_string();
        if let (None, true) = (account, args.force) {
            remove_stale(&part.path);
        }
        if super::verdict(account.as_ref()) == Verdict::Salvaged {
            verdict = Verdict::Salvaged;
        }
        if args.quiet {
            continue;
        }
        if let Some(account) = account {
            account.complain(&name);
        }
        let (size, done) = (short(part.side.disk.size()), done(*summary));
        complain(&format!("{name}: {size}, {done}"));
    }
    if args.json {
        let written = parts.iter().zip(written);
        let images = written.map(|(part, (summary, account))| report(part, summary, account));
        json(&reports(images.collect()))?;
    }
    Ok(verdict)
}

/// Every partition as a disk of its own; the whole disk where it has no table and something that
/// is known fills it.
fn divide(source: Side) -> Result<Vec<(String, Side)>, Error> {
    let layout = partition::read(source.disk.as_ref())?;
    let whole = layout.whole.as_ref().map(|content| content.kind);
    if layout.table.is_none() {
        return match whole {
            Some(_) => Ok(vec![("disk".to_owned(), source)]),
            None => Err(Error::NoTable { whole }),
        };
    }
    let Side {
        disk,
        files,
        salvage,
        ..
    } = source;
    let disk: Arc<dyn VirtualDisk> = Arc::from(disk);
    let real = layout.partitions.iter().filter(|part| !part.is_extended);
    let sides = real.map(|part| {
        let slice = Box::new(part.of(Arc::clone(&disk))?);
        let inside = salvage.as_ref().map(|all| all.part(part.start, part.len));
        let side = Side::part(slice, files.clone(), part.number, inside);
        Ok((format!("p{}", part.number), side))
    });
    let sides: Vec<_> = sides.collect::<Result<_, Error>>()?;
    if sides.is_empty() {
        return Err(Error::NoTable { whole: None });
    }
    Ok(sides)
}

fn plan(
    args: &ConvertArgs,
    dir: &Path,
    sides: Vec<(String, Side)>,
    workers: &Workers,
) -> Result<Vec<Part>, Error> {
    let extension = args.format().name();
    let parts = sides.into_iter().map(|(name, side)| {
        let path = dir.join(format!("{name}.{extension}"));
        let target = Target::File(path.clone());
        let plan = Plan::new(args, &target, side.disk.as_ref(), workers)?;
        Ok(Part { path, side, plan })
    });
    parts.collect()
}

/// Fills all images before the first one gets its name.
fn write(
    args: &ConvertArgs,
    dir: &Path,
    mut parts: Vec<Part>,
    workers: &Workers,
    signals: &Guard,
) -> anyhow::Result<(Vec<Part>, Vec<Written>)> {
    let checksum = args
        .checksum
        .map(|how| ChecksumFile::within(how, dir, args.force));
    let checksum = checksum.transpose()?;
    let algorithm = checksum.as_ref().map(ChecksumFile::algorithm);
    let sum = checksum.as_ref().map(|file| file.path().to_owned());
    let mut sinks = Vec::new();
    let (mut written, mut digests, mut lists) = (Vec::new(), Vec::new(), Vec::new());
    let lost = parts.iter().map(|part| {
        let target = Target::File(part.path.clone());
        let partials = signals.partials();
        let file = |()| LostFile::create(&target, args.force, &part.side, partials);
        args.open.salvage.then_some(()).map(file).transpose()
    });
    let lost: Vec<_> = lost.collect::<anyhow::Result<_>>()?;
    let jobs = parts.iter_mut().map(|part| Job {
        layout: Mutex::new(part.plan.layout.take()),
        path: &part.path,
        side: &part.side,
    });
    let jobs: Vec<_> = jobs.collect();
    let filled = fill_all(args, &jobs, algorithm, workers, signals)?;
    drop(jobs);
    for ((part, lost), filled) in parts.iter().zip(lost).zip(filled) {
        let account = lost.as_ref().map(|file| list(args, file, &part.side));
        sinks.push(filled.sink);
        written.push((filled.summary, account.transpose()?));
        lists.extend(lost);
        digests.extend(filled.digest);
    }
    let digests: Vec<_> = digests
        .into_iter()
        .zip(parts.iter().map(|part| part.path.as_path()))
        .collect();
    let finish = || {
        let mut named: Vec<&Path> = Vec::new();
        for (sink, part) in sinks.into_iter().zip(&parts) {
            if let Err(error) = sink.finish() {
                // All or nothing.
                args.take_back(named);
                return Err(error);
            }
            named.push(&part.path);
        }
        Ok(())
    };
    match checksum {
        Some(file) => {
            let all = || args.take_back(parts.iter().map(|part| part.path.as_path()));
            file.write(&digests, !args.no_sync, signals.partials(), finish, all)?;
        }
        None => finish()?,
    }
    drop(digests);
    for (number, list) in lists.into_iter().enumerate() {
        list.finish(!args.no_sync).inspect_err(|_| {
            let targets = parts
                .iter()
                .map(|part| part.path.as_path())
                .chain(sum.as_deref());
            let lists = written
                .iter()
                .filter_map(|(_, account)| account.as_ref()?.list.as_deref());
            args.take_back(targets.chain(lists.take(number).map(Path::new)));
        })?;
    }
    Ok((parts, written))
}

fn show(parts: &[Part], needed: u64, free: Option<u64>) -> anyhow::Result<()> {
    let mut out = results();
    for part in parts {
        let (size, needed) = (human(part.side.disk.size()), short(part.plan.needed));
        line(
            &mut out,
            &format!("{}: {size}, {needed} needed", part.path.display()),
        )?;
    }
    line(&mut out, &format!("needed: {}", human(needed)))?;
    match free {
        Some(free) if needed <= free => {
            line(&mut out, &format!("free:   {}: it fits", human(free)))?
        }
        Some(free) => line(
            &mut out,
            &format!("free:   {}: it does not fit", human(free)),
        )?,
        None => line(&mut out, "free:   not known beforehand")?,
    }
    finish(out)
}
