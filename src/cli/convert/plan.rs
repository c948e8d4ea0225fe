//! What a conversion would do, and what it did.

use std::path::{Path, PathBuf};

use ploopconv::copy::{Summary, stored_bytes};
use ploopconv::disk::VirtualDisk;
use ploopconv::qcow2::Layout;
use ploopconv::{Error, Workers};
use serde::Serialize;

use super::args::{ConvertArgs, Sparse};
use super::target::Target;
use crate::cli::Verdict;
use crate::cli::losses::Account;
use crate::cli::output::{finish, json, line, results};
use crate::cli::qcow2;
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
    /// Free room where the target goes, where the file system can tell.
    free_bytes: Option<u64>,
    fits: bool,
    /// Whether the target was read back.
    verified: bool,
    /// What was lost, with `--salvage`.
    salvage: Option<Account>,
}

/// What a conversion would do.
pub(super) struct Plan {
    size: u64,
    data: u64,
    /// The most bytes that may be written.
    pub(super) needed: u64,
    /// Whether it may be far less.
    at_most: bool,
    /// Of a qcow2 target.
    pub(super) layout: Option<Layout>,
    directory: Option<PathBuf>,
    /// Free bytes there, where that says something.
    pub(super) free: Option<u64>,
}

impl Plan {
    /// Asks the target and the disk, and opens nothing for writing.
    pub(super) fn new(
        args: &ConvertArgs,
        target: &Target,
        disk: &dyn VirtualDisk,
        workers: &Workers,
    ) -> Result<Self, Error> {
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
        // Nobody knows how much of the data is zeros, or how small it becomes.
        let compressed = args
            .qcow2()
            .is_some_and(|qcow2| qcow2.compression.is_some());
        let at_most = args.sparse == Sparse::Always || compressed;
        Ok(Self {
            size,
            data,
            needed,
            at_most,
            layout,
            directory,
            free: free.filter(|_| !at_most),
        })
    }

    /// What would be written, if nothing more proves to be zeros.
    pub(super) fn expected(&self) -> Summary {
        Summary {
            written: self.data,
            shared: 0,
            zeros: self.size - self.data,
        }
    }

    fn fits(&self) -> bool {
        self.free.is_none_or(|free| self.needed <= free)
    }

    /// Refuses a copy that is known not to fit.
    pub(super) fn refuse_if_full(&self) -> Result<(), Error> {
        match (self.free, &self.directory) {
            (Some(free), Some(directory)) if free < self.needed => Err(Error::NoRoom {
                path: directory.clone(),
                free,
                needed: self.needed,
            }),
            _ => Ok(()),
        }
    }

    /// The report for scripts, with what was written.
    pub(super) fn report(
        &self,
        args: &ConvertArgs,
        target: &Path,
        summary: Summary,
        salvage: Option<Account>,
    ) -> Report {
        let qcow2 = args.qcow2();
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
            needed_bytes: self.needed,
            free_bytes: self.free,
            fits: self.fits(),
            verified: args.verify && !args.dry_run,
            salvage,
        }
    }

    /// Shows the plan itself: `--dry-run`.
    pub(super) fn show(
        &self,
        args: &ConvertArgs,
        account: Option<Account>,
    ) -> anyhow::Result<Verdict> {
        let verdict = if self.fits() {
            Verdict::Done
        } else {
            Verdict::No
        };
        if args.json {
            json(&self.report(args, &args.output, self.expected(), account))?;
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
        let most = if self.at_most { "at most " } else { "" };
        field("needed:", &format!("{most}{}", human(self.needed)))?;
        match self.free {
            Some(free) => {
                let fits = if self.fits() {
                    "it fits"
                } else {
                    "it does not fit"
                };
                field("free:", &format!("{}: {fits}", human(free)))?;
            }
            None if self.directory.is_some() => field("free:", "not known beforehand")?,
            None => {}
        }
        for line in account.iter().flat_map(|account| account.lines(20)) {
            field("lost:", &line)?;
        }
        finish(out)?;
        Ok(verdict)
    }
}
