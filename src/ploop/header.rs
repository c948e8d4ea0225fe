//! The 64 bytes at the start of every image, read into a checked [`Header`].
//!
//! Field names in the comments are those of libploop; the layout is the same for both versions
//! of the format, and every number is little-endian.

use std::fmt;

use crate::error::{Detail, ErrorKind};
use crate::util::bytes::{le_u32, le_u64};

/// Bytes in a sector, always: also on disks whose guest uses 4096-byte sectors.
pub(crate) const SECTOR: u64 = 512;

/// The version of the format, told by the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `WithoutFreeSpace`: BAT entries count sectors.
    V1,
    /// `WithouFreSpacExt`: BAT entries count clusters.
    V2,
}

impl Version {
    /// The signature that an image of this version begins with.
    #[must_use]
    pub fn signature(self) -> &'static [u8; 16] {
        match self {
            Self::V1 => b"WithoutFreeSpace",
            Self::V2 => b"WithouFreSpacExt",
        }
    }

    /// Tells the version by the first bytes of a file; `None` where it is no ploop image.
    #[must_use]
    pub fn from_signature(bytes: &[u8]) -> Option<Self> {
        [Self::V1, Self::V2]
            .into_iter()
            .find(|version| bytes.starts_with(version.signature()))
    }

    /// The name that users see.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "ploop1",
            Self::V2 => "ploop2",
        }
    }
}

/// The unit of allocation: a whole number of sectors from 1 to [`ClusterSize::MAX_SECTORS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterSize {
    sectors: u32,
}

impl ClusterSize {
    /// The most sectors a cluster can have: qemu's bound, which keeps every offset below 2^63.
    pub const MAX_SECTORS: u32 = 4_186_127;

    /// Checks the number of sectors that a header claims.
    #[must_use]
    pub fn from_sectors(sectors: u32) -> Option<Self> {
        (1..=Self::MAX_SECTORS)
            .contains(&sectors)
            .then_some(Self { sectors })
    }

    /// The size in bytes: never zero, less than 2^31.
    #[must_use]
    pub fn bytes(self) -> u64 {
        u64::from(self.sectors).saturating_mul(SECTOR)
    }

    /// Whether ploop itself would accept the size: a power of two from 32 KiB to 64 MiB.
    #[must_use]
    pub fn is_usual(self) -> bool {
        self.sectors.is_power_of_two() && (64..=131_072).contains(&self.sectors)
    }
}

/// The state word: who had the image open, and how it was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Closed, or never opened for writing.
    Closed,
    /// Closed, with a format extension that is valid ("v2.1").
    ClosedWithExtension,
    /// Opened for writing and not closed since: in use, or crashed.
    InUse,
    /// Any other value. Parallels Desktop leaves "pd17", "pd22" and the like; all are closed.
    Other(u32),
}

impl State {
    fn from_word(word: u32) -> Self {
        match word {
            0 => Self::Closed,
            0x312e_3276 => Self::ClosedWithExtension, // "v2.1", libploop from 7.0.32 on
            0x746f_6e59 => Self::InUse,               // "Ynot", every writer
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed"),
            Self::ClosedWithExtension => f.write_str("closed (v2.1)"),
            Self::InUse => f.write_str("in use"),
            Self::Other(word) => {
                let ascii = word.to_le_bytes();
                if ascii.iter().all(u8::is_ascii_graphic) {
                    write!(f, "closed ({})", ascii.escape_ascii())
                } else {
                    write!(f, "closed ({word:#010x})")
                }
            }
        }
    }
}

/// What the first 64 bytes of an image say, checked.
///
/// What is not here is not used: the geometry (it does not multiply to the size), the Empty flag
/// (newer writers never clear it, so full disks carry it) and the format extension (its offset is
/// often stale, and no data is behind it).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    version: Version,
    cluster_size: ClusterSize,
    bat_entries: u32,
    virtual_size: u64,
    state: State,
    data_start: u64,
    unknown_flags: u32,
    high_size_word: u32,
}

