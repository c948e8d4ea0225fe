//! What was typed for a target to be verified.

use std::path::{Path, PathBuf};

use crate::cli::compact::DiskArgs;
use crate::cli::guest::GuestArgs;
use crate::cli::outcome::Usage;
use crate::cli::progress::When;

/// What stands for no image: a file of this name is `./-`, as for any other tool.
pub(super) const NO_IMAGE: &str = "-";

/// Compare a target with its checksum file, or with the image it was made from
#[derive(Debug, clap::Args)]
#[command(mut_arg("image", |image| image
    .long("against")
    .value_name("IMAGE")
    .required(false)
    .default_value(NO_IMAGE)
    .hide_default_value(true)
    .help("The image it was made from [default: look for a checksum file]")))]
pub(crate) struct VerifyArgs {
    /// The file or device to look at
    #[arg(value_name = "TARGET")]
    pub(super) target: PathBuf,
    // Here IMAGE belongs to an option.
    #[command(flatten)]
    pub(crate) open: DiskArgs,
    #[command(flatten)]
    pub(super) guest: GuestArgs,
    /// Print JSON instead of text
    #[arg(long)]
    pub(super) json: bool,
    /// Say nothing on stderr but errors
    #[arg(short, long)]
    pub(super) quiet: bool,
    /// When to show progress
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(super) progress: When,
}

impl VerifyArgs {
    /// Refuses what cannot be followed together.
    pub(super) fn refuse_nonsense(&self) -> Result<(), Usage> {
        if self.guest.is_given() && self.open.image == Path::new(NO_IMAGE) {
            return Err(Usage(
                "--for says how an archive was made of an image: add --against IMAGE".to_owned(),
            ));
        }
        self.guest.refuse_contradictions()
    }
}
