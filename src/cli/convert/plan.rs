//! What a conversion would do, and what it did.

use std::path::{Path, PathBuf};

use ploopconv::copy::{Summary, stored_bytes};
use ploopconv::qcow2::Layout;
use ploopconv::{Error, Workers};
use serde::Serialize;

use super::args::{ConvertArgs, Sparse};
use super::checksum::ChecksumFile;
use super::room::Room;
use super::target::Target;
use super::{Job, Written};
use crate::cli::Verdict;
use crate::cli::losses::Account;
use crate::cli::output::{finish, json, line, results};
use crate::cli::qcow2;
use crate::cli::report::path;
use crate::cli::side::Side;
use crate::cli::size::human;

#[derive(Serialize)]
pub(super) struct Report {
    image: String,
    target: String,
    format: &'static str,
    /// Of a qcow2 target.
    cluster_size: Option<u64>,
    compression: Option<&'static str>,
    dry_run: bool,
    virtual_size: u64,
    /// Bytes that some layer stores.
    data_bytes: u64,
    /// Bytes that were, or at most would be, written as data.
    written_bytes: u64,
    /// Bytes that the target shares with the files of the image.
    shared_bytes: u64,
    /// Bytes that were, or at least would be, left as zeros.
    zero_bytes: u64,
    /// The most room that the target takes.
    needed_bytes: u64,
    /// Free room where the target goes; null for a stream.
    free_bytes: Option<u64>,
    /// Null where that shows only when it is done.
    fits: Option<bool>,
    /// Whether the target was read back.
    verified: bool,
    /// How long it took; null for a dry run.
    seconds: Option<f64>,
    /// With `--checksum`: where the digest is, how it was computed, and the digest.
    checksum_file: Option<String>,
    algorithm: Option<&'static str>,
    digest: Option<String>,
    /// What was said of the image on stderr, or would have been.
    warnings: Vec<String>,
    /// What was lost, with `--salvage`.
    salvage: Option<Account>,
}

/// The digest of a target, as its checksum file has it.
#[derive(Debug, Clone)]
pub(super) struct Digest {
    checksum_file: String,
    algorithm: &'static str,
    digest: String,
}

impl Digest {
    /// Of a target that a checksum file is going to name.
    pub(super) fn new(file: &ChecksumFile, digest: &str) -> Self {
        Self {
            checksum_file: path(file.path()),
            algorithm: file.algorithm().name(),
            digest: digest.to_owned(),
        }
    }
}

/// What a conversion would do.
pub(super) struct Plan {
    size: u64,
    data: u64,
    pub(super) room: Room,
    /// Of a qcow2 target.
    pub(super) layout: Option<Layout>,
    directory: Option<PathBuf>,
}

impl Plan {
    /// Asks the target and the disk, and opens nothing for writing.
    pub(super) fn new(
        args: &ConvertArgs,
        target: &Target,
        source: &Side,
        workers: &Workers,
    ) -> Result<Self, Error> {
        let disk = source.disk.as_ref();
        let size = disk.size();
        let free = target.admit(args.force, size)?;
        let allocate = args.sparse == Sparse::Never;
        let layout = args
            .qcow2()
            .map(|options| qcow2::plan(disk, options, allocate))
            .transpose()?;
        let data = match &layout {
            Some(layout) if !allocate => layout.stored_bytes(),
            _ => stored_bytes(disk, workers)?,
        };
        let directory = target.directory();
        let needed = match (&layout, target) {
            (Some(layout), _) if allocate => layout.file_len(),
            (Some(layout), _) => layout.needed_bytes(),
            (None, Target::File(_)) if !allocate => data,
            (None, _) => size,
        };
        let room = match (free, &directory) {
            (Some(free), Some(dir)) => Room::of_file(args, needed, free, dir, source),
            (free, _) => Room::of_device(needed, free.map(|free| free.bytes)),
        };
        Ok(Self {
            size,
            data,
            room,
            layout,
            directory,
        })
    }

    /// What would be written, if nothing more proves to be zeros.
    pub(super) fn expected(&self, account: Option<Account>) -> Written {
        let summary = Summary {
            written: self.data,
            shared: 0,
            zeros: self.size - self.data,
        };
        Written {
            summary,
            account,
            digest: None,
        }
    }

    /// Refuses a copy that is known not to fit.
    pub(super) fn refuse_if_full(&self) -> Result<(), Error> {
        match (self.room.free, &self.directory) {
            (Some(free), Some(directory)) if free < self.room.least => Err(Error::NoRoom {
                path: directory.clone(),
                free,
                needed: self.room.least,
            }),
            _ => Ok(()),
        }
    }

    /// The report for scripts, with what was written.
    pub(super) fn report(&self, job: &Job<'_>, target: &Path, written: Written) -> Report {
        let args = job.args;
        let summary = written.summary;
        let qcow2 = args.qcow2();
        let digest = written.digest.as_ref();
        Report {
            image: args.open.name().to_string(),
            target: target.display().to_string(),
            format: args.format().name(),
            cluster_size: qcow2.map(|options| options.cluster_size.bytes()),
            compression: qcow2.and(args.qcow2.compression_name()),
            dry_run: args.dry_run,
            virtual_size: self.size,
            data_bytes: self.data,
            written_bytes: summary.written,
            shared_bytes: summary.shared,
            zero_bytes: summary.zeros,
            needed_bytes: self.room.most,
            free_bytes: self.room.free,
            // What was written did fit.
            fits: if args.dry_run {
                self.room.fits()
            } else {
                Some(true)
            },
            verified: args.verify && !args.dry_run,
            seconds: (!args.dry_run).then(|| job.seconds()),
            checksum_file: digest.map(|digest| digest.checksum_file.clone()),
            algorithm: digest.map(|digest| digest.algorithm),
            digest: digest.map(|digest| digest.digest.clone()),
            warnings: job.warnings.clone(),
            salvage: written.account,
        }
    }

    /// Shows the plan itself: `--dry-run`.
    pub(super) fn show(&self, job: &Job<'_>, account: Option<Account>) -> anyhow::Result<Verdict> {
        let args = job.args;
        let verdict = match self.room.fits() {
            Some(false) => Verdict::No,
            _ => Verdict::Done,
        };
        if args.json {
            json(&self.report(job, &args.output, self.expected(account)))?;
            return Ok(verdict);
        }
        let mut out = results();
        let mut field = |name: &str, value: &str| line(&mut out, &format!("{name:<8} {value}"));
        field("image:", &args.open.name().to_string())?;
        field(
            "target:",
            &format!("{} ({})", args.output.display(), args.kind()),
        )?;
        field("disk:", &human(self.size))?;
        field("stored:", &human(self.data))?;
        field("needed:", &self.room.needed())?;
        if let Some(verdict) = self.room.verdict() {
            field("free:", &verdict)?;
        }
        for line in account.iter().flat_map(|account| account.lines(20)) {
            field("lost:", &line)?;
        }
        finish(out)?;
        Ok(verdict)
    }
}
