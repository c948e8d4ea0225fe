//! What to read: the arguments that every reading command takes.

use std::path::{Path, PathBuf};

use ploopconv::Workers;
use ploopconv::ploop::{Examined, Guid, OpenOptions, examine};

/// The image, and how freely it is opened.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct OpenArgs {
    /// Image file, descriptor, directory or container id
    #[arg(value_name = "IMAGE")]
    pub(crate) image: PathBuf,
    /// Read this snapshot instead of the current state
    #[arg(long, value_name = "GUID", help_heading = "Reading")]
    snapshot: Option<Guid>,
    /// Read an image file by itself, whatever the descriptor beside it says
    #[arg(long, conflicts_with = "snapshot", help_heading = "Reading")]
    single_layer: bool,
    /// Read an image that is marked in use
    #[arg(long, help_heading = "Reading")]
    pub(crate) allow_dirty: bool,
    /// Let the descriptor name files outside its folder
    #[arg(long, help_heading = "Reading")]
    allow_outside: bool,
    /// Look for container ids here instead of /vz/private and /var/lib/vz/private
    #[arg(long, value_name = "DIR", help_heading = "Reading")]
    private_dir: Vec<PathBuf>,
    /// Use this many threads [default: the number of cores]
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=128))]
    threads: Option<u8>,
}

impl OpenArgs {
    /// Starts the threads that everything runs on.
    pub(crate) fn workers(&self) -> anyhow::Result<Workers> {
        let cores = || {
            std::thread::available_parallelism()
                .map_or(1, usize::from)
                .min(128)
        };
        Ok(Workers::new(self.threads.map_or_else(cores, usize::from))?)
    }

    /// Opens and examines the image.
    pub(crate) fn examine(&self, workers: &Workers) -> ploopconv::Result<Examined> {
        let mut options = OpenOptions {
            snapshot: self.snapshot,
            single_layer: self.single_layer,
            allow_outside: self.allow_outside,
            ..OpenOptions::default()
        };
        if !self.private_dir.is_empty() {
            options.private_dirs.clone_from(&self.private_dir);
        }
        workers.install(|| examine(&self.image, &options))
    }

    /// The same options for another image.
    pub(crate) fn of(&self, image: &Path) -> Self {
        Self {
            image: image.to_owned(),
            ..self.clone()
        }
    }

    /// An option that was given and says something to ploop images only.
    pub(crate) fn only_for_ploop(&self) -> Option<&'static str> {
        [
            (self.snapshot.is_some(), "--snapshot"),
            (self.single_layer, "--single-layer"),
            (self.allow_dirty, "--allow-dirty"),
            (self.allow_outside, "--allow-outside"),
            (!self.private_dir.is_empty(), "--private-dir"),
        ]
        .into_iter()
        .find_map(|(given, option)| given.then_some(option))
    }

    /// What messages call the image.
    pub(crate) fn name(&self) -> std::path::Display<'_> {
        Path::display(&self.image)
    }
}
