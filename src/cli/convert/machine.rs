//! A disk that boots: what was added to it, what to type next.

use std::path::Path;

use ploopconv::convert::{PlannedMachine, Target};
use ploopconv::disk::{RawDisk, VirtualDisk};
use ploopconv::guest::{Hint, MachineDisk, Network, next_of_machine};
use ploopconv::util::size::human;
use serde::Serialize;

use crate::advice::shell::shell_word;
use crate::cli::guest::Container;
use crate::cli::report::path;

impl Container {
    /// What to type for a disk at `target`, in the format of that name.
    pub(super) fn next_of_machine(
        &self,
        machine: &PlannedMachine,
        target: &Path,
        format: &str,
        network: &Network,
    ) -> Vec<Hint> {
        let disk = MachineDisk {
            path: &target.to_string_lossy(),
            format,
            id: &self.id,
            least_memory: machine.least_memory,
        };
        next_of_machine(&disk, &self.config, network)
    }
}

/// What a person should know of a device that such a disk is written to: nothing of its end is
/// touched, and a partition table has its copy there.
pub(super) fn note_on_device(target: &Target, disk: &dyn VirtualDisk) -> Option<String> {
    let Target::Device(device) = target else {
        return None;
    };
    let size = RawDisk::open(device).ok()?.size();
    (size > disk.size()).then(|| {
        let device = shell_word(device.as_os_str());
        format!(
            "{device} is larger than the disk, at whose end the second partition table lies; after \
             the copy `sgdisk -e {device}` moves it"
        )
    })
}

/// What starts a machine, for a report.
#[derive(Serialize)]
pub(super) struct MachineReport {
    kernel: String,
    kernel_version: String,
    initrd: String,
    /// The partition of the root file system.
    root_partition: u32,
    /// The partition with the kernel, and where it is in bytes.
    boot_partition: u32,
    boot_offset: u64,
    boot_bytes: u64,
    /// How many bytes the partitions were moved by.
    moved_bytes: u64,
    /// The memory that the first boot takes.
    least_memory_bytes: u64,
    notes: Vec<String>,
}

impl MachineReport {
    pub(super) fn of(machine: &PlannedMachine) -> Self {
        let (boot_partition, range) = &machine.boot;
        Self {
            kernel: path(&machine.kernel),
            kernel_version: machine.kernel_version.clone(),
            initrd: path(&machine.initrd),
            root_partition: machine.root,
            boot_partition: *boot_partition,
            boot_offset: range.start,
            boot_bytes: range.end.saturating_sub(range.start),
            moved_bytes: machine.moved,
            least_memory_bytes: machine.least_memory,
            notes: machine.notes.clone(),
        }
    }
}

/// What starts a machine, in words.
pub(super) fn lines(machine: &PlannedMachine) -> Vec<String> {
    let (boot, range) = &machine.boot;
    let size = human(range.end.saturating_sub(range.start));
    let mut lines = vec![
        format!(
            "kernel {} ({})",
            machine.kernel_version,
            path(&machine.kernel)
        ),
        format!("initramfs {}", path(&machine.initrd)),
        format!(
            "root partition {}, boot partition {boot} of {size}",
            machine.root
        ),
    ];
    if machine.moved > 0 {
        lines.push(format!("partitions begin {} later", human(machine.moved)));
    }
    lines.extend(machine.notes.iter().map(|note| format!("note: {note}")));
    lines
}
