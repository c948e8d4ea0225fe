//! A disk that boots as a machine: which of its file systems is the root, and what is added.

use std::path::PathBuf;
use std::sync::Arc;

use super::around::Around;
use super::guest::PlannedGuest;
use super::input::Input;
use super::options::GuestOptions;
use crate::boot::{BootDisk, BootGuest, Grub, Wanted, compose, has_added, own_loader, prepare};
use crate::error::{Detail, ErrorKind, Result};
use crate::guest::{RootFileSystem, own_boot};
use crate::partition::{self, Content, FileSystem, PartitionLayout};
use crate::salvage::View;
use crate::tree::{LastLink, PathError, Tree, resolve};
use crate::workers::Workers;

/// How a disk is made to boot.
#[derive(Debug, Clone)]
pub struct MachineOptions {
    /// What is known of the container, and how it reaches the network.
    pub guest: GuestOptions,
    /// The kernel and what goes with it.
    pub boot: Wanted,
    /// Where GRUB is.
    pub grub: Grub,
}

/// A disk that boots, as it is planned.
#[derive(Debug, Clone)]
pub struct PlannedMachine {
    /// What the guest changes in its files at its first boot; `None` where they cannot be read, as
    /// those of XFS.
    pub guest: Option<PlannedGuest>,
    /// The partition of the root file system on the new disk.
    pub root: u32,
    /// The kernel's release, as in `6.1.0-48-amd64`.
    pub kernel_version: String,
    /// Where the kernel is.
    pub kernel: PathBuf,
    /// Where its initramfs is.
    pub initrd: PathBuf,
    /// The memory in bytes that the first boot takes.
    pub least_memory: u64,
    /// What is added: the number of the boot partition, and its place in bytes.
    pub boot: (u32, std::ops::Range<u64>),
    /// How many bytes all partitions were moved by: what had no partition table, or none that a new
    /// one fits in front of.
    pub moved: u64,
    /// What a person should know: each a sentence without its stop.
    pub notes: Vec<String>,
}

/// Why a disk is not made to boot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MachineError {
    /// None of the file systems has a system in it.
    #[error("no partition holds a Linux system that could be started")]
    NoSystem,
    /// Several file systems have one.
    #[error("several partitions hold a Linux system: {}", numbers(partitions))]
    SeveralSystems {
        /// Their partitions.
        partitions: Vec<u32>,
    },
    /// None has one that can be read, and several may.
    #[error(
        "several partitions may hold a Linux system, and the files of none are read: {}",
        numbers(partitions)
    )]
    SeveralUnread {
        /// Their partitions.
        partitions: Vec<u32>,
    },
    /// A file system does not fit into its partition, so no kernel mounts it.
    #[error(
        "the {} in partition {partition} takes {stated} bytes, and the partition has {size}",
        title(*kind)
    )]
    CutFileSystem {
        /// The partition.
        partition: u32,
        /// The file system.
        kind: FileSystem,
        /// The size that the file system states, in bytes.
        stated: u64,
        /// The size of the partition, in bytes.
        size: u64,
    },
    /// Another partition has the UUID of the root file system, so a kernel may take either.
    #[error(
        "partitions {} have file systems with the same UUID ({uuid}), and a kernel may take any of \
         them for the root",
        numbers(partitions)
    )]
    SharedUuid {
        /// The partitions.
        partitions: Vec<u32>,
        /// The UUID.
        uuid: String,
    },
    /// The system has a kernel and a boot loader of its own.
    #[error("this system boots by itself: it has {found}")]
    BootsItself {
        /// What shows that.
        found: String,
    },
    /// The disk of a machine that was made before is in use.
    #[error("{} is in use: {user}", path.display())]
    Runs {
        /// The file, or the device.
        path: PathBuf,
        /// Who uses it.
        user: String,
    },
    /// It is not known how a kernel would name the root file system.
    #[error("the root file system on {} has no UUID that is known", title(*kind))]
    UnnamedRoot {
        /// What holds it.
        kind: FileSystem,
    },
}

fn numbers(partitions: &[u32]) -> String {
    let words: Vec<String> = partitions.iter().map(ToString::to_string).collect();
    words.join(", ")
}

fn title(kind: FileSystem) -> &'static str {
    kind.title()
}

