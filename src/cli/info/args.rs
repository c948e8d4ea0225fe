//! What was typed for an image to be shown.

use crate::cli::open::OpenArgs;

/// Show what an image or a chain is, without reading its data
#[derive(Debug, clap::Args)]
pub(crate) struct InfoArgs {
    #[command(flatten)]
    pub(crate) open: OpenArgs,
    /// Print JSON instead of text
    #[arg(long)]
    pub(super) json: bool,
}
