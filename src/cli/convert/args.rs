//! What was typed for a conversion, and what of it goes together.

use std::path::{Path, PathBuf};

use ploopconv::qcow2::Qcow2Options;
use ploopconv::sink;

use super::checksum::Algorithm;
use super::promise::{Promised, format_by_name};
use super::target::Target;
use crate::cli::exit::Usage;
use crate::cli::open::OpenArgs;
use crate::cli::progress::When;
use crate::cli::qcow2::Qcow2Args;

/// Convert a disk (the same as giving no command)
#[derive(Debug, clap::Args)]
pub(crate) struct ConvertArgs {
    #[command(flatten)]
    pub(crate) open: OpenArgs,
    /// Where to: a file that does not exist yet, or - for stdout
    #[arg(short, long, value_name = "TARGET", help_heading = "Writing")]
    pub(crate) output: PathBuf,
    /// Format of the target [default: by its name, else raw]
    #[arg(short = 'O', long, help_heading = "Writing")]
    pub(super) format: Option<Format>,
    #[command(flatten)]
    pub(super) qcow2: Qcow2Args,
    /// Which zeros become holes: those of the image, all (a bare --sparse), none
    #[arg(
        long,
        value_name = "WHEN",
        num_args = 0..=1,
        require_equals = true,
        default_value = "auto",
        default_missing_value = "always",
        help_heading = "Writing"
    )]
    pub(super) sparse: Sparse,
    /// Whether the target shares blocks with the image, where the file system can
    #[arg(
        long,
        value_name = "WHEN",
        num_args = 0..=1,
        require_equals = true,
        default_value = "auto",
        default_missing_value = "always",
        help_heading = "Writing"
    )]
    pub(super) reflink: Reflink,
    /// Replace an existing file, once the new one is complete
    #[arg(short, long, help_heading = "Writing")]
    pub(super) force: bool,
    /// Write every partition to TARGET/p1.raw, p2.raw and so on; TARGET is a directory
    #[arg(long, conflicts_with = "partition", help_heading = "Writing")]
    pub(crate) partitions: bool,
    /// Write TARGET.sha256 (or TARGET.blkhash), computed while converting
    #[arg(
        long,
        value_name = "HOW",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "sha256",
        help_heading = "Writing"
    )]
    pub(super) checksum: Option<Algorithm>,
    /// Only say what would be done, and whether there is room for it
    #[arg(long, help_heading = "Writing")]
    pub(super) dry_run: bool,
    /// Do not wait until the target has reached the disk
    #[arg(long, help_heading = "Writing")]
    pub(super) no_sync: bool,
    /// Read the target back and compare it with the image before it gets its name
    #[arg(long, conflicts_with = "no_sync", help_heading = "Writing")]
    pub(super) verify: bool,
    /// Print a JSON report at the end
    #[arg(long)]
    pub(super) json: bool,
    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Say more
    #[arg(short, long)]
    pub(super) verbose: bool,
    /// When to show progress
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(super) progress: When,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// The disk's bytes as they are
    Raw,
    /// What QEMU, Proxmox and libvirt take; the default for .qcow2 and .qcow
    Qcow2,
}

impl Format {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Sparse {
    /// Holes of the disk and of its images
    Auto,
    /// Also zero blocks of 4 KiB in what is stored
    Always,
    /// The target is fully allocated
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Reflink {
    /// Share what can be shared, copy the rest
    Auto,
    /// Fail where something cannot be shared
    Always,
    /// Copy everything
    Never,
}

impl From<Reflink> for sink::Reflink {
    fn from(reflink: Reflink) -> Self {
        match reflink {
            Reflink::Auto => Self::Auto,
            Reflink::Always => Self::Always,
            Reflink::Never => Self::Never,
        }
    }
}

impl ConvertArgs {
    pub(super) fn format(&self) -> Format {
        // A directory has no format; its name says nothing.
        let by_name = || (!self.partitions).then(|| format_by_name(&self.output));
        self.format.or_else(by_name).unwrap_or(Format::Raw)
    }

    /// Removes targets that have their names already, because they belong together with something
    /// that failed. What replaced an older file is complete, and stays.
    pub(super) fn take_back<'a>(&self, targets: impl IntoIterator<Item = &'a Path>) {
        for path in targets.into_iter().filter(|_| !self.force) {
            let _ = std::fs::remove_file(path);
        }
    }

    /// What the target is to look like where it is qcow2.
    pub(super) fn qcow2(&self) -> Option<Qcow2Options> {
        (self.format() == Format::Qcow2).then(|| self.qcow2.options())
    }

    /// Whether less than what is stored may be written, which shows only when it is written.
    pub(super) fn may_shrink(&self) -> bool {
        let compressed = self
            .qcow2()
            .is_some_and(|qcow2| qcow2.compression.is_some());
        self.sparse == Sparse::Always || compressed
    }

    /// The format as people read it.
    pub(super) fn kind(&self) -> String {
        let name = self.format().name();
        let Some(options) = self.qcow2() else {
            return name.to_owned();
        };
        let compressed = self.qcow2.compression_name();
        let compressed = compressed.map_or_else(String::new, |how| format!(", {how}"));
        format!("{name}, clusters of {}{compressed}", options.cluster_size)
    }

    /// What the target's name promises and is not written, where the name alone decides.
    pub(crate) fn promised(&self) -> Option<Promised> {
        if self.format.is_some() || self.partitions {
            return None;
        }
        Promised::by_name(&self.output)
    }

    /// Whether something that is there is to be replaced.
    pub(crate) fn replaces(&self) -> bool {
        self.force && self.output.exists()
    }

    /// Refuses the name of a file that promises what is not written; `-O` overrules it.
    pub(super) fn refuse_promise(&self, target: &Target) -> Result<(), Promised> {
        let Target::File(path) = target else {
            return Ok(());
        };
        if self.format.is_some() || path.is_dir() {
            return Ok(());
        }
        Promised::by_name(path).map_or(Ok(()), Err)
    }

    /// Refuses options that cannot be followed together.
    pub(super) fn refuse_nonsense(&self, target: &Target) -> Result<(), Usage> {
        let mistake = |text: &str| Err(Usage(text.to_owned()));
        if self.verify && matches!(target, Target::Stdout | Target::Stream(_)) {
            return mistake("--verify reads the target back, and what went to a stream is gone");
        }
        let to_files = matches!(target, Target::File(_) | Target::Directory(_));
        if self.checksum.is_some() && !to_files {
            return mistake("--checksum writes a file beside the target, which has to be a file");
        }
        if self.reflink == Reflink::Always && self.open.salvage {
            return mistake("--salvage reads every byte, and --reflink=always none");
        }
        if self.reflink == Reflink::Always && !to_files {
            return mistake("--reflink=always wants a file as the target: others share nothing");
        }
        let Some(options) = self.qcow2() else {
            return self.qcow2.refuse_any();
        };
        if self.reflink == Reflink::Always && options.compression.is_some() {
            return mistake("--reflink=always and --compress exclude each other");
        }
        if !to_files {
            return mistake("qcow2 is not written from start to end; its target has to be a file");
        }
        if options.compression.is_some() && self.sparse == Sparse::Never {
            return mistake("--sparse=never and --compress want opposite things");
        }
        Ok(())
    }
}