impl Detail for MachineError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::UnnamedRoot { .. } => ErrorKind::Unsupported,
            Self::CutFileSystem { .. } => ErrorKind::Corrupt,
            Self::Runs { .. } => ErrorKind::InUse,
            Self::NoSystem
            | Self::SeveralSystems { .. }
            | Self::SeveralUnread { .. }
            | Self::SharedUuid { .. }
            | Self::BootsItself { .. } => ErrorKind::Input,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NoSystem => "no-system",
            Self::SeveralSystems { .. } | Self::SeveralUnread { .. } => "several-systems",
            Self::CutFileSystem { .. } => "cut-file-system",
            Self::SharedUuid { .. } => "shared-uuid",
            Self::BootsItself { .. } => "boots-itself",
            Self::Runs { .. } => "in-use",
            Self::UnnamedRoot { .. } => "unnamed-root",
        }
    }
}

/// The file system that a machine starts from.
struct Root {
    partition: u32,
    kind: FileSystem,
    uuid: Option<String>,
    files: Option<Arc<dyn Tree>>,
}

impl Input {
    /// The same disk with what starts it as a machine: see [`compose`]. It is read as before:
    /// strictly, over its damage, without its free blocks.
    ///
    /// # Errors
    ///
    /// [`MachineError`], [`BootError`](crate::boot::BootError) and
    /// [`PayloadError`](crate::boot::PayloadError), and what the disk says.
    pub fn booting(
        self,
        wanted: &MachineOptions,
        workers: &Workers,
    ) -> Result<(Self, PlannedMachine)> {
        let layout = partition::read(self.disk())?;
        let is_forced = wanted.boot.kernel.is_some();
        let boots_itself = |found| Err(MachineError::BootsItself { found }.into());
        if !is_forced && let Some(found) = own_loader(self.disk(), &layout)? {
            return boots_itself(found);
        }
        let root = self.root(&layout)?;
        if let Some(files) = root.files.as_ref().filter(|_| !is_forced)
            && let Some(found) = own_boot(&**files)?
        {
            return boots_itself(found);
        }
        let of_root = RootFileSystem {
            uuid: root.uuid.clone().unwrap_or_default(),
            kind: root.kind.name().to_owned(),
        };
        let names_root = |append: &String| {
            append
                .split_whitespace()
                .any(|word| word.starts_with("root="))
        };
        let is_named = root.uuid.is_some() || wanted.boot.append.as_ref().is_some_and(names_root);
        if !is_named {
            return Err(MachineError::UnnamedRoot { kind: root.kind }.into());
        }
        let mut options = wanted.guest.clone();
        options.receiver.root = Some(of_root.clone());
        let guest = match &root.files {
            Some(files) => Some(PlannedGuest::of(files, &options, self.disk().size())?),
            None => None,
        };
        let architecture = guest.as_ref().and_then(|guest| guest.system.architecture);
        let prepared = prepare(
            &wanted.boot,
            &BootGuest {
                tree: root.files.as_deref(),
                root: root.uuid.as_ref().map(|_| &of_root),
                architecture,
                changes: guest.as_ref().map_or(&[], |guest| &guest.changes),
            },
            workers,
        )?;
        let made = compose(&self.view().stored(), &prepared.payload, &wanted.grub)?;
        let mut notes = prepared.notes;
        if has_added(&layout) {
            notes.push("a new boot partition takes the place of the one that was there".to_owned());
        }
        notes.extend(notes_on(&root, &made));
        let planned = PlannedMachine {
            guest,
            root: root.partition,
            kernel_version: prepared.kernel_version,
            kernel: prepared.kernel,
            initrd: prepared.initrd,
            least_memory: prepared.least_memory,
            boot: (made.boot_number, made.boot.clone()),
            moved: made.moved,
            notes,
        };
        Ok((self.with_boot(made), planned))
    }

    /// The only file system that has a system in it; where the files of none can be read, the only
    /// one that may.
    fn root(&self, layout: &PartitionLayout) -> Result<Root> {
        let whole = layout.whole.iter().map(|content| (None, content));
        let parts = layout.partitions.iter();
        let parts = parts.filter_map(|part| Some((Some(part.number), part.content.as_ref()?)));
        let (mut with_system, mut unread) = (Vec::new(), Vec::new());
        for (number, content) in whole.chain(parts) {
            match self.system_in(number, content)? {
                Found::System(root) => with_system.push(root),
                Found::Unread(root) => unread.push(root),
                Found::Nothing => {}
            }
        }
        let are_read = !with_system.is_empty();
        let mut found = if are_read { with_system } else { unread };
        let partitions = found.iter().map(|root| root.partition).collect();
        let root = match (found.pop(), found.is_empty()) {
            (Some(root), true) => root,
            (Some(_), false) if are_read => {
                return Err(MachineError::SeveralSystems { partitions }.into());
            }
            (Some(_), false) => return Err(MachineError::SeveralUnread { partitions }.into()),
            (None, _) => return Err(MachineError::NoSystem.into()),
        };
        self.check_whole(layout, &root)?;
        check_uuid(layout, &root)?;
        Ok(root)
    }

