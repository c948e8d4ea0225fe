//! What was typed for a batch.

use std::path::PathBuf;

use ploopconv::util::bytes::to_usize;

use super::report::Report;
use super::words::ConvertWords;
use crate::cli::number::number;
use crate::cli::progress::When;

#[derive(Debug, clap::Args)]
pub(crate) struct BatchArgs {
    /// Containers: ids, their folders, or disks; with --all folders of containers
    /// [default: those of this host]
    #[arg(value_name = "CONTAINER")]
    pub(super) containers: Vec<PathBuf>,
    /// The folder for all targets and the report; it is made where it is missing
    #[arg(short, long, value_name = "DIR", help_heading = "Writing")]
    pub(super) output: PathBuf,
    /// Convert every container of this host, or below the folders that are given
    #[arg(long)]
    pub(super) all: bool,
    /// How many disks to convert at a time
    #[arg(long, value_name = "N", default_value = "1", value_parser = number::<1, 64>)]
    pub(super) jobs: u32,
    #[command(flatten)]
    pub(super) convert: ConvertWords,
    /// Only say what would be done, and whether there is room for all of it
    #[arg(long, help_heading = "Writing")]
    pub(super) dry_run: bool,
    /// Print the report as JSON, too
    #[arg(long)]
    pub(super) json: bool,
    /// Say nothing but errors
    #[arg(short, long)]
    pub(super) quiet: bool,
    /// When to show progress
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(super) progress: When,
}

impl BatchArgs {
    /// What messages are about.
    pub(crate) fn first(&self) -> &std::path::Path {
        let first = self.containers.first();
        first.map_or("".as_ref(), PathBuf::as_path)
    }

    /// The threads that each conversion has by default.
    pub(super) fn threads_each(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        (cores / to_usize(self.jobs)).max(1)
    }

    /// Where the report for scripts is kept.
    pub(super) fn report_name(&self) -> PathBuf {
        self.output.join(Report::NAME)
    }
}