/// Why a header cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The file ends inside the header.
    #[error(
        "the file has {len} bytes, and the header alone needs {}",
        Header::SIZE
    )]
    Truncated {
        /// Length of the file in bytes.
        len: u64,
    },
    /// The first 16 bytes are neither signature.
    #[error("the signature of a ploop image is missing")]
    Signature,
    /// The image type is not "expandable".
    #[error("image type {0} is not 2 (expandable)")]
    Type(u32),
    /// The cluster size is zero or beyond the bound.
    #[error(
        "a cluster size of {0} sectors is not between 1 and {max}",
        max = ClusterSize::MAX_SECTORS
    )]
    ClusterSize(u32),
    /// The virtual size is zero, or more bytes than an offset can count.
    #[error("a virtual size of {sectors} sectors in {entries} BAT entries is not usable")]
    VirtualSize {
        /// The size in sectors.
        sectors: u64,
        /// The number of BAT entries.
        entries: u32,
    },
    /// A conversion between the versions of the format was cut short: entries may count sectors
    /// or clusters, and the signature does not say which.
    #[error("a conversion between format versions was cut short, BAT entries may be mixed")]
    VersionConversion,
    /// The data would start inside the BAT, or (version 2) not on a cluster.
    #[error("data that starts at {data_start:#x} does not fit a BAT that ends at {bat_end:#x}")]
    DataStart {
        /// Where the header says that data starts, in bytes.
        data_start: u64,
        /// The first byte after the BAT.
        bat_end: u64,
    },
    /// The file ends inside the BAT.
    #[error("the file has {len} bytes, and its BAT of {entries} entries ends at {bat_end}")]
    TruncatedBat {
        /// Length of the file in bytes.
        len: u64,
        /// The number of BAT entries.
        entries: u32,
        /// The first byte after the BAT.
        bat_end: u64,
    },
    /// The BAT has fewer entries than the disk has clusters.
    #[error("{entries} BAT entries are too few for a disk of {needed} clusters")]
    TableTooSmall {
        /// The number of BAT entries.
        entries: u32,
        /// The number of clusters that the virtual size needs.
        needed: u64,
    },
    /// A saved table is not that of the image beside it.
    #[error("it is not the table of this image: its sizes differ")]
    OtherImage,
}

impl Detail for HeaderError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Signature => ErrorKind::NotThisFormat,
            // No program writes another type or a larger cluster: these are wrong bytes, and no
            // features.
            Self::Type(_)
            | Self::ClusterSize(_)
            | Self::Truncated { .. }
            | Self::VirtualSize { .. }
            | Self::VersionConversion
            | Self::DataStart { .. }
            | Self::TruncatedBat { .. }
            | Self::TableTooSmall { .. }
            | Self::OtherImage => ErrorKind::Corrupt,
        }
    }

    fn code(&self) -> &'static str {
        "header"
    }
}

impl Header {
    /// The size of the header in bytes; the BAT follows at once.
    pub const SIZE: usize = 64;

