//! What a partition table says, whatever its kind, and what can be wrong with it.

mod types;

use std::fmt;

use super::content::FileSystem;

/// The sizes of a sector that a table may count in, in bytes.
pub(super) const SECTOR_SIZES: [u64; 4] = [512, 1024, 2048, 4096];

/// What kind of table a disk has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// A GUID partition table.
    Gpt,
    /// The table of a PC's boot record, with its chain of logical partitions.
    Mbr,
}

impl TableKind {
    /// The word that users and scripts see.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gpt => "gpt",
            Self::Mbr => "mbr",
        }
    }
}

/// What a partition is meant for, by its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionType {
    /// In a GPT.
    Guid(uuid::Uuid),
    /// In an MBR.
    Id(u8),
}

impl PartitionType {
    /// What the type is for, in words; `None` where it is not a common one.
    #[must_use]
    pub fn title(&self) -> Option<&'static str> {
        match self {
            Self::Guid(guid) => types::of_guid(*guid),
            Self::Id(id) => types::of_id(*id),
        }
    }
}

/// As `blkid` writes it: `0fc63daf-…` or `0x83`.
impl fmt::Display for PartitionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guid(guid) => write!(f, "{guid}"),
            Self::Id(id) => write!(f, "{id:#04x}"),
        }
    }
}

/// One used entry of a table, in bytes; nothing is known yet of what is inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) number: u32,
    pub(super) start: u64,
    pub(super) len: u64,
    pub(super) kind: PartitionType,
    pub(super) guid: Option<uuid::Uuid>,
    pub(super) attributes: u64,
    pub(super) name: String,
    pub(super) role: Role,
}

impl Entry {
    /// The first byte after it.
    pub(super) fn end(&self) -> u64 {
        self.start.saturating_add(self.len)
    }
}

/// How a partition lies to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// On its own.
    Plain,
    /// Holds logical partitions and nothing else.
    Extended,
    /// Inside an extended partition.
    Logical,
}

/// Why a partition table cannot be used. Sectors and LBAs count in the table's own sector size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// Two headers are right, and they count in different sectors.
    #[error("it has valid GPTs for sectors of {first} and of {second} bytes")]
    SeveralSectorSizes {
        /// The smaller sector size in bytes.
        first: u64,
        /// The larger one.
        second: u64,
    },
    /// Neither the GPT nor its backup is right.
    #[error(
        "the GPT for sectors of {sector_size} bytes is damaged ({primary}), and so is its backup \
         ({backup})"
    )]
    Gpt {
        /// The sector size in bytes.
        sector_size: u64,
        /// What is wrong with the GPT at the start of the disk.
        primary: GptError,
        /// What is wrong with the one at the end.
        backup: GptError,
    },
    /// The signature is `XXX PART`, and there is no backup.
    #[error(
        "the GPT at byte {offset} is marked XXX PART: its rewriting for another sector size was \
         interrupted; there is no usable backup"
    )]
    InterruptedRewrite {
        /// Where the mark is, in bytes.
        offset: u64,
    },
    /// The boot record says that there is a GPT, and there is none.
    #[error("a protective MBR announces a GPT, and there is none")]
    NoGpt,
    /// A partition ends before it begins.
    #[error("partition {number} ends at LBA {last}, before its start at LBA {first}")]
    Backwards {
        /// The number of the partition.
        number: u32,
        /// Its first sector.
        first: u64,
        /// Its last sector.
        last: u64,
    },
    /// A partition reaches past the end of the disk.
    #[error("partition {number} reaches past the end of the disk of {disk_size} bytes")]
    PastEnd {
        /// The number of the partition.
        number: u32,
        /// The size of the disk in bytes.
        disk_size: u64,
    },
    /// Two partitions share bytes.
    #[error("partitions {first} and {second} overlap")]
    Overlap {
        /// The number of the one that begins first.
        first: u32,
        /// The number of the other.
        second: u32,
    },
    /// A logical partition or its boot record lies outside the extended partition.
    #[error("what the boot record at LBA {at} describes lies outside the extended partition")]
    OutsideExtended {
        /// The sector of the boot record.
        at: u64,
    },
    /// A boot record of the chain was met before.
    #[error("the chain of logical partitions comes back to LBA {at}")]
    ChainLoop {
        /// The sector that was met twice.
        at: u64,
    },
    /// A boot record of the chain is none.
    #[error("the boot record of a logical partition at LBA {at} has no signature")]
    ChainBroken {
        /// The sector.
        at: u64,
    },
    /// The chain has more partitions than any kernel reads.
    #[error("there are more than {max} logical partitions")]
    TooManyLogical {
        /// The most that are read.
        max: usize,
    },
}

