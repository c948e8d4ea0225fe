//! Kernels of the operator's host: which there are, and for which processor each is.

use std::cmp::Ordering;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::payload_error::{Found, PayloadError};
use crate::error::{Error, Result};
use crate::util::bytes::{field, le_u16, le_u32, to_usize};
use crate::util::paths::folder_of;

/// The bytes of a kernel's file that tell what it is.
const HEAD: u64 = 64 << 10;

/// A kernel in a file.
#[derive(Debug, Clone)]
pub(super) struct Kernel {
    pub(super) path: PathBuf,
    /// As `uname -r` has it.
    pub(super) release: String,
    pub(super) is_64: bool,
    /// The most bytes that its command line has.
    pub(super) longest_command_line: usize,
}

impl Kernel {
    /// Looks at a file. The fields are those of Documentation/arch/x86/boot.rst.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let io = |source| Error::io("reading", path, source);
        let mut head = Vec::new();
        let file = File::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        file.take(HEAD).read_to_end(&mut head).map_err(io)?;
        let not_one = || PayloadError::NotAKernel {
            path: path.to_owned(),
        };
        if field(&head, 0x202) != Some(*b"HdrS") || field(&head, 0x1fe) != Some([0x55, 0xaa]) {
            return Err(not_one().into());
        }
        // kernel_version is an offset from the second sector; xloadflags came with 2.12.
        let version = usize::from(le_u16(&head, 0x20e)).saturating_add(0x200);
        let text = head.get(version..).unwrap_or_default();
        let release = text.split(|byte| *byte == b' ' || *byte == 0).next();
        let release = String::from_utf8_lossy(release.unwrap_or_default()).into_owned();
        let fits = |c: char| c.is_ascii_alphanumeric() || "._+~-".contains(c);
        if release.is_empty() || !release.chars().all(fits) {
            return Err(not_one().into());
        }
        // The boot sector, setup_sects of 512 bytes (0 stands for 4), syssize of 16.
        let setup = match head.get(0x1f1) {
            None | Some(0) => 4,
            Some(&sectors) => u64::from(sectors),
        };
        let stated = (setup + 1) * 512 + u64::from(le_u32(&head, 0x1f4)) * 16;
        // The last 16 bytes need not be full.
        if size + 15 < stated {
            return Err(PayloadError::CutKernel {
                path: path.to_owned(),
                size,
                stated,
            }
            .into());
        }
        let protocol = le_u16(&head, 0x206);
        let has_flags = protocol >= 0x20c;
        Ok(Self {
            path: path.to_owned(),
            release,
            is_64: has_flags && le_u16(&head, 0x236) & 1 != 0,
            // cmdline_size came with 2.06.
            longest_command_line: match protocol {
                0x206.. => to_usize(le_u32(&head, 0x238)),
                _ => 255,
            },
        })
    }

    pub(super) fn processor(&self) -> &'static str {
        match self.is_64 {
            true => "x86_64",
            false => "i386",
        }
    }

    /// Whether it starts programs of a processor, in the kernel's spelling.
    fn is_for(&self, architecture: Option<&str>) -> bool {
        architecture.is_none_or(|architecture| general(architecture) == self.processor())
    }

    /// Makes sure that it is for the guest.
    pub(super) fn check(self, architecture: Option<&str>) -> Found<Self> {
        match architecture {
            Some(guest) if !self.is_for(Some(guest)) => Err(PayloadError::OtherProcessor {
                kernel: self.processor(),
                path: self.path,
                guest: guest.to_owned(),
            }),
            _ => Ok(self),
        }
    }

    /// Makes sure that it takes a command line, with the word that GRUB puts in front of it.
    pub(super) fn check_command_line(&self, text: &str) -> Found<()> {
        let length = "BOOT_IMAGE=/vmlinuz ".len().saturating_add(text.len());
        let most = self.longest_command_line;
        match length > most {
            true => Err(PayloadError::LongCommandLine {
                release: self.release.clone(),
                most,
                length,
            }),
            false => Ok(()),
        }
    }

    /// The initramfs that distributions put beside it; of a copy of a kernel that the host has, the
    /// one in the host's folder `boot`.
    pub(super) fn initramfs(&self, boot: &Path) -> Found<PathBuf> {
        let folder = folder_of(&self.path);
        let release = &self.release;
        let names = [
            format!("initrd.img-{release}"),
            format!("initramfs-{release}.img"),
            format!("initrd-{release}"),
            format!("initrd-{release}.img"),
            format!("initramfs-{release}"),
        ];
        let folders = [folder, boot];
        let mut paths = folders
            .iter()
            .flat_map(|folder| names.iter().map(|name| folder.join(name)));
        let found = paths.find(|path| path.is_file());
        found.ok_or_else(|| PayloadError::NoInitramfs {
            folder: folder.to_owned(),
            release: release.clone(),
        })
    }
}

