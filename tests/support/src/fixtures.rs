//! The images of `fixtures/`, as `fixtures/README.md` lists them.

use super::guide::listed;
use super::{Outcome, Program, repository};
use std::path::{Path, PathBuf};

pub fn folder() -> PathBuf {
    repository("fixtures")
}

/// A disk that README.md lists.
#[derive(Debug)]
pub struct Disk {
    pub image: String,
    /// `None` is the top.
    pub snapshot: Option<String>,
    pub size: u64,
    pub digest: String,
}

impl Disk {
    pub fn path(&self) -> PathBuf {
        folder().join(&self.image)
    }

    /// Adds `--snapshot` where this is not the top.
    pub fn choose(&self, program: Program) -> Program {
        match &self.snapshot {
            Some(guid) => program.args(["--snapshot", guid]),
            None => program,
        }
    }

    /// Asserts success, and that only the disk with odd clusters is worth a warning.
    #[track_caller]
    pub fn done(&self, program: &Program) -> Outcome {
        let outcome = program.run();
        if self.is_unusual() {
            outcome.status(0)
        } else {
            outcome.done()
        }
    }

    /// Clusters that libploop would not accept.
    pub fn is_unusual(&self) -> bool {
        self.image.contains("63-sectors")
    }

    pub fn convert(&self, target: &Path) -> Program {
        self.choose(Program::new([
            "convert".as_ref(),
            self.path().as_os_str(),
            "-o".as_ref(),
            target.as_os_str(),
        ]))
    }
}

/// The rows of a list of README.md, each with the digest in front.
pub fn rows(list: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect();
    let rows: Vec<Vec<String>> = listed("fixtures/README.md", list)
        .lines()
        .map(cells)
        .collect();
    rows.into_iter()
        .filter(|cells| cells.first().is_some_and(|digest| digest.len() == 64))
        .collect()
}

pub fn disks() -> Vec<Disk> {
    let disks: Vec<Disk> = rows("fixtures-disks")
        .into_iter()
        .map(|cells| Disk {
            digest: cells[0].clone(),
            size: cells[1].parse().unwrap(),
            image: cells[2].clone(),
            snapshot: (cells[3] != "top").then(|| cells[3].clone()),
        })
        .collect();
    assert!(disks.len() >= 18, "README.md lists {} disks", disks.len());
    disks
}
