//! The files of an ext4, with one part of it out of the input. The rest is sound, so that an input
//! of some bytes reaches the code that reads this part.

mod base;
mod walk;

use std::path::Path;
use std::sync::Arc;

use ploopconv::disk::{RawDisk, VirtualDisk};
use ploopconv::ext4::Files;

use self::base::{Base, INODE};

/// The superblock and the descriptors of the groups.
pub fn try_layout(input: &[u8]) {
    let mut base = Base::new();
    base.lay(1024, input);
    open(base);
}

/// The inode of a file, with all its fields, and the blocks that it may name for lists of blocks.
pub fn try_inode(input: &[u8]) {
    let mut base = Base::new();
    let (inode, blocks) = input.split_at(input.len().min(INODE));
    base.lay(base::inode(base::FILE), inode);
    base.lay(base::block(base::LISTS), blocks);
    open(base);
}

/// The blocks of a directory. The first byte says whether it has an index, whether it lies in its
/// inode, and whether entries say types.
pub fn try_directory(input: &[u8]) {
    let Some((&flags, input)) = input.split_first() else {
        return;
    };
    let mut base = Base::new();
    if flags & 1 != 0 {
        base.add_flags(base::DIRECTORY, 0x1000);
    }
    if flags & 2 != 0 {
        base.set_incompat(0x8000);
        base.keep_inline(base::DIRECTORY, input);
    } else {
        base.lay(base::block(base::ENTRIES), input);
    }
    if flags & 4 != 0 {
        base.clear_incompat(0x2);
    }
    if flags & 8 != 0 {
        base.set_incompat(0x2_0000);
        base.add_flags(base::DIRECTORY, 0x4000_0000);
    }
    open(base);
}

/// The attributes in an inode, and the block with others. The first bit of the first byte says
/// whether values may lie in inodes of their own.
pub fn try_attributes(input: &[u8]) {
    let Some((&flags, input)) = input.split_first() else {
        return;
    };
    let mut base = Base::new();
    if flags & 1 != 0 {
        base.set_incompat(0x400);
        base.add_flags(base::VALUE, 0x20_0000);
    }
    let (own, block) = input.split_at(input.len().min(base::OWN_ATTRIBUTES));
    base.lay(base::inode(base::FILE) + INODE - base::OWN_ATTRIBUTES, own);
    base.lay(base::block(base::ATTRIBUTES), block);
    open(base);
}

/// The journal from its first block on. The first bit of the first byte says whether there may be
/// fast commits.
pub fn try_journal(input: &[u8]) {
    let Some((&flags, input)) = input.split_first() else {
        return;
    };
    let mut base = Base::new();
    base.set_incompat(0x4);
    if flags & 1 != 0 {
        base.set_compat(0x400);
    }
    base.lay(base::block(base::JOURNAL), input);
    open(base);
}

/// The records of a fast commit, which gets a head, and a tail with the right checksum.
pub fn try_fast(input: &[u8]) {
    let mut base = Base::new();
    base.set_incompat(0x4);
    base.set_compat(0x400);
    base.fast_commit(input);
    open(base);
}

/// Opens it as the program does, strictly and over damage, and looks at every file.
fn open(base: Base) {
    let is_sound = base.is_sound();
    let file = Arc::new(base.into_file());
    let disk = RawDisk::over(file, Path::new("input")).expect("it has a size");
    let disk: Arc<dyn VirtualDisk> = Arc::new(disk);
    let strict = Files::open(Arc::clone(&disk));
    assert!(strict.is_ok() || !is_sound, "the base itself is refused");
    if let Ok(files) = strict {
        walk::assert_sound(&files);
    }
    if let Ok((files, problems)) = Files::open_over_damage(disk) {
        assert!(
            problems
                .iter()
                .all(|problem| !problem.to_string().is_empty())
        );
        walk::assert_sound(&files);
    }
}
