//! What was typed for a conversion.

use std::path::PathBuf;

use ploopconv::convert::{self, ConvertOptions, GuestOptions, StateFile};
use ploopconv::format::qcow2::Qcow2Options;
use ploopconv::format::tar::TarOptions;
use ploopconv::format::{KnownFormat, TargetFormat, by_extension};
use ploopconv::hash;
use ploopconv::sink::{self, Durability, IfExists};

use super::format::{Formats, raw};
use super::packing::PackingArgs;
use crate::advice::promise::Promised;
use crate::cli::compact::DiskArgs;
use crate::cli::guest::GuestArgs;
use crate::cli::progress::When;
use crate::cli::scratch::scratch_folder;

/// Convert a disk (the same as giving no command)
#[derive(Debug, clap::Args)]
pub(crate) struct ConvertArgs {
    #[command(flatten)]
    pub(crate) open: DiskArgs,
    /// Where to: a file that does not exist yet, or - for stdout
    #[arg(short, long, value_name = "TARGET", help_heading = "Writing")]
    pub(crate) output: PathBuf,
    /// Format of the target [default: by its name, else raw]
    #[arg(short = 'O', long, value_parser = Formats, help_heading = "Writing")]
    pub(super) format: Option<&'static KnownFormat>,
    #[command(flatten)]
    pub(super) packing: PackingArgs,
    #[command(flatten)]
    pub(super) guest: GuestArgs,
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
    /// Bring a TARGET up to date that was made of a snapshot below: copy only what changed since,
    /// as TARGET.ploopconv says
    #[arg(
        long,
        conflicts_with_all = ["partitions", "no_state"],
        help_heading = "Writing"
    )]
    pub(super) update: bool,
    /// Do not write TARGET.ploopconv, which a conversion of a --snapshot leaves for --update
    #[arg(long, help_heading = "Writing")]
    no_state: bool,
    /// Write every partition to TARGET/p1.raw, p2.raw and so on; TARGET is a directory
    #[arg(long, conflicts_with = "partition", help_heading = "Writing")]
    pub(crate) partitions: bool,
    /// Write every disk of IMAGE, a machine or container with several, to TARGET/NAME.raw;
    /// TARGET is a directory
    #[arg(
        long,
        conflicts_with_all = [
            "partitions",
            "partition",
            "disk_name",
            "snapshot",
            "single_layer",
            "layers",
            "use_idx",
        ],
        help_heading = "Writing"
    )]
    pub(crate) disks: bool,
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

impl From<Sparse> for convert::Sparse {
    fn from(sparse: Sparse) -> Self {
        match sparse {
            Sparse::Auto => Self::Auto,
            Sparse::Always => Self::Always,
            Sparse::Never => Self::Never,
        }
    }
}

/// How the digest is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Algorithm {
    /// What `sha256sum -c` reads, of the target file as it is
    Sha256,
    /// The disk's content, on all cores; the same for raw and qcow2
    Blkhash,
}

impl From<Algorithm> for hash::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256,
            Algorithm::Blkhash => Self::Blkhash,
        }
    }
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
    /// What is written where it is no archive, for messages.
    pub(crate) const DISK: &str = "disk";

    /// Whether the target is a directory for several images.
    pub(super) fn makes_several(&self) -> bool {
        self.partitions || self.disks
    }

    pub(super) fn format(&self) -> &'static KnownFormat {
        // A directory has no format; its name says nothing.
        let by_name = || by_extension(&self.output).filter(|_| !self.makes_several());
        self.format.or_else(by_name).unwrap_or(raw())
    }

    /// How the library is to do it.
    pub(super) fn options(&self, guest: Option<GuestOptions>) -> ConvertOptions {
        let format = match (self.qcow2_options(), self.tar_options()) {
            (Some(options), _) => options.into(),
            (None, Some(options)) => TargetFormat::Files(options),
            (None, None) => self.format().usual(&self.output),
        };
        ConvertOptions {
            format,
            sparse: self.sparse.into(),
            reflink: self.reflink.into(),
            if_exists: self.if_exists(),
            checksum: self.checksum.map(Into::into),
            read_back: self.verify,
            durability: self.durability(),
            lists: PathBuf::from("."),
            scratch: scratch_folder(),
            guest,
            state_file: match self.no_state || self.open.snapshot.is_none() {
                true => StateFile::LeftOut,
                false => StateFile::OfSnapshots,
            },
        }
    }

    /// Whether what the target holds is written down for updates.
    pub(super) fn keeps_state(&self) -> bool {
        self.update || self.open.snapshot.is_some() && !self.no_state && !self.no_sync
    }

    /// What the target is to look like where it is qcow2.
    pub(super) fn qcow2_options(&self) -> Option<Qcow2Options> {
        (self.format().name == "qcow2").then(|| self.packing.qcow2())
    }

    /// What the target is to look like where it is an archive.
    pub(super) fn tar_options(&self) -> Option<TarOptions> {
        self.named_tar_options()
            .map(|by_name| self.packing.tar(by_name))
    }

    /// What the target holds, in a word.
    pub(crate) fn writes(&self) -> &'static str {
        match self.tar_options() {
            Some(_) => "archive",
            None => Self::DISK,
        }
    }

    /// The same, by the name alone.
    pub(super) fn named_tar_options(&self) -> Option<TarOptions> {
        match self.format().usual(&self.output) {
            TargetFormat::Files(options) => Some(options),
            TargetFormat::Disk(_) => None,
        }
    }

    /// The format as people read it.
    pub(super) fn kind(&self) -> String {
        let name = self.format().name;
        if let Some(how) = self.tar_options().and_then(|options| options.compression) {
            return format!("{name}, {}", how.name());
        }
        let Some(options) = self.qcow2_options() else {
            return name.to_owned();
        };
        let compressed = self.packing.compression_name();
        let compressed = compressed.map_or_else(String::new, |how| format!(", {how}"));
        format!("{name}, clusters of {}{compressed}", options.cluster_size)
    }

    /// What the target's name promises and is not written, where the name alone decides.
    pub(crate) fn promised(&self) -> Option<Promised> {
        if self.format.is_some() || self.makes_several() {
            return None;
        }
        Promised::by_name(&self.output)
    }

    /// What becomes of files that have the names of targets.
    pub(super) fn if_exists(&self) -> IfExists {
        if self.force {
            IfExists::Replace
        } else {
            IfExists::Refuse
        }
    }

    /// Whether targets have reached the disk before they get their names.
    pub(super) fn durability(&self) -> Durability {
        if self.no_sync {
            Durability::Unsynced
        } else {
            Durability::Synced
        }
    }

    /// Whether something that is there is to be replaced.
    pub(crate) fn replaces(&self) -> bool {
        self.force && self.output.exists()
    }
}
