//! What was typed for a disk to be attached.

use std::path::PathBuf;

use anyhow::bail;
use clap::ValueEnum;
use ploopconv::attach::{Device, Driver};
use ploopconv::served::PrivateLayer;

use crate::cli::number::number;
use crate::cli::open::OpenArgs;
use crate::cli::outcome::Usage;
use crate::cli::scratch::scratch_folder;

/// By which driver of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Via {
    /// The NBD driver
    Nbd,
    /// A loop device that reads a file of FUSE
    Fuse,
}

/// Attach a disk as a block device, through the kernel's NBD driver or FUSE and a loop device
#[derive(Debug, clap::Args)]
pub(crate) struct AttachArgs {
    #[command(flatten)]
    pub(crate) open: OpenArgs,
    /// Mount it too: the only file system, or that of --partition
    #[arg(long, value_name = "DIR")]
    pub(super) mount: Option<PathBuf>,
    /// Take writes into a private layer that is gone at detach; the image is never written
    ///
    /// The layer is a file without a name in $TMPDIR or /var/tmp, or FILE, which must not
    /// exist and is removed at detach. With it a journal can be replayed: --mount mounts
    /// for writing.
    #[arg(long, value_name = "FILE", require_equals = true)]
    pub(super) overlay: Option<Option<PathBuf>>,
    /// By which way [default: nbd, and fuse where the kernel has no NBD driver]
    #[arg(long, value_name = "nbd|fuse", hide_possible_values = true)]
    pub(super) via: Option<Via>,
    /// Use this device, /dev/nbdN or /dev/loopN [default: a free one]
    #[arg(long, value_name = "DEVICE")]
    pub(super) device: Option<PathBuf>,
    /// Connections between the kernel and the server
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = number::<1, 64>
    )]
    pub(super) connections: u32,
    /// Size of the device's sectors [default: what the partition table needs]
    #[arg(long, value_name = "512|4096", value_parser = ["512", "4096"])]
    pub(super) block_size: Option<String>,
    /// Stay, and say on stderr what goes wrong, until Ctrl-C, a signal or detach
    #[arg(long)]
    pub(super) foreground: bool,
    /// Write a line for every request
    #[arg(long)]
    pub(super) trace: bool,
    /// What the background server is started with.
    #[arg(long, hide = true, conflicts_with = "foreground")]
    pub(super) in_background: bool,
}

impl AttachArgs {
    /// The device that was asked for.
    pub(super) fn wanted_device(&self) -> anyhow::Result<Option<Device>> {
        let Some(path) = &self.device else {
            return Ok(None);
        };
        let name = path.display();
        let device = Device::named(path).filter(|device| device.path() == *path);
        let Some(device) = device else {
            let text = format!(
                "{name} is no NBD device such as /dev/nbd0, and no loop device such as /dev/loop0"
            );
            return Err(Usage(text).into());
        };
        let (needed, word) = match device.driver() {
            Driver::Nbd => (Via::Nbd, "nbd"),
            Driver::Loop => (Via::Fuse, "fuse"),
        };
        if self.via.is_some_and(|via| via != needed) {
            return Err(Usage(format!("{name} is a device for --via {word}")).into());
        }
        Ok(Some(device))
    }

    /// Makes the private layer that was asked for.
    pub(super) fn private_layer(&self) -> anyhow::Result<Option<PrivateLayer>> {
        let Some(path) = &self.overlay else {
            return Ok(None);
        };
        if let Some(path) = path.as_ref().filter(|path| path.is_dir()) {
            let name = path.display();
            bail!("{name} is a directory; --overlay=FILE names a file that does not exist yet");
        }
        let layer = PrivateLayer::create(path.as_deref(), &scratch_folder())?;
        Ok(Some(layer))
    }

    /// An option that only the NBD driver can do, where one was given.
    pub(super) fn needs_nbd(&self) -> Option<&'static str> {
        match (&self.overlay, self.trace) {
            (Some(_), _) => Some("--overlay"),
            (None, true) => Some("--trace"),
            (None, false) => None,
        }
    }
}