    /// Reads a header from the first [`Self::SIZE`] bytes of an image of `file_len` bytes.
    ///
    /// # Errors
    ///
    /// The first of the conditions of [`HeaderError`] that holds, in the order of its variants
    /// (but for the length, which is looked at as soon as it matters).
    pub fn parse(bytes: &[u8; Self::SIZE], file_len: u64) -> Result<Self, HeaderError> {
        let kind = le_u32(bytes, 16); // m_Type
        let cluster_sectors = le_u32(bytes, 28); // m_Sectors, despite the name
        let bat_entries = le_u32(bytes, 32); // m_Size
        let sectors_low = le_u32(bytes, 36); // m_SizeInSectors
        let sectors_wide = le_u64(bytes, 36); // the same field of version 2
        let state = le_u32(bytes, 44); // m_DiskInUse
        let data_sector = le_u32(bytes, 48); // m_FirstBlockOffset
        let flags = le_u32(bytes, 52); // m_Flags

        let version = Version::from_signature(bytes).ok_or(HeaderError::Signature)?;
        if kind != 2 {
            return Err(HeaderError::Type(kind));
        }
        let cluster_size = ClusterSize::from_sectors(cluster_sectors)
            .ok_or(HeaderError::ClusterSize(cluster_sectors))?;
        let (sectors, high_size_word) = match version {
            // The upper word is unused in version 1, and writers left garbage in it.
            Version::V1 => (u64::from(sectors_low), le_u32(bytes, 40)),
            Version::V2 => (sectors_wide, 0),
        };
        let virtual_size = sectors
            .checked_mul(SECTOR)
            .filter(|&size| size > 0 && i64::try_from(size).is_ok() && bat_entries > 0)
            .ok_or(HeaderError::VirtualSize {
                sectors,
                entries: bat_entries,
            })?;
        if flags & FLAG_VERSION_CONVERSION != 0 {
            return Err(HeaderError::VersionConversion);
        }
        let bat_end = u64::from(bat_entries)
            .saturating_mul(4)
            .saturating_add(Self::SIZE as u64);
        let data_start = match (version, data_sector) {
            // Old Parallels images: data follows the BAT on the next sector.
            (Version::V1, 0) => bat_end.next_multiple_of(SECTOR),
            _ => u64::from(data_sector).saturating_mul(SECTOR),
        };
        let on_cluster = data_start.checked_rem(cluster_size.bytes()) == Some(0);
        if data_start < bat_end || (version == Version::V2 && !on_cluster) {
            return Err(HeaderError::DataStart {
                data_start,
                bat_end,
            });
        }
        if file_len < bat_end {
            return Err(HeaderError::TruncatedBat {
                len: file_len,
                entries: bat_entries,
                bat_end,
            });
        }
        let needed = virtual_size.div_ceil(cluster_size.bytes());
        if u64::from(bat_entries) < needed {
            return Err(HeaderError::TableTooSmall {
                entries: bat_entries,
                needed,
            });
        }
        Ok(Self {
            version,
            cluster_size,
            bat_entries,
            virtual_size,
            state: State::from_word(state),
            data_start,
            unknown_flags: flags & !(FLAG_EMPTY | FLAG_VERSION_CONVERSION),
            high_size_word,
        })
    }

    /// Whether these first bytes of an image say that its conversion between versions of the format
    /// was cut short.
    pub(super) fn is_being_converted(bytes: &[u8; Self::SIZE]) -> bool {
        le_u32(bytes, 52) & FLAG_VERSION_CONVERSION != 0
    }

    /// Whether two headers are of one image before and during a conversion between versions: what
    /// that leaves alone is the same. Of the size, version 1 knows only the lower half.
    pub(super) fn describe_one_disk(a: &[u8; Self::SIZE], b: &[u8; Self::SIZE]) -> bool {
        // m_Sectors, m_Size, m_SizeInSectors, m_FirstBlockOffset
        let same = |at| le_u32(a, at) == le_u32(b, at);
        [28, 32, 36, 48].into_iter().all(same)
    }

    /// The version of the format.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The unit of allocation.
    #[must_use]
    pub fn cluster_size(&self) -> ClusterSize {
        self.cluster_size
    }

    /// The number of BAT entries; at least one for every cluster of the virtual size.
    #[must_use]
    pub fn bat_entries(&self) -> u32 {
        self.bat_entries
    }

    /// The size of the disk in bytes; not always a multiple of the cluster size.
    #[must_use]
    pub fn virtual_size(&self) -> u64 {
        self.virtual_size
    }

    /// How the image was last closed.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// The first byte of the file in which a cluster may lie. Only for checking: BAT entries
    /// count from the start of the file.
    #[must_use]
    pub fn data_start(&self) -> u64 {
        self.data_start
    }

    /// Flag bits that the format does not define.
    #[must_use]
    pub fn unknown_flags(&self) -> u32 {
        self.unknown_flags
    }

    /// Version 1 only: the unused upper half of the size field.
    #[must_use]
    pub fn high_size_word(&self) -> u32 {
        self.high_size_word
    }
}

