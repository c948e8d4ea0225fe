//! The files of an archive, changed for another host.

use std::sync::Arc;

use super::options::GuestOptions;
use crate::error::Result;
use crate::guest::{
    Change, ChangedTree, Config, Kind, Receiver, System, changes, configuration, identify,
    metadata_yaml,
};
use crate::tree::{FileType, LastLink, Tree, resolve};
use crate::util::bytes::to_usize;

/// What is changed in the files of an archive for another host.
#[derive(Debug, Clone)]
pub struct PlannedGuest {
    /// The system that they are.
    pub system: System,
    /// The changes, with their reasons.
    pub changes: Vec<Change>,
    /// The host.
    pub receiver: Receiver,
    /// The size of the container's disk in bytes.
    pub disk_size: u64,
    /// The files before.
    files: Arc<dyn Tree>,
}

impl PlannedGuest {
    pub(super) fn of(files: &Arc<dyn Tree>, wanted: &GuestOptions, disk_size: u64) -> Result<Self> {
        let system = identify(&**files)?;
        let receiver = wanted.receiver.clone();
        let mut found = changes(&**files, &wanted.config, receiver.clone())?;
        if receiver.kind == Kind::Lxc {
            found.extend(configuration(&**files, &wanted.config, disk_size)?);
        }
        found.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(Self {
            system,
            changes: found,
            receiver,
            disk_size,
            files: files.clone(),
        })
    }

    /// The files as the archive has them.
    pub(super) fn tree(&self, config: &Config) -> Result<Arc<dyn Tree>> {
        let tree = ChangedTree::new(self.files.clone(), &self.changes)?;
        if self.receiver.kind != Kind::Incus {
            return Ok(Arc::new(tree));
        }
        // The same image has the same time in every run.
        let root = self.files.node(self.files.root())?;
        let created = root.metadata().modified.seconds.max(0).unsigned_abs();
        let metadata = metadata_yaml(config, &self.system, created);
        let files = [("metadata.yaml", metadata.into_bytes())];
        Ok(Arc::new(tree.below("rootfs", &files)?))
    }

    /// The bytes of the regular file that a change is of, before it; `None` where there is none.
    ///
    /// # Errors
    ///
    /// What the disk says.
    pub fn before(&self, change: &Change) -> Result<Option<Vec<u8>>> {
        let Ok(found) = resolve(&*self.files, &change.path, LastLink::Keep) else {
            return Ok(None);
        };
        let node = self.files.node(found.inode)?;
        if node.metadata().file_type != FileType::File {
            return Ok(None);
        }
        // What is changed is text of at most a mebibyte.
        let mut bytes = vec![0; to_usize(node.metadata().size.min(1 << 20))];
        node.read_at(&mut bytes, 0)?;
        Ok(Some(bytes))
    }
}
