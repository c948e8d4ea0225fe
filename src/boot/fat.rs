//! A FAT32 file system that is written once, after Microsoft's specification (fatgen103): files
//! one behind another in the order that they are given in, short names alone, no times.
//!
//! No crate is used for it: fatfs wants a device of its own to write to, and what is needed here is
//! a table of what lies where.

use std::sync::Arc;

use crate::disk::Concat;
use crate::error::Result;
use crate::util::bytes::{saturating_u16, saturating_u32, to_u64, to_usize};

const SECTOR: u64 = 512;
/// In bytes.
const CLUSTER: u64 = 2048;
const SECTORS_OF_CLUSTER: u8 = 4;
/// In sectors: boot record, information, copies of both.
const RESERVED: u64 = 32;
/// A file system with fewer is taken for FAT16.
const LEAST_CLUSTERS: u64 = 65_525;
const MIB: u64 = 1 << 20;
/// 1 January 1980: every run makes the same.
const DATE: u16 = 0x21;
/// The end of a chain of clusters.
const END: u32 = 0x0fff_ffff;

/// A file, or a folder with more.
#[derive(Debug)]
pub(super) struct Node {
    /// At most eight characters, a dot and three, all capitals or digits.
    name: &'static str,
    /// A digit behind the name, for one of several.
    number: Option<usize>,
    what: What,
}

#[derive(Debug)]
enum What {
    File(Arc<[u8]>),
    Folder(Vec<Node>),
}

impl Node {
    pub(super) fn file(name: &'static str, bytes: Arc<[u8]>) -> Self {
        Self {
            name,
            number: None,
            what: What::File(bytes),
        }
    }

    /// A file `NAME.N`.
    pub(super) fn numbered(name: &'static str, number: usize, bytes: Arc<[u8]>) -> Self {
        Self {
            number: Some(number),
            ..Self::file(name, bytes)
        }
    }

    pub(super) fn folder(name: &'static str, nodes: Vec<Self>) -> Self {
        Self {
            name,
            number: None,
            what: What::Folder(nodes),
        }
    }

    /// The clusters that it takes with all that is in it.
    fn clusters(&self) -> u64 {
        match &self.what {
            What::File(bytes) => clusters_of(to_u64(bytes.len())),
            What::Folder(nodes) => {
                let inside = nodes
                    .iter()
                    .map(Self::clusters)
                    .fold(0, u64::saturating_add);
                inside.saturating_add(clusters_of(folder_size(nodes)))
            }
        }
    }

    /// The name as a folder has it: eight characters and three.
    fn short_name(&self) -> [u8; 11] {
        let number = self.number.map(|number| number.to_string());
        let (stem, end) = self.name.split_once('.').unwrap_or((self.name, ""));
        let end = number.as_deref().unwrap_or(end);
        let mut name = [b' '; 11];
        let bytes = stem.bytes().take(8).enumerate();
        let ends = end
            .bytes()
            .take(3)
            .enumerate()
            .map(|(at, byte)| (at + 8, byte));
        for (at, byte) in bytes.chain(ends) {
            if let Some(place) = name.get_mut(at) {
                *place = byte;
            }
        }
        name
    }
}

/// Its entries, those of itself and its parent, and the end.
fn folder_size(nodes: &[Node]) -> u64 {
    to_u64(nodes.len()).saturating_add(3).saturating_mul(32)
}

fn clusters_of(bytes: u64) -> u64 {
    bytes.div_ceil(CLUSTER)
}

/// The size in bytes of a file system that takes `nodes` and what may come in their place later,
/// whole mebibytes.
pub(super) fn size_for(nodes: &[Node]) -> u64 {
    let held = nodes
        .iter()
        .map(Node::clusters)
        .fold(1, u64::saturating_add);
    let clusters = held.saturating_mul(2).max(LEAST_CLUSTERS);
    // The tables take four bytes a cluster each; a mebibyte is more than the rest.
    let bytes = clusters.saturating_mul(CLUSTER + 8).saturating_add(MIB);
    bytes.next_multiple_of(MIB)
}

