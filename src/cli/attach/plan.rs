//! What a disk needs to be attached and mounted, decided before anything is done.

use std::path::PathBuf;

use anyhow::{Context, bail};
use ploopconv::attach::{Device, can_mount};
use ploopconv::disk::VirtualDisk;
use ploopconv::partition::{self, Content, FileSystem, PartitionLayout};
use ploopconv::util::bytes::saturating_u32;

use super::super::mount_point::directory;
use super::super::output::{story, write_message};
use super::args::AttachArgs;
use crate::cli::outcome::Usage;

/// What is known of a disk that is to be attached.
#[derive(Debug)]
pub(super) struct Plan {
    /// How the disk is divided; `None` where its table cannot be believed, or does not count in
    /// the device's sectors.
    pub(super) layout: Option<PartitionLayout>,
    /// The size of the device's sectors, in bytes.
    pub(super) block_size: u32,
    /// What is to be mounted, and where.
    pub(super) mount: Option<MountPlan>,
}

/// What is to be mounted.
#[derive(Debug)]
pub(super) struct MountPlan {
    /// The partition; `None` for the whole device.
    partition: Option<u32>,
    kind: FileSystem,
    journal_dirty: bool,
    /// Where: an existing directory, without symbolic links.
    pub(super) dir: PathBuf,
}

impl Plan {
    /// Looks at the disk, and at what was asked for.
    pub(super) fn of(args: &AttachArgs, disk: &dyn VirtualDisk) -> anyhow::Result<Self> {
        let dir = args.mount.as_deref().map(directory).transpose()?;
        let layout = match partition::read(disk) {
            Ok(layout) => Some(layout),
            Err(error) if dir.is_some() => return Err(error.into()),
            Err(error) => {
                write_message(&format!("warning: {}", story(&error.into())));
                None
            }
        };
        let table = layout.as_ref().and_then(|layout| layout.table);
        let needed = table.map_or(512, |table| table.sector_size);
        let given = args.block_size.as_deref().map(str::parse).transpose()?;
        let block_size = given.unwrap_or(saturating_u32(needed));
        let fits = table.is_none() || needed == u64::from(block_size);
        if !fits {
            write_message(&format!(
                "warning: the partition table counts in sectors of {needed} bytes, so the kernel \
                 does not find the partitions in sectors of {block_size}"
            ));
        }
        let tail = disk.size() % u64::from(block_size);
        if tail != 0 {
            write_message(&format!(
                "warning: the disk of {} bytes is no multiple of {block_size}: its last {tail} \
                 bytes may not be readable",
                disk.size()
            ));
        }
        let mount = match (dir, &layout) {
            (Some(dir), Some(layout)) => Some(MountPlan::of(layout, dir)?),
            _ => None,
        };
        Ok(Self {
            // Partitions may lie where such sectors do not begin.
            layout: layout.filter(|_| fits),
            block_size,
            mount,
        })
    }
}

impl MountPlan {
    fn of(layout: &PartitionLayout, dir: PathBuf) -> anyhow::Result<Self> {
        let plan = |partition, content: &Content| Self {
            partition,
            kind: content.kind,
            journal_dirty: content.journal_dirty == Some(true),
            dir: dir.clone(),
        };
        if let Some(whole) = &layout.whole {
            if !can_mount(whole.kind) {
                bail!(
                    "the disk is {}, which cannot be mounted",
                    whole.kind.title()
                );
            }
            return Ok(plan(None, whole));
        }
        let mountable: Vec<_> = layout
            .partitions
            .iter()
            .filter_map(|part| Some((part.number, part.content.as_ref()?)))
            .filter(|(_, content)| can_mount(content.kind))
            .collect();
        match mountable[..] {
            [(number, content)] => Ok(plan(Some(number), content)),
            [] => bail!("the disk has no file system that could be mounted (see ploopconv info)"),
            _ => {
                let list: Vec<_> = mountable
                    .iter()
                    .map(|(number, content)| format!("{number} ({})", content.kind.name()))
                    .collect();
                let text = format!(
                    "several partitions could be mounted: {}; choose one with --partition N",
                    list.join(", ")
                );
                Err(Usage(text).into())
            }
        }
    }

    /// The node of what is mounted.
    pub(super) fn node(&self, device: Device) -> anyhow::Result<PathBuf> {
        let Some(number) = self.partition else {
            return Ok(device.path());
        };
        let nodes = device.partitions();
        let node = nodes.into_iter().find(|node| node.number == number);
        node.map(|node| node.path)
            .with_context(|| format!("the kernel does not show partition {number}"))
    }

    /// What a user should know of a mount that replays nothing.
    pub(super) fn warning(&self) -> Option<String> {
        let dir = self.dir.display();
        self.journal_dirty.then(|| match self.kind {
            FileSystem::Ext2 => format!(
                "warning: the file system on {dir} was not unmounted cleanly: its newest files \
                 may be missing or broken; with --overlay, e2fsck can repair a private copy"
            ),
            _ => format!(
                "warning: the journal of the file system on {dir} was not replayed: its newest \
                 files are missing or old; --overlay replays it in a private layer"
            ),
        })
    }

    pub(super) fn kind(&self) -> FileSystem {
        self.kind
    }
}
