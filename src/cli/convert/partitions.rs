//! `--partitions`: an image of every partition, in a directory.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::Context;
use ploopconv::disk::VirtualDisk;
use ploopconv::partition;
use ploopconv::sink::create_directory;
use ploopconv::{Error, Workers};
use serde::Serialize;

use super::checksum::ChecksumFile;
use super::lost::{LostFile, remove_stale};
use super::plan::{Digest, Plan, Report};
use super::room::Room;
use super::target::Target;
use super::team::{self, fill_all};
use super::{ConvertArgs, Job, Written, done, list};
use crate::cli::Verdict;
use crate::cli::output::{complain, finish, json, line, results};
use crate::cli::side::Side;
use crate::cli::size::{human, short};

#[derive(Serialize)]
struct Reports {
    image: String,
    target: String,
    dry_run: bool,
    needed_bytes: u64,
    free_bytes: Option<u64>,
    fits: Option<bool>,
    images: Vec<Report>,
}

/// One image that is to be made.
struct Part {
    path: PathBuf,
    side: Side,
    plan: Plan,
}

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

pub(super) fn run(job: &Job<'_>, dir: &Path, source: Side) -> anyhow::Result<Verdict> {
    let args = job.args;
    let context = || format!("converting the partitions of {}", args.open.name());
    let sides = divide(source).with_context(context)?;
    let mut new = NewDirectory(None);
    if !dir.exists() {
        create_directory(dir).with_context(context)?;
        new.0 = Some(dir);
    }
    let parts = plan(args, dir, sides, job.workers).with_context(context)?;
    // One file system takes them all.
    let rooms = parts.iter().map(|part| part.plan.room);
    let room = rooms.reduce(Room::and).unwrap_or_default();
    let reports = |images| Reports {
        image: args.open.name().to_string(),
        target: dir.display().to_string(),
        dry_run: args.dry_run,
        needed_bytes: room.most,
        free_bytes: room.free,
        // What was written did fit.
        fits: if args.dry_run {
            room.fits()
        } else {
            Some(true)
        },
        images,
    };
    let report = |part: &Part, written| part.plan.report(job, &part.path, written);
    if args.dry_run {
        let images: Vec<_> = parts
            .iter()
            .map(|part| report(part, part.plan.expected(None)))
            .collect();
        if args.json {
            json(&reports(images))?;
        } else {
            show(&parts, room)?;
        }
        return Ok(match room.fits() {
            Some(false) => Verdict::No,
            _ => Verdict::Done,
        });
    }
    if let (Some(false), Some(free)) = (room.fits(), room.free) {
        let (path, needed) = (dir.to_owned(), room.least);
        return Err(Error::NoRoom { path, free, needed }).with_context(context);
    }
    let (parts, written) = match write(job, dir, parts) {
        Ok(written) => written,
        Err(error) => {
            let fate = "nothing was left behind";
            return Err(job.failed(error, context(), room, fate));
        }
    };
    new.0 = None;
    let mut verdict = Verdict::Done;
    for (part, written) in parts.iter().zip(&written) {
        let account = &written.account;
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
        let (size, done) = (short(part.side.disk.size()), done(written.summary));
        complain(&format!("{name}: {size}, {done}"));
    }
    if args.json {
        let written = parts.iter().zip(written);
        let images = written.map(|(part, written)| report(part, written));
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
        let plan = Plan::new(args, &target, &side, workers)?;
        Ok(Part { path, side, plan })
    });
    parts.collect()
}

/// Fills all images before the first one gets its name.
fn write(
    job: &Job<'_>,
    dir: &Path,
    mut parts: Vec<Part>,
) -> anyhow::Result<(Vec<Part>, Vec<Written>)> {
    let (args, signals) = (job.args, job.signals);
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
    let jobs = parts.iter_mut().map(|part| team::Job {
        layout: Mutex::new(part.plan.layout.take()),
        path: &part.path,
        side: &part.side,
    });
    let jobs: Vec<_> = jobs.collect();
    let filled = fill_all(args, &jobs, algorithm, job.workers, signals)?;
    drop(jobs);
    for ((part, lost), filled) in parts.iter().zip(lost).zip(filled) {
        let account = lost.as_ref().map(|file| list(args, file, &part.side));
        sinks.push(filled.sink);
        let digest = checksum.as_ref().zip(filled.digest.as_ref());
        written.push(Written {
            summary: filled.summary,
            account: account.transpose()?,
            digest: digest.map(|(file, digest)| Digest::new(file, digest)),
        });
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
                .filter_map(|written| written.account.as_ref()?.list.as_deref());
            args.take_back(targets.chain(lists.take(number).map(Path::new)));
        })?;
    }
    Ok((parts, written))
}

fn show(parts: &[Part], room: Room) -> anyhow::Result<()> {
    let mut out = results();
    for part in parts {
        let (size, needed) = (human(part.side.disk.size()), short(part.plan.room.most));
        line(
            &mut out,
            &format!("{}: {size}, {needed} needed", part.path.display()),
        )?;
    }
    line(&mut out, &format!("needed: {}", room.needed()))?;
    if let Some(verdict) = room.verdict() {
        line(&mut out, &format!("free:   {verdict}"))?;
    }
    finish(out)
}
