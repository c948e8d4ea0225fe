//! What was typed for a disk to be attached.

use std::path::PathBuf;

use ploopconv::attach::Device;

use crate::cli::number::number;
use crate::cli::open::OpenArgs;
use crate::cli::outcome::Usage;

/// Attach a disk as a block device, through the kernel's NBD driver
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
    /// Use this device, /dev/nbdN [default: a free one]
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
        let device = Device::named(path).filter(|device| device.path() == *path);
        device.map(Some).ok_or_else(|| {
            let text = format!("{} is no NBD device such as /dev/nbd0", path.display());
            Usage(text).into()
        })
    }
}
