//! What was found, as scripts read it.

use ploopconv::host::{Container, FoundDisk, Inventory, VeLayout};
use serde::Serialize;

use crate::cli::output::story_of;
use crate::cli::report::path;

#[derive(Serialize)]
pub(super) struct Report {
    containers: Vec<JsonContainer>,
    totals: Totals,
}

#[derive(Serialize)]
struct JsonContainer {
    id: String,
    name: Option<String>,
    area: String,
    configuration: Option<String>,
    system: Option<String>,
    addresses: Vec<String>,
    /// `ploop`, or `simfs`.
    storage: &'static str,
    disks: Vec<JsonDisk>,
    /// Why its configuration cannot be read.
    problem: Option<String>,
}

#[derive(Serialize)]
struct JsonDisk {
    image: String,
    virtual_size: Option<u64>,
    stored_bytes: Option<u64>,
    used_bytes: Option<u64>,
    layers: Option<usize>,
    snapshots: Option<usize>,
    filesystems: Vec<&'static str>,
    in_use: bool,
    /// Why a conversion would refuse it.
    obstacle: Option<Obstacle>,
}

#[derive(Serialize)]
struct Obstacle {
    code: &'static str,
    message: String,
}

/// Sums over everything that was found.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Totals {
    pub(super) containers: usize,
    pub(super) disks: usize,
    pub(super) virtual_size: u64,
    pub(super) stored_bytes: u64,
    /// Of those disks that say it.
    pub(super) used_bytes: u64,
    pub(super) in_use: usize,
    pub(super) simfs: usize,
    /// Disks that a conversion would refuse as they are, those in use among them.
    pub(super) refused: usize,
}

impl Report {
    pub(super) fn of(found: &Inventory) -> Self {
        Self {
            containers: found.containers.iter().map(JsonContainer::of).collect(),
            totals: Totals::of(found),
        }
    }
}

impl JsonContainer {
    fn of(container: &Container) -> Self {
        let (storage, disks) = match &container.layout {
            VeLayout::Ploop(disks) => ("ploop", disks.iter().map(JsonDisk::of).collect()),
            VeLayout::Simfs(_) => ("simfs", Vec::new()),
        };
        Self {
            id: container.id.clone(),
            name: container.name(),
            area: path(&container.area),
            configuration: container.configuration.as_deref().map(path),
            system: container.system_name().map(str::to_owned),
            addresses: addresses(container),
            storage,
            disks,
            problem: container.problem.as_ref().map(|error| story_of(error)),
        }
    }
}

impl JsonDisk {
    fn of(disk: &FoundDisk) -> Self {
        let shape = disk.shape.as_ref();
        let kinds = shape.iter().flat_map(|shape| &shape.file_systems);
        Self {
            image: path(&disk.image),
            virtual_size: shape.map(|shape| shape.virtual_size),
            stored_bytes: shape.map(|shape| shape.stored),
            used_bytes: shape.and_then(|shape| shape.used),
            layers: shape.map(|shape| shape.layers),
            snapshots: shape.map(|shape| shape.snapshots),
            filesystems: kinds.map(|kind| kind.name()).collect(),
            in_use: disk.is_in_use,
            obstacle: disk.obstacle.as_ref().map(|error| Obstacle {
                code: error.code(),
                message: story_of(error),
            }),
        }
    }
}

/// The addresses of a container, without their networks.
pub(super) fn addresses(container: &Container) -> Vec<String> {
    let found = container.config.addresses().into_iter();
    found.map(|found| found.address.to_string()).collect()
}

impl Totals {
    pub(super) fn of(found: &Inventory) -> Self {
        let mut totals = Self {
            containers: found.containers.len(),
            ..Self::default()
        };
        for container in &found.containers {
            match &container.layout {
                VeLayout::Simfs(_) => totals.simfs += 1,
                VeLayout::Ploop(disks) => disks.iter().for_each(|disk| totals.add(disk)),
            }
        }
        totals
    }

    fn add(&mut self, disk: &FoundDisk) {
        self.disks += 1;
        self.in_use += usize::from(disk.is_in_use);
        self.refused += usize::from(disk.obstacle.is_some());
        if let Some(shape) = &disk.shape {
            // Sizes that a header claims are summed without a limit.
            self.virtual_size = self.virtual_size.saturating_add(shape.virtual_size);
            self.stored_bytes = self.stored_bytes.saturating_add(shape.stored);
            let used = shape.used.unwrap_or(0);
            self.used_bytes = self.used_bytes.saturating_add(used);
        }
    }
}