/// Set when an image is made and by newer writers never cleared: says nothing.
const FLAG_EMPTY: u32 = 1;
/// Set while libploop rewrites the BAT from one version to the other.
const FLAG_VERSION_CONVERSION: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    /// Vector 7.1 of the format's specification, spoiled by each test in one place.
    fn sample(version: Version) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..16].copy_from_slice(version.signature());
        for (at, value) in [(16, 2u32), (20, 16), (28, 64), (32, 3), (36, 192), (48, 64)] {
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    fn spoiled(version: Version, at: usize, value: u32) -> Result<Header, HeaderError> {
        let mut bytes = sample(version);
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        Header::parse(&bytes, 98_304)
    }

    #[test]
    fn both_versions_are_read() {
        for version in [Version::V1, Version::V2] {
            let header = Header::parse(&sample(version), 98_304).unwrap();
            assert_eq!(header.version(), version);
            assert_eq!(header.cluster_size().bytes(), 32_768);
            assert_eq!(header.virtual_size(), 98_304);
            assert_eq!(header.data_start(), 32_768);
            assert_eq!(header.state(), State::Closed);
        }
    }

    #[test]
    fn every_field_that_cannot_be_used_has_its_error() {
        use HeaderError as E;
        use Version::{V1, V2};
        let cases = [
            (V2, 0, 0x2052_4f50, E::Signature),
            (V2, 16, 1u32, E::Type(1)),
            (V2, 28, 0, E::ClusterSize(0)),
            (V2, 28, 4_186_128, E::ClusterSize(4_186_128)),
            (
                V2,
                36,
                0,
                E::VirtualSize {
                    sectors: 0,
                    entries: 3,
                },
            ),
            (
                V2,
                32,
                0,
                E::VirtualSize {
                    sectors: 192,
                    entries: 0,
                },
            ),
            (
                V2,
                40,
                0x80_0000,
                E::VirtualSize {
                    sectors: (1 << 55) + 192,
                    entries: 3,
                },
            ),
            (V2, 52, 2, E::VersionConversion),
            (
                V2,
                48,
                0,
                E::DataStart {
                    data_start: 0,
                    bat_end: 76,
                },
            ),
            (
                V2,
                48,
                65,
                E::DataStart {
                    data_start: 65 * 512,
                    bat_end: 76,
                },
            ),
            (
                V2,
                32,
                24_576,
                E::TruncatedBat {
                    len: 98_304,
                    entries: 24_576,
                    bat_end: 98_368,
                },
            ),
            (
                V1,
                32,
                2,
                E::TableTooSmall {
                    entries: 2,
                    needed: 3,
                },
            ),
        ];
        for (version, at, value, expected) in cases {
            let mut bytes = sample(version);
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            if at == 32 {
                bytes[48..52].copy_from_slice(&256u32.to_le_bytes()); // room for the longer BAT
            }
            assert_eq!(Header::parse(&bytes, 98_304), Err(expected));
        }
    }

    #[test]
    fn version_1_may_start_its_data_on_any_sector_after_the_bat() {
        assert_eq!(spoiled(Version::V1, 48, 0).unwrap().data_start(), 512);
        assert_eq!(spoiled(Version::V1, 48, 1).unwrap().data_start(), 512);
        assert_eq!(spoiled(Version::V1, 48, 67).unwrap().data_start(), 67 * 512);
    }

    #[test]
    fn version_1_ignores_the_upper_half_of_the_size() {
        let header = spoiled(Version::V1, 40, 0xdead_beef).unwrap();
        assert_eq!(header.virtual_size(), 98_304);
        assert_eq!(header.high_size_word(), 0xdead_beef);
    }

    #[test]
    fn only_one_state_word_means_in_use() {
        let state = |word| spoiled(Version::V2, 44, word).unwrap().state();
        assert_eq!(state(0x746f_6e59), State::InUse);
        assert_eq!(state(0x312e_3276), State::ClosedWithExtension);
        assert_eq!(state(1), State::Other(1));
        assert_eq!(
            state(u32::from_le_bytes(*b"pd22")).to_string(),
            "closed (pd22)"
        );
    }
}
