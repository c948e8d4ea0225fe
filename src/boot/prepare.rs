//! Everything that a boot loader loads for one guest.

use std::path::{Path, PathBuf};

use super::first_boot;
use super::initramfs::{Initramfs, Listing};
use super::kernel::{Driver, Kernel, Settings, newest, numbers, read};
use super::modules::{Packed, Packing, pack, release_of};
use super::payload::{InitramfsPart, Payload};
use super::payload_error::{Found, PayloadError};
use crate::error::Result;
use crate::guest::{Change, RootFileSystem, modules_folder, needs_vsyscall, needs_writable_root};
use crate::tree::Tree;
use crate::util::bytes::to_u64;
use crate::workers::Workers;

const MIB: u64 = 1 << 20;

/// What an operator wants to start a guest with.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The kernel; `None` for the newest one of the host.
    pub kernel: Option<PathBuf>,
    /// Its initramfs; `None` for the one beside it.
    pub initrd: Option<PathBuf>,
    /// Its modules.
    pub modules: Modules,
    /// More words for its command line; what is said twice counts as it is said last.
    pub append: Option<String>,
    /// Where the host has its kernels.
    pub boot: PathBuf,
    /// Where the host has a folder of modules for each kernel.
    pub modules_folder: PathBuf,
}

/// Which modules the guest gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Modules {
    /// Those of the kernel, where the host has them.
    Auto,
    /// Those in this folder, or in a folder of the kernel's release in it.
    Folder(PathBuf),
    /// None.
    None,
}

impl Default for Wanted {
    /// All as the host has it.
    fn default() -> Self {
        Self {
            kernel: None,
            initrd: None,
            modules: Modules::Auto,
            append: None,
            boot: PathBuf::from("/boot"),
            modules_folder: PathBuf::from("/lib/modules"),
        }
    }
}

/// A guest that is to be started.
#[derive(Debug, Clone, Copy)]
pub struct BootGuest<'a> {
    /// Its files, where they can be read.
    pub tree: Option<&'a dyn Tree>,
    /// Its root file system; without a UUID the command line must name it.
    pub root: Option<&'a RootFileSystem>,
    /// Its processor in the kernel's spelling, where that is known.
    pub architecture: Option<&'a str>,
    /// What it changes at its first boot.
    pub changes: &'a [Change],
}

/// What a guest is started with.
#[derive(Debug)]
pub struct Prepared {
    /// What the boot loader loads.
    pub payload: Payload,
    /// The kernel's release.
    pub kernel_version: String,
    /// Where the kernel is.
    pub kernel: PathBuf,
    /// Where its initramfs is.
    pub initrd: PathBuf,
    /// The memory in bytes that the first boot takes.
    pub least_memory: u64,
    /// What a person should know: each a sentence without its stop.
    pub notes: Vec<String>,
}

