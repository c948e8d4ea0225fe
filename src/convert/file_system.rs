//! The file system of a disk whose files can be read.

use super::error::ConvertError;
use super::input::Input;
use crate::error::{Error, Result};
use crate::ext4::Files;
use crate::partition::{self, FileSystem};

fn is_readable(kind: FileSystem) -> bool {
    matches!(kind, FileSystem::Ext2 | FileSystem::Ext3 | FileSystem::Ext4)
}

impl Input {
    /// Only the file system whose files can be read: what fills the disk, or the partition that was
    /// chosen, or the only partition that has one.
    ///
    /// # Errors
    ///
    /// [`ConvertError::NoFileSystem`], [`ConvertError::OtherFileSystem`],
    /// [`ConvertError::SeveralFileSystems`], and what the partition table says.
    pub fn only_file_system(self) -> Result<Self> {
        let layout = partition::read(self.disk())?;
        if layout.table.is_none() {
            let Some(whole) = layout.whole else {
                // What would tell may be lost, and a copy of it may be left.
                return match self.view().is_over_damage() {
                    true => Ok(self),
                    false => Err(ConvertError::NoFileSystem.into()),
                };
            };
            if !is_readable(whole.kind) {
                return Err(ConvertError::OtherFileSystem {
                    kind: whole.kind,
                    partition: self.partition(),
                }
                .into());
            }
            return Ok(self);
        }
        let parts = layout.partitions.iter();
        let known = parts.filter_map(|part| Some((part.number, part.content.as_ref()?.kind)));
        let known: Vec<_> = known.collect();
        let readable = known.iter().filter(|(_, kind)| is_readable(*kind));
        match (readable.copied().collect::<Vec<_>>().as_slice(), &known[..]) {
            (&[(number, _)], _) => self.only_partition(number),
            (&[], &[]) if self.view().is_over_damage() => {
                let real = layout.partitions.iter().filter(|part| !part.is_extended);
                match real.map(|part| part.number).collect::<Vec<_>>()[..] {
                    [number] => self.only_partition(number),
                    _ => Err(ConvertError::NoFileSystem.into()),
                }
            }
            (&[], &[]) => Err(ConvertError::NoFileSystem.into()),
            (&[], [.., other]) => {
                // The one that would have them, where there are others for booting and swapping.
                let is_xfs = |(_, kind): &&(u32, FileSystem)| *kind == FileSystem::Xfs;
                let &(number, kind) = known.iter().find(is_xfs).unwrap_or(other);
                Err(ConvertError::OtherFileSystem {
                    kind,
                    partition: Some(number),
                }
                .into())
            }
            (several, _) => Err(ConvertError::SeveralFileSystems {
                available: several.to_vec(),
            }
            .into()),
        }
    }

    /// The files of an input that is one file system. Where it is read over damage, what is lost is
    /// an error for the file that had it, and what holds for all files is given besides.
    ///
    /// # Errors
    ///
    /// As [`Files::open`] and [`Files::open_over_damage`].
    pub fn files(&self) -> Result<(Files, Vec<Error>)> {
        if self.view().is_over_damage() {
            // Zeros for what is lost would be taken for an empty directory.
            return Files::open_over_damage(self.view().trusted());
        }
        Ok((Files::open(self.view().stored())?, Vec::new()))
    }
}