/// Processors of one family as one.
fn general(architecture: &str) -> &str {
    match architecture {
        "i486" | "i586" | "i686" => "i386",
        "amd64" => "x86_64",
        other => other,
    }
}

/// The newest kernel in a folder that is for a processor and has an initramfs.
pub(super) fn newest(folder: &Path, architecture: Option<&str>) -> Result<Kernel> {
    let entries = fs::read_dir(folder).map_err(|source| Error::io("reading", folder, source))?;
    let mut names: Vec<(String, PathBuf)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let name = path.file_name()?.to_str()?;
            let version = name.strip_prefix("vmlinuz-")?;
            let is_rescue = version.contains("rescue");
            (!is_rescue).then(|| (version.to_owned(), path.clone()))
        })
        .collect();
    names.sort_by(|(one, _), (other, _)| by_version(other, one));
    let mut unread = None;
    for (_, path) in names {
        match Kernel::open(&path) {
            Ok(kernel) if kernel.is_for(architecture) && kernel.initramfs(folder).is_ok() => {
                return Ok(kernel);
            }
            // Another one may serve.
            Err(error) if error.detail::<PayloadError>().is_none() => {
                unread.get_or_insert(error);
            }
            _ => {}
        }
    }
    if let Some(error) = unread {
        return Err(error);
    }
    let architecture = architecture.unwrap_or("x86_64");
    Err(PayloadError::NoKernel {
        folder: folder.to_owned(),
        architecture: architecture.to_owned(),
        package: match general(architecture) {
            "i386" => "linux-image-686-pae",
            _ => "linux-image-amd64",
        },
    }
    .into())
}

/// The order of versions: runs of digits count as numbers.
fn by_version(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one, other);
    loop {
        let (a, b) = (piece(&mut one), piece(&mut other));
        let order = match (a.parse::<u64>(), b.parse::<u64>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            _ => a.cmp(b),
        };
        if order != Ordering::Equal || a.is_empty() && b.is_empty() {
            return order;
        }
    }
}

/// Takes a run of digits, or of other characters, from the start of a text.
fn piece<'a>(text: &mut &'a str) -> &'a str {
    let is_digit = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != is_digit);
    let (piece, rest) = text.split_at(end.unwrap_or(text.len()));
    *text = rest;
    piece
}

/// What a kernel was built with: `config-RELEASE`.
#[derive(Debug, Default)]
pub(super) struct Settings(Option<String>);

/// How a kernel has a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Driver {
    BuiltIn,
    Module,
    Missing,
    /// The settings are not there.
    Unknown,
}

impl Settings {
    /// Those beside a kernel or, of a copy of one that the host has, in the host's folder `boot`.
    pub(super) fn of(kernel: &Kernel, boot: &Path) -> Self {
        let name = format!("config-{}", kernel.release);
        let folders = [folder_of(&kernel.path), boot];
        let mut texts = folders
            .iter()
            .filter_map(|folder| fs::read_to_string(folder.join(&name)).ok());
        Self(texts.next())
    }

    /// A setting without its `CONFIG_`.
    pub(super) fn driver(&self, name: &str) -> Driver {
        let Some(text) = &self.0 else {
            return Driver::Unknown;
        };
        let value = text.lines().find_map(|line| {
            line.strip_prefix("CONFIG_")?
                .strip_prefix(name)?
                .strip_prefix('=')
        });
        match value {
            Some("y") => Driver::BuiltIn,
            Some("m") => Driver::Module,
            _ => Driver::Missing,
        }
    }
}

/// Reads a whole file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|source| Error::io("reading", path, source))
}

/// The first two numbers of a release.
pub(super) fn numbers(release: &str) -> (u64, u64) {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    let mut next = || parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
    (next(), next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_the_order_of_their_numbers() {
        let mut names = vec![
            "6.1.0-9-amd64",
            "6.1.0-48-amd64",
            "5.10.0-30-amd64",
            "6.10.3-1-pve",
            "6.1.0-48-cloud-amd64",
            "6.1",
        ];
        names.sort_by(|one, other| by_version(one, other));
        assert_eq!(
            names,
            [
                "5.10.0-30-amd64",
                "6.1",
                "6.1.0-9-amd64",
                "6.1.0-48-amd64",
                "6.1.0-48-cloud-amd64",
                "6.10.3-1-pve",
            ]
        );
    }
}
