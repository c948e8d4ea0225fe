//! Image files, byte by byte: a header, a table, clusters wherever a test wants them.

use super::model::{Layer, Model, Run};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

pub const SECTOR: u64 = 512;

/// Where the header's fields are, in bytes from the start of the file.
pub mod field {
    pub const MAGIC: u64 = 0;
    pub const TYPE: u64 = 16;
    pub const CLUSTER_SECTORS: u64 = 28;
    pub const ENTRIES: u64 = 32;
    pub const SECTORS: u64 = 36;
    pub const SECTORS_HIGH: u64 = 40;
    pub const IN_USE: u64 = 44;
    pub const DATA_OFF: u64 = 48;
    pub const FLAGS: u64 = 52;
    pub const EXT_OFF: u64 = 56;
    pub const BAT: u64 = 64;

    /// The word of an image that is opened for writing, or was when its writer died.
    pub const DIRTY: u32 = 0x746F_6E59;

    /// Where the table's entry `index` is.
    pub fn entry(index: u64) -> u64 {
        BAT + 4 * index
    }
}

/// What a stored cluster holds.
#[derive(Clone, Debug)]
pub enum Fill {
    /// One byte over and over, as in the format's test vectors.
    Byte(u8),
    /// Bytes that differ at every position and for every seed.
    Pattern(u64),
    /// These bytes at the start, a hole in the file after them.
    Bytes(Vec<u8>),
    /// Nothing written: a hole in the image file, which reads as zeros.
    FileHole,
}

impl Fill {
    /// The bytes `from .. from + len` of a cluster filled so.
    pub fn bytes(&self, from: u64, len: u64) -> Vec<u8> {
        let len = usize::try_from(len).unwrap();
        match self {
            Self::Byte(byte) => vec![*byte; len],
            Self::FileHole => vec![0; len],
            Self::Bytes(bytes) => {
                let mut all: Vec<u8> = bytes
                    .iter()
                    .skip(usize::try_from(from).unwrap())
                    .take(len)
                    .copied()
                    .collect();
                all.resize(len, 0);
                all
            }
            Self::Pattern(seed) => pattern(*seed, from, len),
        }
    }

    /// How many bytes at the start of a run of this length are written; the rest is a hole.
    pub fn written_len(&self, cluster: u64) -> u64 {
        match self {
            Self::FileHole => 0,
            Self::Bytes(bytes) => cluster.min(bytes.len() as u64),
            Self::Byte(_) | Self::Pattern(_) => cluster,
        }
    }
}

/// `len` bytes from position `from` of the endless stream named `seed`; none of its words is zero
/// by design, so no block of it can be taken for a hole.
pub fn pattern(seed: u64, from: u64, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 16);
    let mut word = from / 8;
    let skip = usize::try_from(from % 8).unwrap();
    while bytes.len() < len + skip {
        let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(word);
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^= x >> 31;
        bytes.extend_from_slice(&(x | 1).to_le_bytes());
        word += 1;
    }
    bytes.drain(..skip);
    bytes.truncate(len);
    bytes
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1,
    V2,
}

impl Version {
    pub const BOTH: [Self; 2] = [Self::V1, Self::V2];
}

#[derive(Clone, Debug)]
struct Stored {
    index: u32,
    host_offset: u64,
    fill: Fill,
}

/// Describes an image; [`build`](Self::build) turns it into bytes.
#[derive(Clone, Debug)]
pub struct ImageBuilder {
    version: Version,
    cluster_sectors: u32,
    sectors: Option<u64>,
    clusters: u32,
    entries: Option<u32>,
    data_off: Option<u32>,
    in_use: u32,
    flags: u32,
    ext_off: u64,
    seed: u64,
    stored: Vec<Stored>,
    next: Option<u64>,
}

impl ImageBuilder {
    pub fn new(version: Version) -> Self {
        Self {
            version,
            cluster_sectors: 64,
            sectors: None,
            clusters: 4,
            entries: None,
            data_off: None,
            in_use: 0,
            flags: 0,
            ext_off: 0,
            seed: 0xA0,
            stored: Vec::new(),
            next: None,
        }
    }

    pub fn v1() -> Self {
        Self::new(Version::V1)
    }

    pub fn v2() -> Self {
        Self::new(Version::V2)
    }

    /// Cluster size in sectors; 64 unless told. To be called before clusters are stored.
    pub fn cluster_sectors(mut self, sectors: u32) -> Self {
        assert!(
            self.stored.is_empty(),
            "the cluster size comes before the clusters"
        );
        self.cluster_sectors = sectors;
        self
    }

    /// Virtual size in clusters; 4 unless told.
    pub fn clusters(mut self, clusters: u32) -> Self {
        assert!(self.stored.is_empty(), "the size comes before the clusters");
        self.clusters = clusters;
        self
    }

