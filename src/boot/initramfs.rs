//! What an initramfs holds: the names of its files, where it can be unpacked here.

use std::io::{self, BufRead as _, BufReader, Read};

use flate2::bufread::GzDecoder;

/// What a file is that should be an initramfs.
#[derive(Debug)]
pub(super) enum Initramfs {
    Read(Listing),
    /// It is packed in a way that a kernel knows and that is not read here.
    Packed,
    /// No kernel unpacks it.
    Broken(Fault),
}

/// What is wrong with an initramfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// There is nothing in it.
    Empty,
    /// It does not begin as an archive does, packed or not.
    NoArchive,
    /// It ends in the middle, or its bytes are not what was packed.
    Damaged,
}

/// How the packings begin that Linux knows (`lib/decompress.c`) and that are not read here: bzip2,
/// lzma, xz, lzo, lz4.
const OTHER_PACKINGS: [&[u8]; 6] = [
    b"BZh",
    &[0x5d, 0, 0],
    &[0xfd, b'7', b'z', b'X', b'Z', 0],
    &[0x89, b'L', b'Z', b'O'],
    &[0x02, 0x21, 0x4c, 0x18],
    &[0x04, 0x22, 0x4d, 0x18],
];

/// What is known of an initramfs.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Without a slash or a dot in front.
    names: Vec<Vec<u8>>,
    /// The bytes that its files take.
    pub(super) size: u64,
}

impl Initramfs {
    /// Looks into one archive or several behind each other.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut listing = Listing::default();
        let mut rest = bytes;
        loop {
            let zeros = rest.iter().take_while(|byte| **byte == 0).count();
            rest = rest.get(zeros..).unwrap_or_default();
            if rest.is_empty() {
                return match listing.names.is_empty() {
                    true => Self::Broken(Fault::Empty),
                    false => Self::Read(listing),
                };
            }
            if OTHER_PACKINGS.iter().any(|start| rest.starts_with(start)) {
                return Self::Packed;
            }
            match listing.add_next(&mut rest) {
                Some(Ok(())) => {}
                Some(Err(_)) => return Self::Broken(Fault::Damaged),
                None => return Self::Broken(Fault::NoArchive),
            }
        }
    }
}

