//! What was typed for an image to be shown.

use crate::cli::compact::DiskArgs;

/// Show what an image or a chain is, without reading its data
#[derive(Debug, clap::Args)]
pub(crate) struct InfoArgs {
    #[command(flatten)]
    pub(crate) open: DiskArgs,
    /// Print JSON instead of text
    #[arg(long)]
    pub(super) json: bool,
}
