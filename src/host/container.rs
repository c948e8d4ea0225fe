//! A container: its number, what its configuration says, and its disks.

use std::path::{Path, PathBuf};

use super::disk::{FoundDisk, Looked, look};
use super::find::{Holds, Place};
use crate::error::Error;
use crate::guest::{Config, HOST_FOLDERS, System, find_config};

/// A container, or a disk that belongs to none.
#[derive(Debug)]
pub struct Container {
    /// Its number or UUID: the name of its folder.
    pub id: String,
    /// Its private area, or the folder of the disk.
    pub area: PathBuf,
    /// The file that its configuration was read from.
    pub configuration: Option<PathBuf>,
    /// What its configuration says; nothing where it has none.
    pub config: Config,
    /// The system that its files are, where they could be read.
    pub system: Option<System>,
    /// Where its files are.
    pub layout: VeLayout,
    /// What is wrong with its configuration.
    pub problem: Option<Error>,
}

/// Where a container keeps its files (`VE_LAYOUT` of its configuration).
#[derive(Debug)]
pub enum VeLayout {
    /// On disks, the one that it starts from first.
    Ploop(Vec<FoundDisk>),
    /// In a folder of the host, without a disk (`simfs`).
    Simfs(PathBuf),
}

impl Container {
    pub(super) fn examine(place: Place) -> Self {
        let Place { area, holds } = place;
        let id = id_of(&area);
        let folders: Vec<&Path> = HOST_FOLDERS.iter().map(Path::new).collect();
        let (found, problem) = match find_config(&area, None, &folders) {
            Ok(found) => (found, None),
            Err(error) => (None, Some(error)),
        };
        let (configuration, config) = found.unzip();
        let (layout, system) = match holds {
            Holds::Files(root) => (VeLayout::Simfs(root), None),
            Holds::Disk => on_disk(&area),
            Holds::Disks(disks) => several(&disks),
            Holds::Nothing(error) => (VeLayout::Ploop(vec![unread(&area, error)]), None),
        };
        Self {
            id,
            area,
            configuration,
            config: config.unwrap_or_default(),
            system,
            layout,
            problem,
        }
    }

    /// Numbers by their value, then names.
    pub(super) fn order(&self) -> (Option<u64>, &str, &Path) {
        let number = self.id.parse().unwrap_or(u64::MAX);
        (Some(number), &self.id, &self.area)
    }

    /// What people call the system: what the files say, else the template of the configuration.
    #[must_use]
    pub fn system_name(&self) -> Option<&str> {
        let read = self.system.as_ref().map(|system| system.name.as_str());
        let read = read.filter(|name| !name.is_empty());
        read.or_else(|| self.config.template())
    }

    /// What people call the container: its name on the old host, else its host name.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        let name = self.config.name().map(str::to_owned);
        name.or_else(|| self.config.host_name())
    }
}

/// The number of a container is the name of its folder, or of the folder that holds its disk.
fn id_of(area: &Path) -> String {
    let real = area.canonicalize().unwrap_or_else(|_| area.to_owned());
    let name = |path: &Path| {
        let name = path.file_name()?;
        Some(name.to_string_lossy().into_owned())
    };
    let is_root = real.file_name().is_some_and(|name| name == "root.hdd");
    let parent = real.parent().filter(|_| is_root).and_then(name);
    parent.or_else(|| name(&real)).unwrap_or_default()
}

fn on_disk(area: &Path) -> (VeLayout, Option<System>) {
    let Looked {
        disk,
        system,
        others,
    } = look(area);
    let others = others.iter().map(|other| look(other).disk);
    let disks = std::iter::once(disk).chain(others).collect();
    (VeLayout::Ploop(disks), system)
}

fn several(disks: &[PathBuf]) -> (VeLayout, Option<System>) {
    let looked: Vec<Looked> = disks.iter().map(|disk| look(disk)).collect();
    let mut system = None;
    let mut found = Vec::new();
    for one in looked {
        system = system.or(one.system);
        found.push(one.disk);
    }
    (VeLayout::Ploop(found), system)
}

fn unread(area: &Path, error: Error) -> FoundDisk {
    FoundDisk {
        image: area.to_owned(),
        disk: area.to_owned(),
        files: Vec::new(),
        shape: None,
        is_in_use: false,
        obstacle: Some(error),
    }
}