impl Listing {
    /// Adds what the next archive holds; `None` where `rest` begins with none.
    fn add_next(&mut self, rest: &mut &[u8]) -> Option<io::Result<()>> {
        if rest.starts_with(b"07070") {
            Some(self.add(rest))
        } else if rest.starts_with(&[0x1f, 0x8b]) {
            Some(self.add_all(&mut GzDecoder::new(rest)))
        } else if rest.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            let unpacked = zstd::Decoder::with_buffer(rest);
            Some(unpacked.and_then(|unpacked| self.add_all(&mut unpacked.single_frame())))
        } else {
            None
        }
    }

    /// Whether it runs what other archives put into its folders: that of initramfs-tools and that
    /// of dracut do.
    pub(super) fn runs_hooks(&self) -> bool {
        let has = |name: &[u8]| self.names.iter().any(|found| found == name);
        let tools = has(b"conf/conf.d") && has(b"scripts/init-bottom/ORDER");
        let of_dracut = |name: &Vec<u8>| name.ends_with(b"dracut/hooks/pre-pivot");
        tools || self.names.iter().any(of_dracut)
    }

    /// Whether a file of a kernel's module is there, packed or not, whichever dash its name has.
    pub(super) fn has_module(&self, name: &str) -> bool {
        self.names.iter().any(|path| {
            let file = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            let file = String::from_utf8_lossy(file).replace('-', "_");
            file.strip_prefix(name)
                .is_some_and(|rest| rest == ".ko" || rest.starts_with(".ko."))
        })
    }

    /// Adds the names of all archives that were packed together.
    fn add_all(&mut self, archives: &mut impl Read) -> io::Result<()> {
        let mut archives = BufReader::new(archives);
        loop {
            let ready = archives.fill_buf()?;
            let zeros = ready.iter().take_while(|byte| **byte == 0).count();
            if ready.is_empty() {
                return Ok(());
            } else if zeros > 0 {
                archives.consume(zeros);
            } else {
                self.add(&mut archives)?;
            }
        }
    }

    /// Adds the names of one archive, up to its end.
    fn add(&mut self, archive: &mut impl Read) -> io::Result<()> {
        loop {
            let mut header = [0; 110];
            archive.read_exact(&mut header)?;
            let number = |at: usize| {
                let text = header.get(at..at + 8).unwrap_or_default();
                let text = std::str::from_utf8(text).map_err(io::Error::other)?;
                u64::from_str_radix(text, 16).map_err(io::Error::other)
            };
            if !header.starts_with(b"07070") {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let (size, name_size) = (number(54)?, number(94)?);
            if name_size == 0 || name_size > 4096 {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let padded = (110 + name_size).next_multiple_of(4) - 110;
            let mut name = Vec::new();
            archive.take(padded).read_to_end(&mut name)?;
            let end = name.iter().position(|byte| *byte == 0);
            name.truncate(end.unwrap_or(name.len()));
            if name == b"TRAILER!!!" {
                return Ok(());
            }
            let wanted = size.next_multiple_of(4);
            let passed = io::copy(&mut archive.take(wanted), &mut io::sink())?;
            if passed != wanted {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.size = self.size.saturating_add(size);
            let start = name.iter().position(|byte| !b"./".contains(byte));
            self.names.extend(start.map(|start| name.split_off(start)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::cpio::Cpio;

    fn archive(names: &[&str]) -> Vec<u8> {
        let mut cpio = Cpio::default();
        for name in names {
            cpio.file(name.as_bytes(), 0o644, b"x");
        }
        cpio.finish()
    }

    fn names(bytes: &[u8]) -> Vec<String> {
        match Initramfs::of(bytes) {
            Initramfs::Read(listing) => {
                let names = listing.names.iter();
                names
                    .map(|name| String::from_utf8_lossy(name).into_owned())
                    .collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn archives_behind_each_other_are_read_whether_packed_apart_together_or_not() {
        let (one, two) = (archive(&["./a", "conf/conf.d"]), archive(&["b"]));
        let together = [one.clone(), vec![0; 512], two.clone()].concat();
        assert_eq!(names(&together), ["a", "conf/conf.d", "b"]);
        let packed = zstd::bulk::compress(&together, 1).unwrap();
        assert_eq!(names(&packed), ["a", "conf/conf.d", "b"]);
        let frame = |bytes: &[u8]| zstd::bulk::compress(bytes, 1).unwrap();
        let apart = [two, frame(&one), vec![0; 4], frame(&archive(&["c"]))].concat();
        assert_eq!(names(&apart), ["b", "a", "conf/conf.d", "c"]);
    }

    #[test]
    fn what_no_kernel_unpacks_is_broken_and_what_is_packed_otherwise_is_not() {
        let fault = |bytes: &[u8]| match Initramfs::of(bytes) {
            Initramfs::Broken(fault) => fault,
            other => panic!("{other:?}"),
        };
        assert_eq!(fault(&[]), Fault::Empty);
        assert_eq!(fault(&[0; 4096]), Fault::Empty);
        assert_eq!(fault(b"hello\n"), Fault::NoArchive);
        let good = archive(&["a", "b"]);
        assert_eq!(fault(&[&good[..], b"hello"].concat()), Fault::NoArchive);
        assert_eq!(fault(&good[..150]), Fault::Damaged);
        let packed = zstd::bulk::compress(&good, 1).unwrap();
        assert_eq!(fault(&packed[..packed.len() - 5]), Fault::Damaged);
        for start in OTHER_PACKINGS {
            let bytes = [&good[..], start, b"..."].concat();
            assert!(matches!(Initramfs::of(&bytes), Initramfs::Packed));
        }
    }

    #[test]
    fn an_initramfs_runs_hooks_where_one_family_has_all_that_it_needs() {
        let runs = |names: &[&str]| match Initramfs::of(&archive(names)) {
            Initramfs::Read(listing) => listing.runs_hooks(),
            other => panic!("{other:?}"),
        };
        assert!(runs(&["./conf/conf.d", "scripts/init-bottom/ORDER"]));
        assert!(!runs(&["conf/conf.d", "scripts/init-bottom"]));
        assert!(runs(&["usr/lib/dracut/hooks/pre-pivot"]));
        assert!(runs(&["var/lib/dracut/hooks/pre-pivot"]));
        assert!(!runs(&["init", "hooks/udev", "usr/bin/busybox"]));
    }
}