    /// Virtual size in sectors, where it is no multiple of the cluster.
    pub fn sectors(mut self, sectors: u64) -> Self {
        assert!(self.stored.is_empty(), "the size comes before the clusters");
        self.clusters = u32::try_from(sectors.div_ceil(u64::from(self.cluster_sectors))).unwrap();
        self.sectors = Some(sectors);
        self
    }

    /// Number of table entries, where it is not what the size needs.
    pub fn entries(mut self, entries: u32) -> Self {
        assert!(
            self.stored.is_empty(),
            "the table comes before the clusters"
        );
        self.entries = Some(entries);
        self
    }

    /// The header's data start in sectors; by default what ploop writes: the table's end rounded
    /// up to a cluster.
    pub fn data_off(mut self, sectors: u32) -> Self {
        assert!(
            self.stored.is_empty(),
            "the data start comes before the clusters"
        );
        self.data_off = Some(sectors);
        self
    }

    pub fn in_use(mut self, word: u32) -> Self {
        self.in_use = word;
        self
    }

    pub fn flags(mut self, flags: u32) -> Self {
        self.flags = flags;
        self
    }

    pub fn ext_off(mut self, sectors: u64) -> Self {
        self.ext_off = sectors;
        self
    }

    /// Names the patterns of the clusters stored from here on.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Stores cluster `index` in the next free place, with a pattern of its own.
    pub fn store(self, index: u32) -> Self {
        let fill = Fill::Pattern(self.seed.wrapping_mul(1_000_003) + u64::from(index));
        self.fill(index, fill)
    }

    /// Stores clusters in this order.
    pub fn store_all(self, order: impl IntoIterator<Item = u32>) -> Self {
        order.into_iter().fold(self, Self::store)
    }

    /// Stores cluster `index` in the next free place with these bytes.
    pub fn fill(self, index: u32, fill: Fill) -> Self {
        let host_offset = self.next_free();
        self.store_at(index, host_offset, fill)
    }

    /// Stores cluster `index` with a pattern at this offset of the file.
    pub fn store_far(self, index: u32, host_offset: u64) -> Self {
        let fill = Fill::Pattern(self.seed.wrapping_mul(1_000_003) + u64::from(index));
        self.store_at(index, host_offset, fill)
    }

    /// Stores cluster `index` at this offset of the file.
    pub fn store_at(mut self, index: u32, host_offset: u64, fill: Fill) -> Self {
        self.next = Some(self.next_free().max(host_offset + self.cluster_size()));
        self.stored.push(Stored {
            index,
            host_offset,
            fill,
        });
        self
    }

    /// Leaves `clusters` places of the file unused before the next one.
    pub fn gap(mut self, clusters: u64) -> Self {
        self.next = Some(self.next_free() + clusters * self.cluster_size());
        self
    }

    pub fn cluster_size(&self) -> u64 {
        u64::from(self.cluster_sectors) * SECTOR
    }

    /// The virtual size in sectors.
    pub fn virtual_sectors(&self) -> u64 {
        self.sectors
            .unwrap_or(u64::from(self.clusters) * u64::from(self.cluster_sectors))
    }

    fn entry_count(&self) -> u32 {
        self.entries.unwrap_or(self.clusters)
    }

    fn data_off_field(&self) -> u32 {
        self.data_off.unwrap_or_else(|| {
            let table = (64 + 4 * u64::from(self.entry_count())).next_multiple_of(SECTOR);
            u32::try_from(table.next_multiple_of(self.cluster_size()) / SECTOR).unwrap()
        })
    }

    /// Where clusters begin, in bytes.
    pub fn data_start(&self) -> u64 {
        match (self.version, self.data_off_field()) {
            (Version::V1, 0) => (64 + 4 * u64::from(self.entry_count())).next_multiple_of(SECTOR),
            (_, sectors) => u64::from(sectors) * SECTOR,
        }
    }

    fn next_free(&self) -> u64 {
        self.next.unwrap_or_else(|| self.data_start())
    }

    fn entry_for(&self, host_offset: u64) -> u32 {
        let unit = match self.version {
            Version::V1 => SECTOR,
            Version::V2 => self.cluster_size(),
        };
        assert_eq!(
            host_offset % unit,
            0,
            "no entry can name offset {host_offset}"
        );
        u32::try_from(host_offset / unit).unwrap()
    }