/// Finds and reads everything that `guest` is started with. Nothing of the guest is run, and
/// nothing of the host is written. The same files give the same bytes.
///
/// # Errors
///
/// [`PayloadError`], and what the host's files and the guest's tree say.
pub fn prepare(wanted: &Wanted, guest: &BootGuest<'_>, workers: &Workers) -> Result<Prepared> {
    let kernel = match &wanted.kernel {
        Some(path) => Kernel::open(path)?.check(guest.architecture)?,
        None => newest(&wanted.boot, guest.architecture)?,
    };
    let initrd = match &wanted.initrd {
        Some(path) => path.clone(),
        None => kernel.initramfs(&wanted.boot)?,
    };
    let initramfs = read(&initrd)?;
    let listing = match Initramfs::of(&initramfs) {
        Initramfs::Read(listing) => Some(listing),
        Initramfs::Packed => None,
        Initramfs::Broken(fault) => {
            return Err(PayloadError::BrokenInitramfs {
                path: initrd,
                fault,
            }
            .into());
        }
    };
    let settings = Settings::of(&kernel, &wanted.boot);
    let mut notes = Vec::new();
    let parts = Parts {
        kernel: &kernel,
        initrd: &initrd,
        settings: &settings,
        listing: listing.as_ref(),
    };
    parts.check_drivers(guest.root, &mut notes)?;
    parts.check_hooks(guest.changes, &mut notes)?;
    let modules = match modules_of(wanted, &kernel, &mut notes)? {
        Some(from) => {
            let folder = guest.tree.map(modules_folder).transpose()?;
            let folder = folder.unwrap_or_else(|| b"lib/modules".to_vec());
            Some(pack(
                &from,
                &kernel.release,
                &folder,
                parts.packing(),
                workers,
            )?)
        }
        None => None,
    };
    let command_line = command_line(wanted, guest)?;
    kernel.check_command_line(&command_line)?;
    let first = first_boot::archive(guest.changes, guest.tree, &kernel.release)?;
    let least_memory = least_memory(&initramfs, listing.as_ref(), modules.as_ref());
    let mut archives = vec![("initrd.img", initramfs), ("first-boot.img", first)];
    archives.extend(modules.map(|modules| ("modules.img", modules.bytes)));
    let initramfs = archives.into_iter().map(|(name, bytes)| InitramfsPart {
        name: name.to_owned(),
        bytes: bytes.into(),
    });
    Ok(Prepared {
        payload: Payload {
            kernel: read(&kernel.path)?.into(),
            initramfs: initramfs.collect(),
            command_line,
        },
        kernel_version: kernel.release,
        kernel: kernel.path,
        initrd,
        least_memory,
        notes,
    })
}

/// A kernel and its initramfs, with what is known of both.
struct Parts<'a> {
    kernel: &'a Kernel,
    initrd: &'a Path,
    settings: &'a Settings,
    listing: Option<&'a Listing>,
}

impl Parts<'_> {
    /// Refuses a kernel that has no way to the root file system, and notes what else it cannot do.
    fn check_drivers(&self, root: Option<&RootFileSystem>, notes: &mut Vec<String>) -> Found<()> {
        if self.settings.driver("BLK_DEV_INITRD") == Driver::Missing {
            let (release, what) = (self.kernel.release.clone(), "an initramfs".to_owned());
            return Err(PayloadError::NoDriver { release, what });
        }
        let needed = [
            ("VIRTIO_PCI", "virtio_pci", "virtio devices"),
            ("VIRTIO_BLK", "virtio_blk", "virtio disks"),
        ];
        let file_system = root.map(|root| root.kind.as_str());
        let file_system = match file_system {
            // The driver of ext4 is that of the older ones too.
            Some("ext2" | "ext3" | "ext4") => Some(("EXT4_FS", "ext4", "ext4")),
            Some("xfs") => Some(("XFS_FS", "xfs", "XFS")),
            Some("btrfs") => Some(("BTRFS_FS", "btrfs", "btrfs")),
            _ => None,
        };
        let mut unknown = Vec::new();
        for (setting, module, what) in needed.into_iter().chain(file_system) {
            match (self.settings.driver(setting), self.listing) {
                (Driver::BuiltIn, _) => {}
                (Driver::Missing, _) => {
                    let release = self.kernel.release.clone();
                    let what = what.to_owned();
                    return Err(PayloadError::NoDriver { release, what });
                }
                (_, Some(listing)) if listing.has_module(module) => {}
                (Driver::Module, Some(_)) => {
                    let path = self.initrd.to_owned();
                    let what = what.to_owned();
                    return Err(PayloadError::NoDriverInInitramfs { path, what });
                }
                (Driver::Module | Driver::Unknown, _) => unknown.push(what),
            }
        }
        if !unknown.is_empty() {
            let initrd = self.initrd.display();
            let unknown = unknown.join(" and ");
            notes.push(format!(
                "nothing tells whether {initrd} has drivers for {unknown}"
            ));
        }
        if self.settings.driver("SATA_AHCI") == Driver::Missing {
            notes.push(
                "this kernel has no driver for SATA: the machine needs its disk as virtio"
                    .to_owned(),
            );
        }
        let told = [
            (
                "VIRTIO_NET",
                "this kernel has no driver for the network cards of virtio",
            ),
            (
                "SERIAL_8250_CONSOLE",
                "this kernel has no console on a serial port: the first boot and the login are on \
                 the screen",
            ),
            ("EFI", "this kernel knows no UEFI: BIOS starts it"),
        ];
        let told = told.iter();
        let told = told.filter(|(setting, _)| self.settings.driver(setting) == Driver::Missing);
        notes.extend(told.map(|(_, note)| (*note).to_owned()));
        Ok(())
    }

    /// Refuses an initramfs that would not make the changes.
    fn check_hooks(&self, changes: &[Change], notes: &mut Vec<String>) -> Found<()> {
        match self.listing {
            Some(listing) if !changes.is_empty() && !listing.runs_hooks() => {
                let path = self.initrd.to_owned();
                return Err(PayloadError::OtherInitramfs { path });
            }
            None if !changes.is_empty() => notes.push(format!(
                "nothing tells whether {} was made by initramfs-tools or dracut: no other makes \
                 the changes",
                self.initrd.display()
            )),
            _ => {}
        }
        Ok(())
    }

    /// How it can unpack another archive: zstd since Linux 5.9, if it was built so.
    fn packing(&self) -> Packing {
        match self.settings.driver("RD_ZSTD") {
            Driver::BuiltIn | Driver::Module => Packing::Zstd,
            Driver::Unknown if numbers(&self.kernel.release) >= (5, 9) => Packing::Zstd,
            Driver::Missing | Driver::Unknown => Packing::Gzip,
        }
    }
}

