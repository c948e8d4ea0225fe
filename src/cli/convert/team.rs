//! Several images at a time, where one alone would not keep the machine busy.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use ploopconv::copy::Summary;
use ploopconv::hash::Algorithm;
use ploopconv::qcow2::Layout;
use ploopconv::{Error, Workers};

use super::args::{ConvertArgs, Format};
use super::digest::OpenSink;
use super::fill::{Hands, fill, open_sink, passes};
use super::target::Target;
use crate::cli::progress::Display;
use crate::cli::side::Side;
use crate::cli::signals::Guard;

/// An image that is to be filled.
pub(super) struct Job<'a> {
    /// Its name.
    pub(super) path: &'a Path,
    /// What is copied.
    pub(super) side: &'a Side,
    /// Of a qcow2 target; taken when the job begins.
    pub(super) layout: Mutex<Option<Layout>>,
}

/// An image that is filled, and has no name yet.
pub(super) struct Filled {
    pub(super) sink: OpenSink,
    pub(super) summary: Summary,
    pub(super) digest: Option<String>,
}

/// What the members of a team share.
struct Team<'a> {
    args: &'a ConvertArgs,
    jobs: &'a [Job<'a>],
    algorithm: Option<Algorithm>,
    signals: &'a Guard,
    progress: &'a Display,
    next: AtomicUsize,
    /// In the order of the jobs.
    done: Vec<Mutex<Option<anyhow::Result<Filled>>>>,
}

/// Fills all images, in any order; what is given back is in that of the jobs. After an error no
/// other image is begun, and those that are under way stop.
pub(super) fn fill_all(
    args: &ConvertArgs,
    jobs: &[Job<'_>],
    algorithm: Option<Algorithm>,
    workers: &Workers,
    signals: &Guard,
) -> anyhow::Result<Vec<Filled>> {
    let size: u64 = jobs.iter().map(|job| job.side.disk.size()).sum();
    let progress = Display::new(args.progress, args.quiet, size.saturating_mul(passes(args)));
    let team = Team {
        args,
        jobs,
        algorithm,
        signals,
        progress: &progress,
        next: AtomicUsize::new(0),
        done: jobs.iter().map(|_| Mutex::new(None)).collect(),
    };
    let members = team.members(workers.threads());
    if members == 1 {
        team.work(workers);
    } else {
        let pools: Result<Vec<_>, Error> = (0..members)
            .map(|_| Workers::new(workers.threads() / members))
            .collect();
        let (team, pools) = (&team, pools?);
        std::thread::scope(|scope| {
            for workers in &pools {
                scope.spawn(move || team.work(workers));
            }
        });
    }
    progress.clear();
    team.results()
}

/// Lets the other members of a team stop when it goes out of scope: after an error, or a panic.
struct StopOthers<'a>(&'a Team<'a>);

impl Drop for StopOthers<'_> {
    fn drop(&mut self) {
        self.0.next.store(self.0.jobs.len(), Ordering::Relaxed);
        self.0.signals.give_up();
    }
}

impl Team<'_> {
    /// How many images are filled beside each other. One thread computes a SHA-256, so there may
    /// be one for each; everything else keeps all threads busy with a single image.
    fn members(&self, threads: usize) -> usize {
        /// Each image has buffers of its own, which are not to be large.
        const LARGEST_CLUSTER: u64 = 256 << 10;
        let is_small = self.args.format() == Format::Raw
            || self
                .args
                .qcow2()
                .is_some_and(|qcow2| qcow2.cluster_size.bytes() <= LARGEST_CLUSTER);
        // That of a compressed image is computed at its end; until then all threads compress.
        let is_compressed = self
            .args
            .qcow2()
            .is_some_and(|qcow2| qcow2.compression.is_some());
        match self.algorithm {
            Some(Algorithm::Sha256) if is_small && !is_compressed => {
                threads.min(self.jobs.len()).max(1)
            }
            _ => 1,
        }
    }

    fn work(&self, workers: &Workers) {
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let (Some(job), Some(done)) = (self.jobs.get(at), self.done.get(at)) else {
                return;
            };
            let stop = StopOthers(self);
            let filled = self.fill(job, workers);
            if filled.is_ok() {
                std::mem::forget(stop);
            }
            *done.lock().unwrap_or_else(PoisonError::into_inner) = Some(filled);
        }
    }

    fn fill(&self, job: &Job<'_>, workers: &Workers) -> anyhow::Result<Filled> {
        let target = Target::File(job.path.to_owned());
        let mut layout = job.layout.lock().unwrap_or_else(PoisonError::into_inner);
        let size = job.side.disk.size();
        let sink = open_sink(self.args, &target, layout.take(), size, self.signals)?;
        let hands = Hands {
            workers,
            signals: self.signals,
            progress: self.progress,
        };
        let filled = fill(self.args, &sink, self.algorithm, job.side, &hands);
        let (summary, digest) = filled.with_context(|| format!("{}", job.path.display()))?;
        Ok(Filled {
            sink,
            summary,
            digest,
        })
    }

    /// What all jobs gave, or the error of the one that made the others stop.
    fn results(self) -> anyhow::Result<Vec<Filled>> {
        let done = self.done.into_iter();
        let done = done.filter_map(|one| one.into_inner().unwrap_or_else(PoisonError::into_inner));
        let (mut filled, mut stopped) = (Vec::new(), None);
        for one in done {
            match one {
                Ok(one) => filled.push(one),
                Err(error) if matches!(error.downcast_ref(), Some(Error::Stopped)) => {
                    stopped = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        stopped.map_or(Ok(filled), Err)
    }
}
