//! GRUB's images, made by its own program of its own modules.
//!
//! GRUB is not part of this project: what the operator's host has is used, as an ordinary user may.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::BootError;
use crate::error::{Error, Result};
use crate::util::bytes::{to_u64, to_usize};

/// Where GRUB is on this host.
#[derive(Debug, Clone)]
pub struct Grub {
    /// Names or paths of the program that makes images, the first that is there.
    pub programs: Vec<PathBuf>,
    /// Folders with a folder of modules for each platform.
    pub folders: Vec<PathBuf>,
}

impl Default for Grub {
    /// As distributions have it.
    fn default() -> Self {
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect();
        Self {
            programs: paths(&["grub-mkimage", "grub2-mkimage"]),
            folders: paths(&["/usr/lib/grub", "/usr/share/grub2", "/usr/lib/grub2"]),
        }
    }
}

/// What a boot needs whatever the firmware is.
const MODULES: &[&str] = &[
    "part_gpt",
    "fat",
    "search_fs_uuid",
    "configfile",
    "normal",
    "linux",
    "serial",
    "terminal",
    "echo",
];

/// A kind of firmware.
struct Platform {
    firmware: &'static str,
    folder: &'static str,
    package: &'static str,
    modules: &'static [&'static str],
}

const BIOS: Platform = Platform {
    firmware: "BIOS",
    folder: "i386-pc",
    package: "grub-pc-bin",
    modules: &["biosdisk"],
};

const UEFI: Platform = Platform {
    firmware: "UEFI",
    folder: "x86_64-efi",
    package: "grub-efi-amd64-bin",
    modules: &["efi_gop", "video"],
};

/// GRUB's images for one disk.
#[derive(Debug)]
pub(super) struct Images {
    /// The code of the boot record.
    boot: Vec<u8>,
    /// What that code loads.
    core: Vec<u8>,
    /// A program for UEFI.
    pub(super) efi: Vec<u8>,
}

impl Grub {
    /// Makes images that read their configuration from the FAT file system of a serial number.
    pub(super) fn images(&self, serial: u32) -> Result<Images> {
        let bios = self.modules(&BIOS)?;
        let uefi = self.modules(&UEFI)?;
        let path = bios.join("boot.img");
        let boot = fs::read(&path).map_err(|source| Error::io("reading", &path, source))?;
        let core = self.image(&BIOS, &bios, serial)?;
        let efi = self.image(&UEFI, &uefi, serial)?;
        // Where the sectors to load are written: the last twelve bytes of the first sector.
        if boot.len() != 512 || core.len() < 1024 || efi.get(..2) != Some(b"MZ") {
            let why = "its images are not of the form that is known".to_owned();
            return Err(self.failed(&BIOS, why).into());
        }
        Ok(Images { boot, core, efi })
    }

    fn modules(&self, platform: &Platform) -> Result<PathBuf> {
        let folders = self
            .folders
            .iter()
            .map(|folder| folder.join(platform.folder));
        let found = folders
            .into_iter()
            .find(|folder| folder.join("linux.mod").is_file());
        let missing = BootError::NoPlatform {
            firmware: platform.firmware,
            package: platform.package,
        };
        found.ok_or(missing.into())
    }

    fn image(&self, platform: &Platform, modules: &Path, serial: u32) -> Result<Vec<u8>> {
        // Its program syncs what it makes, which a pipe cannot.
        let io = |source| Error::io("making a folder for", Path::new("grub-mkimage"), source);
        let folder = tempfile::tempdir().map_err(io)?;
        let (config, image) = (folder.path().join("config"), folder.path().join("image"));
        let (high, low) = (serial >> 16, serial & 0xffff);
        let text = format!(
            "search.fs_uuid {high:04X}-{low:04X} root\n\
             set prefix=($root)/grub\nconfigfile ($root)/grub/grub.cfg\n"
        );
        fs::write(&config, text).map_err(|source| Error::io("writing", &config, source))?;
        for program in &self.programs {
            let mut command = Command::new(program);
            command
                .env("LC_ALL", "C")
                .arg(option('O'))
                .arg(platform.folder);
            command
                .arg(option('o'))
                .arg(&image)
                .arg(option('d'))
                .arg(modules)
                .arg(option('p'))
                .arg("/grub");
            command
                .arg(option('c'))
                .arg(&config)
                .args(MODULES)
                .args(platform.modules);
            let output = match command.output() {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                other => other.map_err(|source| Error::io("starting", program, source))?,
            };
            if !output.status.success() || !image.exists() {
                let said = String::from_utf8_lossy(&output.stderr);
                return Err(self.failed(platform, said.trim().to_owned()).into());
            }
            return fs::read(&image).map_err(|source| Error::io("reading", &image, source));
        }
        Err(BootError::NoGrub.into())
    }

    fn failed(&self, platform: &Platform, why: String) -> BootError {
        BootError::GrubFailed {
            program: self.programs.first().cloned().unwrap_or_default(),
            firmware: platform.firmware,
            why,
        }
    }
}

impl Images {
    /// The size in bytes of what the boot record loads.
    pub(super) fn core_size(&self) -> u64 {
        to_u64(self.core.len())
    }

    /// The code of a boot record that loads the core from sector `at`; the field is that of
    /// GRUB's own installer (`kernel_sector`), and two instructions that are for floppy disks
    /// become none.
    pub(super) fn boot_code(&self, at: u64) -> [u8; 440] {
        let mut code = self.boot.first_chunk().copied().unwrap_or([0; 440]);
        put(&mut code, 0x5c, &at.to_le_bytes());
        put(&mut code, 0x64, &[0xff]);
        put(&mut code, 0x66, &[0x90, 0x90]);
        code
    }

    /// The core as it lies at sector `at`: its first sector says where the others are.
    pub(super) fn core(&self, at: u64) -> Vec<u8> {
        let mut core = self.core.clone();
        put(&mut core, 0x1f4, &at.saturating_add(1).to_le_bytes());
        core.resize(to_usize(self.core_size().next_multiple_of(512)), 0);
        core
    }
}

/// An option of GRUB's program.
fn option(letter: char) -> String {
    format!("-{letter}")
}

fn put(bytes: &mut [u8], at: usize, what: &[u8]) {
    for (place, byte) in bytes.iter_mut().skip(at).zip(what) {
        *place = *byte;
    }
}