/// Adds a file system of `size` bytes to a disk, where it begins at sector `hidden`.
pub(super) fn add(
    disk: &mut Concat,
    nodes: &[Node],
    size: u64,
    hidden: u64,
    serial: u32,
) -> Result<()> {
    let shape = Shape::of(size);
    let mut chains = vec![0x0fff_fff8, END];
    let mut data = Data::default();
    data.folder(nodes, None, &mut chains);
    disk.bytes("boot partition", shape.reserved(hidden, serial, &chains))?;
    let table: Arc<[u8]> = chains.iter().flat_map(|next| next.to_le_bytes()).collect();
    let table_size = shape.table_sectors * SECTOR;
    for _ in 0..2 {
        disk.bytes("boot partition", Arc::clone(&table))?;
        disk.zeros(table_size.saturating_sub(to_u64(table.len())))?;
    }
    let mut written = (RESERVED + 2 * shape.table_sectors) * SECTOR;
    for bytes in data.pieces {
        let len = to_u64(bytes.len());
        let padding = len.next_multiple_of(CLUSTER) - len;
        disk.bytes("boot partition", bytes)?;
        disk.zeros(padding)?;
        written += len + padding;
    }
    disk.zeros(size.saturating_sub(written))
}

/// How many there are of what.
struct Shape {
    sectors: u64,
    table_sectors: u64,
}

impl Shape {
    /// As many clusters as fit with a table for them.
    fn of(size: u64) -> Self {
        let sectors = size / SECTOR;
        let data = sectors.saturating_sub(RESERVED);
        // Of a table's sector, 128 clusters of four sectors each; there are two tables.
        let table_sectors = (data + 8).div_ceil(128 * u64::from(SECTORS_OF_CLUSTER) + 2);
        Self {
            sectors,
            table_sectors,
        }
    }

    fn clusters(&self) -> u64 {
        let data = self.sectors - RESERVED - 2 * self.table_sectors;
        data / u64::from(SECTORS_OF_CLUSTER)
    }

    /// The sectors in front of the tables.
    fn reserved(&self, hidden: u64, serial: u32, chains: &[u32]) -> Vec<u8> {
        let mut boot = vec![0xeb, 0x58, 0x90]; // BS_jmpBoot
        boot.extend(b"PLOOPCNV"); // BS_OEMName
        boot.extend(saturating_u16(SECTOR).to_le_bytes()); // BPB_BytsPerSec
        boot.push(SECTORS_OF_CLUSTER); // BPB_SecPerClus
        boot.extend(saturating_u16(RESERVED).to_le_bytes()); // BPB_RsvdSecCnt
        boot.push(2); // BPB_NumFATs
        boot.extend([0; 4]); // BPB_RootEntCnt, BPB_TotSec16
        boot.push(0xf8); // BPB_Media
        boot.extend([0; 2]); // BPB_FATSz16
        boot.extend([32, 0, 64, 0]); // BPB_SecPerTrk, BPB_NumHeads
        boot.extend(saturating_u32(hidden).to_le_bytes()); // BPB_HiddSec
        boot.extend(saturating_u32(self.sectors).to_le_bytes()); // BPB_TotSec32
        boot.extend(saturating_u32(self.table_sectors).to_le_bytes()); // BPB_FATSz32
        boot.extend([0; 4]); // BPB_ExtFlags, BPB_FSVer
        boot.extend(2_u32.to_le_bytes()); // BPB_RootClus
        boot.extend([1, 0, 6, 0]); // BPB_FSInfo, BPB_BkBootSec
        boot.extend([0; 12]); // BPB_Reserved
        boot.extend([0x80, 0, 0x29]); // BS_DrvNum, BS_Reserved1, BS_BootSig
        boot.extend(serial.to_le_bytes()); // BS_VolID
        boot.extend(LABEL); // BS_VolLab
        boot.extend(b"FAT32   "); // BS_FilSysType
        end_sector(&mut boot);
        let used = to_u64(chains.len()).saturating_sub(2);
        let free = self.clusters().saturating_sub(used);
        let mut info = b"RRaA".to_vec(); // FSI_LeadSig
        info.resize(484, 0);
        info.extend(b"rrAa"); // FSI_StrucSig
        info.extend(saturating_u32(free).to_le_bytes()); // FSI_Free_Count
        info.extend(saturating_u32(used + 2).to_le_bytes()); // FSI_Nxt_Free
        end_sector(&mut info);
        let mut last = Vec::new();
        end_sector(&mut last);
        let copy = [boot, info, last].concat();
        let mut all = copy.clone();
        all.resize(6 * to_usize(SECTOR), 0);
        all.extend(copy);
        all.resize(to_usize(RESERVED * SECTOR), 0);
        all
    }
}