/// What is wrong with one of the two copies of a GPT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GptError {
    /// It lies outside the disk.
    #[error("LBA {lba} is outside the disk")]
    Outside {
        /// Where it should be.
        lba: u64,
    },
    /// There is no header.
    #[error("no signature at LBA {lba}")]
    Signature {
        /// Where it should be.
        lba: u64,
    },
    /// The header is marked as being rewritten.
    #[error("marked XXX PART")]
    Interrupted,
    /// The header is shorter or longer than it can be.
    #[error("header of {0} bytes")]
    HeaderSize(u32),
    /// The header is not what its checksum says.
    #[error("header checksum {stated:#010x}, computed {computed:#010x}")]
    HeaderCrc {
        /// What the header says.
        stated: u32,
        /// What its bytes give.
        computed: u32,
    },
    /// The header says that it is meant for another place.
    #[error("header for LBA {stated} at LBA {lba}")]
    Place {
        /// Where the header says it is.
        stated: u64,
        /// Where it is.
        lba: u64,
    },
    /// Entries of a size that is not 128 bytes times a power of two, or too large.
    #[error("entries of {0} bytes")]
    EntrySize(u32),
    /// More entries than anybody makes, or none.
    #[error("{0} entries")]
    EntryCount(u32),
    /// The entries do not lie inside the disk.
    #[error("entries at LBA {0}, outside the disk")]
    EntriesOutside(u64),
    /// The entries are not what their checksum says.
    #[error("checksum of the entries {stated:#010x}, computed {computed:#010x}")]
    EntriesCrc {
        /// What the header says.
        stated: u32,
        /// What the entries give.
        computed: u32,
    },
}

/// Something about the partitions that a user should know, and that stops nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// The table at the start of the disk is damaged; the one at its end was read.
    BackupUsed(GptError),
    /// The table at the start of the disk was being rewritten; the one at its end was read.
    InterruptedRewrite,
    /// The backup at the end of the disk is damaged.
    BackupDamaged(GptError),
    /// The backup is not in the disk's last sector: the disk has grown since.
    BackupNotLast,
    /// There is also a damaged GPT for another sector size, in bytes.
    OtherGpt(u64),
    /// There is a GPT, and an MBR that knows nothing of it; kernels follow the MBR.
    GptIgnored,
    /// The table counts in sectors of this many bytes, which are not 512.
    SectorSize(u64),
    /// The disk looks like this besides having a table.
    Besides(FileSystem),
    /// The disk's file system hides a damaged or stale table.
    TableIgnored,
    /// The disk is a LUKS volume as a whole.
    WholeDiskLuks,
    /// A partition lies where the table itself has its place.
    OutsideUsable(u32),
    /// An extended partition without a boot record.
    EmptyExtended(u32),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BackupUsed(why) => {
                write!(f, "the GPT is damaged ({why}); its backup was read instead")
            }
            Self::InterruptedRewrite => f.write_str(
                "the GPT is marked XXX PART: its rewriting for another sector size was \
                 interrupted; its backup was read instead",
            ),
            Self::BackupDamaged(why) => write!(f, "the backup of the GPT is damaged ({why})"),
            Self::BackupNotLast => {
                f.write_str("the backup of the GPT is not in the last sector of the disk")
            }
            Self::OtherGpt(size) => {
                write!(f, "there is also a damaged GPT for sectors of {size} bytes")
            }
            Self::GptIgnored => f.write_str(
                "there is a GPT too, but the MBR does not announce it, so kernels do not read it",
            ),
            Self::SectorSize(size) => write!(
                f,
                "the table counts in sectors of {size} bytes: a system that sees this disk with \
                 512-byte sectors, as most hypervisors show a raw disk, finds no partitions in \
                 it; extracting a partition works"
            ),
            Self::Besides(fs) => write!(
                f,
                "the disk as a whole also looks like {}; the table was followed",
                fs.title()
            ),
            Self::TableIgnored => f.write_str(
                "the disk as a whole holds the file system; what is left of a partition table \
                 was ignored",
            ),
            Self::WholeDiskLuks => f.write_str(
                "the whole disk is one encrypted volume (LUKS): its partitions can be seen only \
                 after it was opened with its key",
            ),
            Self::OutsideUsable(number) => {
                write!(
                    f,
                    "partition {number} lies where the GPT keeps its own data"
                )
            }
            Self::EmptyExtended(number) => {
                write!(f, "extended partition {number} has no boot record")
            }
        }
    }
}

/// Makes sure that every entry has bytes inside the disk, and that no two share any, unless one
/// is logical and the other the extended partition around it.
pub(super) fn check(entries: &[Entry], disk_size: u64) -> Result<(), TableError> {
    for entry in entries {
        let end = entry.start.checked_add(entry.len);
        if entry.len == 0 || end.is_none_or(|end| end > disk_size) {
            let number = entry.number;
            return Err(TableError::PastEnd { number, disk_size });
        }
    }
    refuse_overlap(entries, Role::Logical)?;
    refuse_overlap(entries, Role::Extended)
}

/// Compares all entries but those of one role.
fn refuse_overlap(entries: &[Entry], but: Role) -> Result<(), TableError> {
    let mut sorted: Vec<_> = entries.iter().filter(|entry| entry.role != but).collect();
    sorted.sort_by_key(|entry| (entry.start, entry.number));
    let mut end = (0, 0);
    for entry in sorted {
        if entry.start < end.0 {
            return Err(TableError::Overlap {
                first: end.1,
                second: entry.number,
            });
        }
        end = (entry.start.saturating_add(entry.len), entry.number);
    }
    Ok(())
}