    pub fn build(&self) -> ImageFile {
        let mut header = vec![0; 64];
        let magic = match self.version {
            Version::V1 => b"WithoutFreeSpace",
            Version::V2 => b"WithouFreSpacExt",
        };
        let mut set = |at: u64, bytes: &[u8]| {
            let at = usize::try_from(at).unwrap();
            header[at..at + bytes.len()].copy_from_slice(bytes);
        };
        set(field::MAGIC, magic);
        set(field::TYPE, &2u32.to_le_bytes());
        set(20, &16u32.to_le_bytes()); // heads: the guest's geometry
        set(field::CLUSTER_SECTORS, &self.cluster_sectors.to_le_bytes());
        set(field::ENTRIES, &self.entry_count().to_le_bytes());
        set(field::SECTORS, &self.virtual_sectors().to_le_bytes());
        set(field::IN_USE, &self.in_use.to_le_bytes());
        set(field::DATA_OFF, &self.data_off_field().to_le_bytes());
        set(field::FLAGS, &self.flags.to_le_bytes());
        set(field::EXT_OFF, &self.ext_off.to_le_bytes());

        let cluster = self.cluster_size();
        let size = self.virtual_sectors() * SECTOR;
        let mut file = ImageFile {
            len: self
                .data_start()
                .max(64 + 4 * u64::from(self.entry_count())),
            pieces: vec![(0, header)],
            layer: Layer {
                size,
                runs: Vec::new(),
                file: String::new(),
            },
            sectors: self.virtual_sectors(),
            cluster_sectors: self.cluster_sectors,
        };
        for Stored {
            index,
            host_offset,
            fill,
        } in &self.stored
        {
            file.put_u32(
                field::entry(u64::from(*index)),
                self.entry_for(*host_offset),
            );
            let written = fill.written_len(cluster);
            if written > 0 {
                file.put(*host_offset, &fill.bytes(0, written));
            }
            file.len = file.len.max(host_offset + cluster);
            let offset = u64::from(*index) * cluster;
            if offset < size {
                let len = cluster.min(size - offset);
                file.layer.runs.push(Run {
                    offset,
                    len,
                    host_offset: *host_offset,
                    fill: fill.clone(),
                });
            }
        }
        file
    }

    /// Builds and writes in one step.
    pub fn write(&self, path: &Path) -> ImageFile {
        let file = self.build();
        file.write(path);
        file
    }
}

/// The bytes of an image file, kept as the pieces that are not holes.
#[derive(Clone, Debug)]
pub struct ImageFile {
    pub len: u64,
    pieces: Vec<(u64, Vec<u8>)>,
    /// What a right reader finds in it.
    pub layer: Layer,
    pub sectors: u64,
    pub cluster_sectors: u32,
}

impl ImageFile {
    /// A raw base: every byte of it is present.
    pub fn raw(bytes: &[u8], cluster_sectors: u32) -> Self {
        let len = bytes.len() as u64;
        let run = Run {
            offset: 0,
            len,
            host_offset: 0,
            fill: Fill::Bytes(bytes.to_vec()),
        };
        Self {
            len,
            pieces: vec![(0, bytes.to_vec())],
            layer: Layer {
                size: len,
                runs: vec![run],
                file: String::new(),
            },
            sectors: len / SECTOR,
            cluster_sectors,
        }
    }

    /// Overwrites bytes; the model of what the image holds stays as it was.
    pub fn put(&mut self, offset: u64, bytes: &[u8]) -> &mut Self {
        self.pieces.push((offset, bytes.to_vec()));
        self.len = self.len.max(offset + bytes.len() as u64);
        self
    }

    pub fn put_u32(&mut self, offset: u64, value: u32) -> &mut Self {
        self.put(offset, &value.to_le_bytes())
    }

    pub fn put_u64(&mut self, offset: u64, value: u64) -> &mut Self {
        self.put(offset, &value.to_le_bytes())
    }

    /// Cuts the file off, or lets it end in a hole.
    pub fn set_len(&mut self, len: u64) -> &mut Self {
        self.len = len;
        self
    }

    pub fn write(&self, path: &Path) {
        let file = File::create(path).unwrap();
        for (offset, bytes) in &self.pieces {
            file.write_all_at(bytes, *offset).unwrap();
        }
        file.set_len(self.len).unwrap();
    }

    /// All of it in memory; for small images.
    pub fn bytes(&self) -> Vec<u8> {
        let mut all = vec![0; usize::try_from(self.len).unwrap()];
        for (offset, bytes) in &self.pieces {
            let from = usize::try_from(*offset).unwrap();
            for (to, byte) in all.iter_mut().skip(from).zip(bytes) {
                *to = *byte;
            }
        }
        all
    }

    /// What the image alone reads as.
    pub fn model(&self, file: &str) -> Model {
        let mut layer = self.layer.clone();
        layer.file = file.to_owned();
        Model::new(vec![layer])
    }
}

/// Puts a boot record in front whose only partition ends where the bytes end: a raw base with it
/// tells that it is whole, and that a larger disk over it grew later.
pub fn divided(mut bytes: Vec<u8>) -> Vec<u8> {
    let sectors = bytes.len() as u64 / SECTOR;
    assert!(
        sectors > 1,
        "a partition needs a sector besides the record's"
    );
    let partition = u32::try_from(sectors - 1).unwrap();
    bytes[446..510].fill(0);
    bytes[450] = 0x83;
    bytes[454..458].copy_from_slice(&1u32.to_le_bytes());
    bytes[458..462].copy_from_slice(&partition.to_le_bytes());
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    bytes
}
