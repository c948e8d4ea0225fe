//! Input made to break a reader: whatever it holds, the commands end in time with one of their own
//! statuses, agree with each other, and leave nothing behind when they refuse.

use ploopconv::disk::{Loss, LossKind, RawDisk};
use ploopconv::ext4::affected;
use ploopconv::source::Source;
use std::path::Path;

/// The start of a file system, and a hole after it that never ends.
#[derive(Debug)]
struct Endless(Vec<u8>);

impl Source for Endless {
    fn size(&self) -> std::io::Result<u64> {
        Ok(1 << 60)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        for (at, byte) in (offset..).zip(buf) {
            let there = usize::try_from(at).ok().and_then(|at| self.0.get(at));
            *byte = there.copied().unwrap_or(0);
        }
        Ok(())
    }

    fn next_data(&self, offset: u64) -> std::io::Result<Option<std::ops::Range<u64>>> {
        let end = self.0.len() as u64;
        Ok((offset < end).then_some(offset..end))
    }
}

#[test]
fn a_file_system_that_claims_more_groups_than_the_disk_stores_is_given_up() {
    // Found by fuzzing: the copies of 2^52 descriptors were looked for one by one.
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(1 << 20).unwrap();
    let options = [
        "-q",
        "-F",
        "-t",
        "ext4",
        "-b",
        "1024",
        "-O",
        "^has_journal,64bit",
    ];
    let mut mke2fs = std::process::Command::new("mke2fs");
    crate::tools::tool("e2fsprogs", mke2fs.args(options).arg(file.path()));
    let mut bytes = std::fs::read(file.path()).unwrap();
    // The number of blocks: all that the disk has, in groups as small as they may be.
    bytes[1024 + 4..1024 + 8].fill(0xFF);
    bytes[1024 + 336..1024 + 340].fill(0xFF);
    bytes[1024 + 32..1024 + 36].copy_from_slice(&256u32.to_le_bytes());
    let disk = RawDisk::over(std::sync::Arc::new(Endless(bytes)), Path::new("endless")).unwrap();
    let losses = [Loss::of(0..1024, LossKind::Missing)];

    let found = affected(&disk, &losses).unwrap().expect("it is an ext4");

    assert!(found.gave_up);
}
