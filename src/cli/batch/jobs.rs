//! From containers to disks and the names of their targets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ploopconv::Workers;
use ploopconv::host::{self, Container, FoundDisk, Scope, VeLayout, area_of};

use super::args::BatchArgs;
use crate::cli::output::story_of;

/// A disk that is converted.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// The container's number, or what stands for it.
    pub(super) id: String,
    pub(super) name: Option<String>,
    /// What the conversion is given.
    pub(super) image: PathBuf,
    /// The files of the disk, which tell whether it changed since.
    pub(super) files: Vec<PathBuf>,
    pub(super) target: PathBuf,
    /// Whether it is the disk that the container starts from.
    pub(super) is_first: bool,
}

/// The disks of all containers that were asked for, and what could not be looked through among
/// them: that stops the others only where it was named.
pub(super) fn jobs(args: &BatchArgs) -> anyhow::Result<(Vec<Job>, Vec<String>)> {
    let workers = Workers::new(16)?;
    let dirs: Vec<_> = args
        .convert
        .values("private_dir")
        .map(PathBuf::from)
        .collect();
    let search = match (&args.containers[..], args.all) {
        ([], _) => Scope::host(),
        (folders, true) => Scope::below(folders),
        (named, false) => Scope::below(
            &named
                .iter()
                .map(|one| area_of(one, &dirs))
                .collect::<Vec<_>>(),
        ),
    };
    let found = host::list(&search, &workers);
    let problems: Vec<_> = found.problems.iter().map(|one| story_of(one)).collect();
    let are_there = args.containers.iter().all(|folder| folder.is_dir());
    if let Some(problem) = problems.first().filter(|_| !args.all || !are_there) {
        anyhow::bail!("{problem}");
    }
    let extension = args.convert.extension();
    let containers = found.containers.iter();
    let all: Vec<Job> = containers
        .flat_map(|one| of_container(one, args, extension))
        .collect();
    refuse_one_name_for_two(&all)?;
    Ok((all, problems))
}

fn of_container(container: &Container, args: &BatchArgs, extension: &str) -> Vec<Job> {
    let job = |image: &Path, files: &[PathBuf], suffix: &str, is_first| Job {
        id: container.id.clone(),
        name: container.name(),
        image: image.to_owned(),
        files: files.to_vec(),
        target: args
            .output
            .join(format!("{}{suffix}.{extension}", container.id)),
        is_first,
    };
    match &container.layout {
        // The conversion says why it cannot be.
        VeLayout::Simfs(_) => vec![job(&container.area, &[], "", true)],
        VeLayout::Ploop(disks) => {
            let numbered = disks.iter().enumerate();
            let of_disk = |(at, disk): (usize, &FoundDisk)| {
                let suffix = match at {
                    0 => String::new(),
                    _ => format!("-{}", stem(&disk.disk)),
                };
                job(&disk.image, &disk.files, &suffix, at == 0)
            };
            numbered.map(of_disk).collect()
        }
    }
}

fn stem(disk: &Path) -> String {
    let stem = disk.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

fn refuse_one_name_for_two(jobs: &[Job]) -> anyhow::Result<()> {
    let mut seen: BTreeMap<&Path, &Job> = BTreeMap::new();
    for job in jobs {
        if let Some(other) = seen.insert(&job.target, job) {
            anyhow::bail!(
                "{} and {} would both be {}: convert them into different folders",
                other.image.display(),
                job.image.display(),
                job.target.display()
            );
        }
    }
    Ok(())
}