    /// Makes sure that a file system fits into its partition.
    fn check_whole(&self, layout: &PartitionLayout, root: &Root) -> Result<()> {
        let mut parts = layout.partitions.iter();
        let Some(part) = parts.find(|part| part.number == root.partition) else {
            return Ok(());
        };
        let stated = partition::stated_end(&part.of(self.disk())?)?;
        match stated.filter(|stated| stated.end > part.len) {
            Some(stated) => Err(MachineError::CutFileSystem {
                partition: part.number,
                kind: root.kind,
                stated: stated.end,
                size: part.len,
            }
            .into()),
            None => Ok(()),
        }
    }

    fn system_in(&self, number: Option<u32>, content: &Content) -> Result<Found> {
        let root = |files| Root {
            // What fills the disk becomes its first partition.
            partition: number.unwrap_or(1),
            kind: content.kind,
            uuid: content.uuid.clone(),
            files,
        };
        match content.kind {
            FileSystem::Ext2 | FileSystem::Ext3 | FileSystem::Ext4 => {
                let part = match number {
                    Some(number) => self.clone().only_partition(number)?,
                    None => self.clone(),
                };
                let (files, _) = part.files()?;
                let files: Arc<dyn Tree> = Arc::new(files);
                let has_system = has_system(&*files)?;
                Ok(match has_system {
                    true => Found::System(root(Some(files))),
                    false => Found::Nothing,
                })
            }
            FileSystem::Xfs | FileSystem::Btrfs => Ok(Found::Unread(root(None))),
            // What is inside has other names.
            FileSystem::Lvm2 => Ok(Found::Unread(Root {
                uuid: None,
                ..root(None)
            })),
            _ => Ok(Found::Nothing),
        }
    }

    /// The same input as a disk with other bytes around its partitions.
    fn with_boot(self, made: BootDisk) -> Self {
        let view = match self.view().is_over_damage() {
            true => View::over_damage(made.disk),
            false => View::strict(made.disk),
        };
        let kept = made.kept.into_iter().map(|(_, range)| range).collect();
        let moved = made.moved;
        self.inside(view, Around { moved, kept })
    }
}

enum Found {
    System(Root),
    /// One that may have a system.
    Unread(Root),
    Nothing,
}

/// Makes sure that the UUID of the root file system means it alone.
fn check_uuid(layout: &PartitionLayout, root: &Root) -> Result<()> {
    let Some(uuid) = &root.uuid else {
        return Ok(());
    };
    let parts = layout.partitions.iter().filter(|part| {
        let content = part.content.as_ref();
        content.is_some_and(|content| content.uuid.as_ref() == Some(uuid))
    });
    let partitions: Vec<u32> = parts.map(|part| part.number).collect();
    match partitions.len() > 1 {
        true => Err(MachineError::SharedUuid {
            partitions,
            uuid: uuid.clone(),
        }
        .into()),
        false => Ok(()),
    }
}

/// Whether a tree has the folders that every system has.
fn has_system(files: &dyn Tree) -> Result<bool> {
    let has = |path: &str| match resolve(files, path.as_bytes(), LastLink::Follow) {
        Ok(_) => Ok(true),
        Err(error) if error.detail::<PathError>().is_some() => Ok(false),
        Err(error) => Err(error),
    };
    Ok(has("etc")? && (has("sbin")? || has("usr/sbin")? || has("bin")?))
}

/// What a person should know of the disk.
fn notes_on(root: &Root, made: &BootDisk) -> Vec<String> {
    let mut notes = Vec::new();
    if root.files.is_none() {
        notes.push(format!(
            "the files of {} are not read, so nothing is changed in them: a login on the console, \
             udev and the network may be missing",
            root.kind.title()
        ));
    }
    if !made.for_uefi {
        notes.push("a kernel of 32 bits is started by BIOS only".to_owned());
    }
    notes
}