/// Where the kernel's modules are; `None` where the guest gets none.
fn modules_of(wanted: &Wanted, kernel: &Kernel, notes: &mut Vec<String>) -> Found<Option<PathBuf>> {
    let release = &kernel.release;
    // Links are not followed.
    let has_modules = |folder: &PathBuf| {
        folder.join("modules.dep").exists() && !folder.join("kernel").is_symlink()
    };
    match &wanted.modules {
        Modules::None => Ok(None),
        Modules::Folder(folder) => {
            let folders = [folder.join(release), folder.clone()];
            let Some(found) = folders.into_iter().find(has_modules) else {
                return Err(PayloadError::NoModules {
                    folder: folder.clone(),
                    release: release.clone(),
                });
            };
            match release_of(&found).filter(|of| of != release) {
                Some(other) => Err(PayloadError::OtherModules {
                    folder: found,
                    release: release.clone(),
                    found: other,
                }),
                None => Ok(Some(found)),
            }
        }
        Modules::Auto => {
            let folder = wanted.modules_folder.join(release);
            if has_modules(&folder) {
                return Ok(Some(folder));
            }
            let folder = wanted.modules_folder.display();
            notes.push(format!(
                "{folder} has no modules of this kernel: the machine has the drivers of the \
                 initramfs only"
            ));
            Ok(None)
        }
    }
}

/// Kernel and programs, the archives as they are loaded and unpacked, in whole 128 MiB.
fn least_memory(initramfs: &[u8], listing: Option<&Listing>, modules: Option<&Packed>) -> u64 {
    let packed = to_u64(initramfs.len());
    let unpacked = listing.map_or(packed.saturating_mul(4), |listing| listing.size);
    let of_modules = modules.map_or(0, |modules| {
        modules.size.saturating_add(to_u64(modules.bytes.len()))
    });
    let all = [160 * MIB, packed, unpacked, of_modules];
    let all = all.into_iter().fold(0, u64::saturating_add);
    all.max(256 * MIB).next_multiple_of(128 * MIB)
}

fn command_line(wanted: &Wanted, guest: &BootGuest<'_>) -> Result<String> {
    let mut words = Vec::new();
    words.extend(guest.root.map(|root| format!("root=UUID={}", root.uuid)));
    let writable = guest.tree.map(needs_writable_root).transpose()? == Some(true);
    words.push(if writable { "rw" } else { "ro" }.to_owned());
    let usual = "console=tty0 console=ttyS0,115200 net.ifnames=0 noresume systemd.gpt_auto=no";
    words.push(usual.to_owned());
    if guest.tree.map(needs_vsyscall).transpose()? == Some(true) {
        words.push("vsyscall=emulate".to_owned());
    }
    words.extend(wanted.append.clone());
    Ok(words.join(" "))
}
