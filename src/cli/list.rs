//! `ploopconv list`: the containers of this host, or below folders, a disk a line.

mod report;
mod rows;

use std::path::PathBuf;

use ploopconv::Workers;
use ploopconv::host::{self, Inventory, Scope};
use ploopconv::ploop::DEFAULT_PRIVATE_DIRS;

use self::report::Report;
use super::ending::Ending;
use super::outcome::Verdict;
use super::output::{finish, line, results, story_of, write_message};

/// List the containers of this host or below folders
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Folders that hold containers or disks
    /// [default: /vz/private, /var/lib/vz/private, and where /etc/vz/conf says]
    #[arg(value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

impl ListArgs {
    /// What messages are about.
    pub(super) fn folder(&self) -> &std::path::Path {
        self.folders.first().map_or("".as_ref(), PathBuf::as_path)
    }
}

/// Lists what a folder holds, for those who asked `info` about it.
pub(super) fn of_folder(folder: &std::path::Path, json: bool) -> anyhow::Result<Verdict> {
    let folders = vec![folder.to_owned()];
    run(&ListArgs { folders, json })
}

pub(crate) fn run(args: &ListArgs) -> anyhow::Result<Verdict> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // Most of the time goes into waiting for disks.
    let workers = Workers::new((cores * 4).min(64))?;
    let search = match &args.folders[..] {
        [] => Scope::host(),
        folders => Scope::below(folders),
    };
    let found = host::list(&search, &workers);
    let verdict = verdict(&found);
    let message = || problems(&found, args);
    if args.json {
        Ending::of(verdict, message).print(&Report::of(&found))?;
        return Ok(verdict);
    }
    let mut out = results();
    for row in rows::lines(&found) {
        line(&mut out, &row)?;
    }
    finish(out)?;
    if verdict != Verdict::Done {
        write_message(&message());
    }
    Ok(verdict)
}

/// A disk that is broken is a line of the list; a folder that cannot be listed hides some.
fn verdict(found: &Inventory) -> Verdict {
    let is_empty = found.containers.is_empty();
    if found.problems.is_empty() && !is_empty {
        Verdict::Done
    } else {
        Verdict::Incomplete
    }
}

fn problems(found: &Inventory, args: &ListArgs) -> String {
    let problems: Vec<String> = found.problems.iter().map(|one| story_of(one)).collect();
    if !problems.is_empty() {
        return problems.join("; ");
    }
    let folders: Vec<String> = match &args.folders[..] {
        [] => DEFAULT_PRIVATE_DIRS.map(str::to_owned).to_vec(),
        folders => folders
            .iter()
            .map(|dir| dir.display().to_string())
            .collect(),
    };
    format!(
        "no container and no disk lies below {}",
        folders.join(" and ")
    )
}