const LABEL: &[u8; 11] = b"PLOOPCONV  ";

fn end_sector(bytes: &mut Vec<u8>) {
    bytes.resize(510, 0);
    bytes.extend([0x55, 0xaa]);
}

/// Folders and files in the order of their clusters.
#[derive(Debug, Default)]
struct Data {
    pieces: Vec<Arc<[u8]>>,
}

impl Data {
    /// Adds a folder and then all that is in it; answers its first cluster. Its clusters come
    /// before those of what is in it, whose places are known all the same: each takes the clusters
    /// after the one before it.
    fn folder(&mut self, nodes: &[Node], parent: Option<u32>, chains: &mut Vec<u32>) -> u32 {
        let own = chain(chains, clusters_of(folder_size(nodes)));
        let mut bytes = Vec::new();
        match parent {
            // The root has its label, and no entry of itself.
            None => bytes.extend(entry(LABEL, 0x08, 0, 0)),
            Some(parent) => {
                bytes.extend(entry(b".          ", 0x10, own, 0));
                bytes.extend(entry(b"..         ", 0x10, parent, 0));
            }
        }
        let at = self.pieces.len();
        self.pieces.push(Arc::from([]));
        for node in nodes {
            let name = node.short_name();
            match &node.what {
                What::File(file) => {
                    let size = to_u64(file.len());
                    let first = chain(chains, clusters_of(size));
                    bytes.extend(entry(&name, 0x20, first, saturating_u32(size)));
                    self.pieces.push(Arc::clone(file));
                }
                What::Folder(nodes) => {
                    // A folder in the root names cluster 0 as the root's.
                    let parent = parent.map_or(0, |_| own);
                    let first = self.folder(nodes, Some(parent), chains);
                    bytes.extend(entry(&name, 0x10, first, 0));
                }
            }
        }
        bytes.resize(to_usize(folder_size(nodes).next_multiple_of(CLUSTER)), 0);
        if let Some(place) = self.pieces.get_mut(at) {
            *place = bytes.into();
        }
        own
    }
}

/// Takes the next clusters; the first of them, 0 where there are none.
fn chain(chains: &mut Vec<u32>, count: u64) -> u32 {
    if count == 0 {
        return 0;
    }
    let first = saturating_u32(to_u64(chains.len()));
    let next = (1..count).map(|at| first + saturating_u32(at));
    chains.extend(next);
    chains.push(END);
    first
}

fn entry(name: &[u8; 11], attributes: u8, cluster: u32, size: u32) -> Vec<u8> {
    let mut bytes = name.to_vec(); // DIR_Name
    // Both halves of the name are shown in small letters: what Windows NT and Linux do.
    bytes.extend([attributes, if attributes == 0x08 { 0 } else { 0x18 }]); // DIR_Attr, DIR_NTRes
    bytes.extend([0; 3]); // DIR_CrtTimeTenth, DIR_CrtTime
    bytes.extend(DATE.to_le_bytes()); // DIR_CrtDate
    bytes.extend(DATE.to_le_bytes()); // DIR_LstAccDate
    let [low0, low1, high0, high1] = cluster.to_le_bytes();
    bytes.extend([high0, high1]); // DIR_FstClusHI
    bytes.extend([0; 2]); // DIR_WrtTime
    bytes.extend(DATE.to_le_bytes()); // DIR_WrtDate
    bytes.extend([low0, low1]); // DIR_FstClusLO
    bytes.extend(size.to_le_bytes()); // DIR_FileSize
    bytes
}
