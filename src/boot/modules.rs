//! A kernel's modules as archives for its initramfs, from where the guest takes them.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::cpio::Cpio;
use super::first_boot::FOLDER;
use crate::error::{Error, Result};
use crate::util::bytes::to_u64;
use crate::workers::Workers;

/// How the kernel can unpack an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Zstd,
    Gzip,
}

/// The files in an archive of its own, in bytes: archives are packed beside each other.
const AT_ONCE: u64 = 8 << 20;

/// Modules that were packed.
#[derive(Debug, Default)]
pub(super) struct Packed {
    pub(super) bytes: Vec<u8>,
    /// How many bytes they take unpacked.
    pub(super) size: u64,
}

/// Packs the folder `from` of the kernel `release`; the guest keeps modules in `folder`. Links,
/// which lead to the kernel's source, are left out. The same files give the same bytes.
pub(super) fn pack(
    from: &Path,
    release: &str,
    folder: &[u8],
    packing: Packing,
    workers: &Workers,
) -> Result<Packed> {
    let mut archives = vec![Cpio::default()];
    let base = format!("{FOLDER}/modules");
    let start = archives.first_mut();
    if let Some(cpio) = start {
        cpio.folder(base.as_bytes());
        cpio.file(
            format!("{base}/version").as_bytes(),
            0o644,
            release.as_bytes(),
        );
        cpio.file(format!("{base}/folder").as_bytes(), 0o644, folder);
    }
    let mut adding = Adding {
        archives,
        held: 0,
        size: 0,
    };
    adding.folder(from, &format!("{base}/{release}"))?;
    // The last: where memory was too little for all, it is missing.
    let mut last = Cpio::default();
    last.file(format!("{base}/complete").as_bytes(), 0o644, b"");
    adding.archives.push(last);
    let archives: Vec<Vec<u8>> = adding.archives.into_iter().map(Cpio::finish).collect();
    let packed = workers.install(|| {
        let packed = archives
            .into_par_iter()
            .map(|archive| packing.pack(&archive));
        packed.collect::<std::io::Result<Vec<_>>>()
    });
    let packed = packed.map_err(|source| Error::io("packing", from, source))?;
    Ok(Packed {
        bytes: packed.concat(),
        size: adding.size,
    })
}

/// The release of the kernel that a folder's modules are for: as one of them says, or as the folder
/// is called; `None` where neither tells.
pub(super) fn release_of(folder: &Path) -> Option<String> {
    const VERMAGIC: &[u8] = b"vermagic=";
    let said = first_module(folder).and_then(|bytes| {
        let mut places = bytes.windows(VERMAGIC.len());
        let place = places.position(|text| text == VERMAGIC)?;
        let text = bytes.get(place + VERMAGIC.len()..)?;
        let end = text.iter().position(|byte| b" \0".contains(byte))?;
        String::from_utf8(text.get(..end)?.to_vec()).ok()
    });
    said.or_else(|| {
        let name = fs::canonicalize(folder).ok()?;
        let name = name.file_name()?.to_str()?.to_owned();
        let is_release = name.starts_with(|c: char| c.is_ascii_digit());
        is_release.then_some(name)
    })
}

/// The bytes of a module that can be unpacked here.
fn first_module(folder: &Path) -> Option<Vec<u8>> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let (path, kind) = (entry.path(), entry.file_type().ok()?);
            match path.extension().and_then(|end| end.to_str()) {
                _ if kind.is_dir() => folders.push(path),
                Some("ko") => return fs::read(path).ok(),
                Some("zst") => return zstd::decode_all(File::open(path).ok()?).ok(),
                _ => {}
            }
        }
    }
    None
}

impl Packing {
    fn pack(self, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            // A higher level takes twice the time or more for a tenth of the size.
            Self::Zstd => zstd::bulk::compress(bytes, 3),
            Self::Gzip => {
                let mut packed = GzEncoder::new(Vec::new(), Compression::default());
                packed.write_all(bytes)?;
                packed.finish()
            }
        }
    }
}

struct Adding {
    archives: Vec<Cpio>,
    /// The bytes of files in the last archive.
    held: u64,
    size: u64,
}

impl Adding {
    fn folder(&mut self, from: &Path, to: &str) -> Result<()> {
        let io = |source| Error::io("reading", from, source);
        let entries = fs::read_dir(from).map_err(io)?;
        let mut entries = entries.collect::<std::io::Result<Vec<_>>>().map_err(io)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        self.last().folder(to.as_bytes());
        for entry in entries {
            let path = entry.path();
            let kind = entry
                .file_type()
                .map_err(|source| Error::io("reading", &path, source))?;
            let name = format!("{to}/{}", entry.file_name().to_string_lossy());
            if kind.is_dir() {
                self.folder(&path, &name)?;
            } else if kind.is_file() {
                let bytes =
                    fs::read(&path).map_err(|source| Error::io("reading", &path, source))?;
                let len = to_u64(bytes.len());
                if self.held.saturating_add(len) > AT_ONCE && self.held > 0 {
                    self.archives.push(Cpio::default());
                    self.held = 0;
                }
                self.held = self.held.saturating_add(len);
                self.size = self.size.saturating_add(len);
                self.last().file(name.as_bytes(), 0o644, &bytes);
            }
        }
        Ok(())
    }

    fn last(&mut self) -> &mut Cpio {
        if self.archives.is_empty() {
            self.archives.push(Cpio::default());
        }
        let last = self.archives.len().saturating_sub(1);
        &mut self.archives[last]
    }
}
