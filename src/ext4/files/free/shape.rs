//! What the superblock says of the bitmaps. Offsets and bits are those of the kernel's
//! documentation of the ext4 layout.

use super::error::FreeError;
use crate::error::Result;
use crate::ext4::files::error::FilesError;
use crate::ext4::files::features;
use crate::ext4::files::reader::Reader;
use crate::util::bytes::{le_u16, le_u32, le_u64};

/// Bits of `s_feature_compat` that put nothing where it is not looked for.
const COMPAT_KNOWN: u32 = 0x1 // dir_prealloc
    | 0x4 // has_journal
    | 0x8 // ext_attr
    | COMPAT_RESIZE_INODE
    | 0x20 // dir_index
    | 0x200 // sparse_super2
    | 0x400 // fast_commit
    | 0x800 // stable_inodes
    | 0x1000; // orphan_file
const COMPAT_RESIZE_INODE: u32 = 0x10;

/// The same of `s_feature_ro_compat`.
const RO_COMPAT_KNOWN: u32 = 0x1 // sparse_super
    | 0x2 // large_file
    | 0x4 // btree_dir
    | 0x8 // huge_file
    | 0x10 // uninit_bg
    | 0x20 // dir_nlink
    | 0x40 // extra_isize
    | 0x100 // quota
    | RO_COMPAT_BIGALLOC
    | 0x400 // metadata_csum
    | 0x1000 // read-only
    | 0x2000 // project
    | 0x8000 // verity
    | 0x1_0000; // orphan_present
const RO_COMPAT_BIGALLOC: u32 = 0x200;

/// The most blocks of a cluster: what is kept in memory for a bit of a bitmap depends on it.
const LARGEST_CLUSTER: u64 = 256;

const INCOMPAT_64BIT: u32 = 0x80;
const INCOMPAT_MMP: u32 = 0x100;

/// The shape of the bitmaps, and what the superblock counts.
#[derive(Debug)]
pub(super) struct Shape {
    /// The size of a block in bytes.
    pub(super) block_size: u64,
    /// The number of blocks.
    pub(super) blocks: u64,
    /// How many blocks a bit of a bitmap stands for.
    pub(super) cluster: u64,
    /// The block that says who has the file system mounted, where there is one.
    pub(super) mount_protection: Option<u64>,
    /// Whether inode 7 lists the room that is kept for descriptors.
    pub(super) has_resize_inode: bool,
    /// The bits of `s_state`.
    pub(super) state: u16,
    free_blocks: u64,
    free_inodes: u64,
}

impl Shape {
    /// Reads it, as the journal left it.
    ///
    /// # Errors
    ///
    /// [`FilesError::Feature`] for features that may keep blocks where they are not looked for,
    /// [`FreeError::Superblock`] where it makes no sense, and what the disk says.
    pub(super) fn read(reader: &Reader) -> Result<Self> {
        let mut bytes = [0; features::SIZE];
        reader.volume.read_at(&mut bytes, reader.superblock.place)?;
        let word = |at| le_u32(&bytes, at);
        let (compat, incompat, ro_compat) = (word(92), word(96), word(100));
        refuse_unknown(compat & !COMPAT_KNOWN, ro_compat & !RO_COMPAT_KNOWN)?;
        let wide = incompat & INCOMPAT_64BIT != 0;
        let long = |low, high| {
            let high = if wide { word(high) } else { 0 };
            u64::from(word(low)) | u64::from(high) << 32
        };
        let superblock = &reader.superblock;
        let wrong = |problem| Err(FreeError::Superblock(problem).into());
        let (stated, held) = (long(4, 336), superblock.blocks);
        if stated != held {
            return Err(FreeError::Cut { stated, held }.into());
        }
        let cluster = match ro_compat & RO_COMPAT_BIGALLOC != 0 {
            true => word(28)
                .checked_sub(word(24))
                .and_then(|shift| 1u64.checked_shl(shift)),
            false => Some(1),
        };
        if cluster.is_some_and(|cluster| cluster > LARGEST_CLUSTER) {
            let feature = format!("clusters of more than {LARGEST_CLUSTER} blocks");
            return Err(FilesError::Feature(feature).into());
        }
        let per_group = superblock.blocks_per_group;
        let bits = superblock.block_size * 8;
        let Some(cluster) = cluster.filter(|cluster| per_group.is_multiple_of(*cluster)) else {
            return wrong("its clusters do not fill a group");
        };
        if per_group / cluster > bits || u64::from(superblock.inodes_per_group) > bits {
            return wrong("its groups are larger than a bitmap");
        }
        let inodes = superblock
            .groups
            .checked_mul(u64::from(superblock.inodes_per_group));
        if inodes != Some(u64::from(reader.features.inodes)) {
            return wrong("its groups have room for another number of inodes");
        }
        Ok(Self {
            block_size: superblock.block_size,
            blocks: superblock.blocks,
            cluster,
            mount_protection: (incompat & INCOMPAT_MMP != 0).then(|| le_u64(&bytes, 360)),
            has_resize_inode: compat & COMPAT_RESIZE_INODE != 0,
            state: le_u16(&bytes, 58),
            free_blocks: long(12, 344),
            free_inodes: u64::from(word(16)),
        })
    }

    /// How many blocks and inodes are free, as the superblock counts.
    pub(super) fn free(&self) -> (u64, u64) {
        (self.free_blocks, self.free_inodes)
    }
}

fn refuse_unknown(compat: u32, ro_compat: u32) -> Result<()> {
    let names = |bits: u32, kind: &str| {
        let bits = (0..32)
            .map(|at| 1u32 << at)
            .filter(move |bit| bits & bit != 0);
        let kind = kind.to_owned();
        bits.map(move |bit| format!("{kind} feature {bit:#x}"))
    };
    let unknown = names(compat, "compatible").chain(names(ro_compat, "read-only compatible"));
    match unknown.collect::<Vec<_>>() {
        none if none.is_empty() => Ok(()),
        names => Err(FilesError::Feature(names.join(", ")).into()),
    }
}
