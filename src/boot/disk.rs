//! A disk that boots, as a view of the disk that it is made of.

use std::ops::Range;
use std::sync::Arc;

use super::error::BootError;
use super::fat::{self, Node};
use super::gpt::SECTOR;
use super::grub::{Grub, Images};
use super::layout::{Added, Layout};
use super::payload::Payload;
use crate::disk::{Concat, VirtualDisk};
use crate::error::Result;
use crate::partition;
use crate::util::bytes::{le_u16, to_u64};
use crate::util::text::safe;

/// A disk that boots.
#[derive(Debug)]
pub struct BootDisk {
    /// It, to be read.
    pub disk: Arc<dyn VirtualDisk>,
    /// The partitions of the old disk by their numbers there, and where the bytes of each lie now.
    pub kept: Vec<(u32, Range<u64>)>,
    /// The number of the partition with the kernel.
    pub boot_number: u32,
    /// Where that lies, in bytes.
    pub boot: Range<u64>,
    /// How many bytes all partitions were moved by.
    pub moved: u64,
    /// Whether UEFI starts it too: its programs have 64 bits and start no kernel of 32.
    pub for_uefi: bool,
}

/// Makes a disk that boots of `disk`: its partitions with all their bytes at their places, and
/// beside them a boot partition with `payload` and a boot loader for BIOS and UEFI. Reads the
/// partition table and what tells a file system, and no data. The same disk, payload and GRUB give
/// the same bytes.
///
/// # Errors
///
/// [`BootError`], and what the partition table says.
pub fn compose(disk: &Arc<dyn VirtualDisk>, payload: &Payload, grub: &Grub) -> Result<BootDisk> {
    let config = configuration(payload)?;
    let layout = partition::read(&**disk)?;
    // The images name the file system that they are for, and where that lies depends on their size.
    let serial = Layout::of(&**disk, &layout, Added { core: 0, system: 0 })?.serial;
    let images = grub.images(serial)?;
    let for_uefi = is_of_64_bits(&payload.kernel);
    let nodes = nodes(payload, &images, config, for_uefi);
    let added = Added {
        core: images.core_size(),
        system: fat::size_for(&nodes),
    };
    let layout = Layout::of(&**disk, &layout, added)?;
    let composed = assemble(disk, &layout, &images, &nodes)?;
    let kept = layout.kept.iter();
    let moved = kept.clone().next().map_or(0, |kept| {
        kept.entry.range.start.saturating_sub(kept.from.start)
    });
    Ok(BootDisk {
        disk: Arc::new(composed),
        kept: kept.map(|kept| (kept.entry.number, kept.place())).collect(),
        boot_number: layout.system.number,
        boot: layout.system.range.clone(),
        moved,
        for_uefi,
    })
}

fn assemble(
    old: &Arc<dyn VirtualDisk>,
    layout: &Layout,
    images: &Images,
    nodes: &[Node],
) -> Result<Concat> {
    let table = layout.table();
    let core_at = layout.bios.range.start / SECTOR;
    let mut disk = Concat::default();
    disk.bytes("partition table", table.front(&images.boot_code(core_at))?)?;
    let mut pieces: Vec<(u64, Piece<'_>)> = vec![
        (layout.bios.range.start, Piece::Core),
        (layout.system.range.start, Piece::System),
    ];
    let kept = layout.kept.iter();
    pieces.extend(kept.map(|kept| (kept.entry.range.start, Piece::Kept(&kept.from))));
    pieces.sort_by_key(|(start, _)| *start);
    for (start, piece) in pieces {
        fill(&mut disk, start)?;
        match piece {
            Piece::Kept(from) => disk.part(Arc::clone(old), from.clone())?,
            Piece::Core => disk.bytes("boot loader", images.core(core_at))?,
            Piece::System => {
                let range = &layout.system.range;
                let size = range.end.saturating_sub(range.start);
                fat::add(&mut disk, nodes, size, start / SECTOR, layout.serial)?;
            }
        }
    }
    let back = table.back()?;
    fill(&mut disk, layout.size.saturating_sub(to_u64(back.len())))?;
    disk.bytes("partition table", back)?;
    Ok(disk)
}

/// Something that lies at a place.
enum Piece<'a> {
    Kept(&'a Range<u64>),
    Core,
    System,
}

/// Zeros up to a place.
fn fill(disk: &mut Concat, end: u64) -> Result<()> {
    disk.zeros(end.saturating_sub(disk.size()))
}

/// What the boot partition holds. The largest come last, so that small ones can be replaced.
fn nodes(payload: &Payload, images: &Images, config: String, for_uefi: bool) -> Vec<Node> {
    let config: Arc<[u8]> = config.into_bytes().into();
    let mut nodes = vec![Node::folder("GRUB", vec![Node::file("GRUB.CFG", config)])];
    if for_uefi {
        // What UEFI starts from a disk that it knows nothing about.
        let program = Node::file("BOOTX64.EFI", images.efi.clone().into());
        nodes.push(Node::folder(
            "EFI",
            vec![Node::folder("BOOT", vec![program])],
        ));
    }
    nodes.push(Node::file("VMLINUZ", Arc::clone(&payload.kernel)));
    let parts = payload.initramfs.iter().enumerate();
    nodes.extend(parts.map(|(at, part)| Node::numbered("INITRD", at, Arc::clone(&part.bytes))));
    nodes
}

const CONFIGURATION: &str = include_str!("grub.cfg");

/// GRUB's configuration: on the screen and, where there is one, on the first serial port.
fn configuration(payload: &Payload) -> Result<String> {
    let mut words = Vec::new();
    for word in payload.command_line.split_whitespace() {
        // GRUB puts a backslash before them.
        if word.contains(['\'', '"', '\\']) || word.contains(char::is_control) {
            let word = safe(word).into_owned();
            return Err(BootError::CommandLine { word }.into());
        }
        words.push(format!("'{word}'"));
    }
    let parts = (0..payload.initramfs.len()).map(|at| format!(" /initrd.{at}"));
    let (words, parts) = (words.join(" "), parts.collect::<String>());
    // The words last: what they say is not replaced.
    let config = CONFIGURATION.replace("@PARTS@", &parts);
    Ok(config.replace("@WORDS@", &words))
}

/// Whether a kernel says that a boot loader of 64 bits can start it (`XLF_KERNEL_64` in
/// `xloadflags`, Documentation/arch/x86/boot.rst).
fn is_of_64_bits(kernel: &[u8]) -> bool {
    kernel.get(0x202..0x206) == Some(b"HdrS") && le_u16(kernel, 0x236) & 1 != 0
}
