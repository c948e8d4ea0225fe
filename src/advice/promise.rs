//! What the name of a target promises: a format that is written, or one that is not, and what to
//! type for that.

mod formats;

use std::path::{Path, PathBuf};

use self::formats::{
    BEHIND, BEHIND_A_DISK, DISKS, Disk, FOR_OVA, Instead, OTHERS, Other, PACKERS, Packer,
};
use crate::advice::hints::Hint;
use crate::advice::shell::{quoted, shell_word};
use ploopconv::format::by_extension;
use ploopconv::format::tar::TarOptions;
use ploopconv::ploop::Guid;

/// What the end of a name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promise {
    Written(&'static str),
    /// A disk format that qemu-img writes.
    Disk(&'static Disk),
    /// What a compressor makes of the disk.
    Packed(&'static Packer),
    /// What a compressor makes of an archive of the container's files.
    PackedTar(&'static Packer),
    /// Something else that is not written: what it is, and what to make instead.
    Other(&'static Other),
}

/// The end of a name in lower case, without its dot, and what is in front of it.
fn split(name: &str) -> Option<(&str, String)> {
    let (stem, end) = name.rsplit_once('.')?;
    (!stem.is_empty()).then(|| (stem, end.to_ascii_lowercase()))
}

impl Promise {
    /// What a file's name promises. A name with a dot in it promises nothing by that: only known
    /// ends count.
    fn of(name: &str) -> Self {
        if let Some(known) = by_extension(name.as_ref()) {
            return Self::Written(known.name);
        }
        let Some((stem, end)) = split(name) else {
            return Self::Written("raw");
        };
        let within = split(stem).map(|(_, within)| within);
        let within = within.as_deref();
        let end = end.as_str();
        // Two ends in one.
        let packs_tar = match end {
            "tbz" | "tbz2" => Some("bz2"),
            "txz" => Some("xz"),
            "tlz" => Some("lzma"),
            _ => (within == Some("tar")).then_some(end),
        };
        let packs = |name: &str| PACKERS.iter().find(|packer| packer.names.contains(&name));
        if let Some(packer) = packs_tar.and_then(packs) {
            return Self::PackedTar(packer);
        }
        // A layer has the name of its base, and the identity of its snapshot after it.
        let is_layer = matches!(within, Some("hdd" | "hds")) && end.parse::<Guid>().is_ok();
        let kind = if is_layer { "hds" } else { end };
        if let Some(disk) = Disk::named(kind) {
            return Self::Disk(disk);
        }
        if let Some(packer) = packs(end) {
            return Self::Packed(packer);
        }
        if let Some(other) = OTHERS.iter().find(|other| other.names.contains(&end)) {
            return Self::Other(other);
        }
        if by_extension(stem.as_ref()).is_some() && BEHIND_A_DISK.contains(&end) {
            return Self::Other(&BEHIND);
        }
        Self::Written("raw")
    }
}

impl Disk {
    fn named(name: &str) -> Option<&'static Self> {
        DISKS.iter().find(|disk| disk.names.contains(&name))
    }

    /// How a disk becomes one of this format: it is served, and qemu-img reads it there.
    fn commands(&self, what_is_read: &str, target: &Path) -> Vec<Hint> {
        if target.exists() {
            return taken(target);
        }
        vec![
            Hint::run(
                format!(
                    "qemu-img writes {} from the served disk; in one terminal",
                    self.title
                ),
                format!("ploopconv serve {what_is_read} --socket disk.sock"),
            ),
            Hint::run(
                "in another one",
                format!(
                    "qemu-img convert {} 'nbd+unix:///?socket=disk.sock' {}",
                    self.options,
                    quoted(target)
                ),
            ),
        ]
    }
}

/// What there is to say in place of a command that would replace a file, which may be one of the
/// image that is read.
fn taken(target: &Path) -> Vec<Hint> {
    let name = target.display();
    vec![Hint::say(format!(
        "{name} exists: name a target that does not exist yet"
    ))]
}

fn name_of(target: &Path) -> String {
    let name = target.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// A format was asked for that is not written: by the name of a target, or by the name of the
/// format itself.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{asked}")]
pub(crate) struct Promised {
    asked: String,
    promise: Promise,
    target: PathBuf,
}

impl Promised {
    /// `None` where the name promises nothing, or what is written.
    pub(crate) fn by_name(target: &Path) -> Option<Self> {
        let promise = Promise::of(&name_of(target));
        let what = match promise {
            Promise::Written(_) => return None,
            Promise::Disk(disk) => disk.title.to_owned(),
            Promise::Packed(packer) => format!("a file packed by {}", packer.name()),
            Promise::PackedTar(packer) => format!("a tar archive packed by {}", packer.name()),
            Promise::Other(other) => other.what.to_owned(),
        };
        let name = target.display();
        Some(Self {
            asked: format!("the name {name} promises {what}, which this program does not write"),
            promise,
            target: target.to_owned(),
        })
    }

    /// Of what was given with `-O`; `None` where it is no format that is known.
    pub(crate) fn by_format(format: &str, target: &Path) -> Option<Self> {
        let format = format.to_ascii_lowercase();
        let disk = Disk::named(&format)?;
        let what = format!("-O {format}: this program does not write {}", disk.title);
        Some(Self {
            asked: what,
            promise: Promise::Disk(disk),
            target: target.to_owned(),
        })
    }

    /// The same where IMAGE and its options are given as a shell takes them.
    pub(crate) fn hints_for(&self, what_is_read: &str) -> Vec<Hint> {
        match self.promise {
            Promise::Written(_) => Vec::new(),
            _ if self.target.exists() => taken(&self.target),
            Promise::Disk(disk) => disk.commands(what_is_read, &self.target),
            Promise::Packed(packer) => self.packed(packer, what_is_read),
            Promise::PackedTar(packer) => vec![Hint::run(
                "to pack the archive",
                self.piped(packer, &format!("{what_is_read} -O tar")),
            )],
            Promise::Other(other) => self.other(other, what_is_read),
        }
    }

    fn packed(&self, packer: &Packer, what_is_read: &str) -> Vec<Hint> {
        let name = name_of(&self.target);
        let (stem, _) = split(&name).unwrap_or((&name, String::new()));
        let inner = self.target.with_file_name(stem);
        match Promise::of(stem) {
            Promise::Written("qcow2") => vec![Hint::run(
                "a qcow2 disk is compressed by itself",
                format!("ploopconv {what_is_read} -o {} --compress", quoted(&inner)),
            )],
            Promise::Written("tar") => {
                let how = TarOptions::for_name(stem).compression;
                let how = how.map_or_else(String::new, |how| format!(" --compress={}", how.name()));
                let archive = format!("{what_is_read} -O tar{how}");
                vec![Hint::run(
                    "to pack the archive",
                    self.piped(packer, &archive),
                )]
            }
            Promise::Disk(_) if inner.exists() => taken(&inner),
            Promise::Disk(disk) => {
                let mut lines = disk.commands(what_is_read, &inner);
                let command = format!("{} {}", packer.command, quoted(&inner));
                lines.push(Hint::run("and then", command));
                lines
            }
            _ => vec![
                Hint::run("to pack the raw disk", self.piped(packer, what_is_read)),
                self.as_it_is(what_is_read),
            ],
        }
    }

    /// What is read, as a stream that a program packs into the target.
    fn piped(&self, packer: &Packer, what_is_read: &str) -> String {
        format!(
            "ploopconv {what_is_read} -o - | {} >{}",
            packer.command,
            shell_word(self.target.as_os_str())
        )
    }

    fn other(&self, other: &Other, what_is_read: &str) -> Vec<Hint> {
        let name = name_of(&self.target);
        let (stem, _) = split(&name).unwrap_or((&name, String::new()));
        if Promise::of(stem) == Promise::Written("tar") {
            let archive = quoted(&self.target.with_file_name(stem));
            let command = format!("ploopconv {what_is_read} -o {archive}");
            return vec![Hint::run("for the archive alone", command)];
        }
        let named = |end: &str| {
            let has_end = split(stem).is_some_and(|(_, within)| within == end)
                || end == "raw" && stem.to_ascii_lowercase().ends_with(".img");
            let name = if has_end {
                stem.to_owned()
            } else {
                format!("{stem}.{end}")
            };
            self.target.with_file_name(name)
        };
        let mut lines = vec![Hint::say(other.note)];
        let convert = |for_what: &str, end: &str| {
            let target = quoted(&named(end));
            Hint::run(for_what, format!("ploopconv {what_is_read} -o {target}"))
        };
        // The second command would pack whatever is there.
        if matches!(other.instead, Instead::Pack(_)) && named("raw").exists() {
            lines.extend(taken(&named("raw")));
            return lines;
        }
        match other.instead {
            Instead::Raw => lines.push(convert("for a raw disk", "raw")),
            Instead::Qcow2 => lines.push(convert("for a qcow2 disk", "qcow2")),
            Instead::Pack(packer) => {
                lines.push(convert("first the disk", "raw"));
                let (target, raw) = (quoted(&self.target), quoted(&named("raw")));
                lines.push(Hint::run("and then", format!("{packer} {target} {raw}")));
            }
            Instead::Vmdk => lines.extend(FOR_OVA.commands(what_is_read, &named("vmdk"))),
        }
        lines
    }

    /// The way past a name that promises something by accident.
    fn as_it_is(&self, what_is_read: &str) -> Hint {
        Hint::run(
            "for a raw disk of that name all the same",
            format!(
                "ploopconv {what_is_read} -o {} -O raw",
                quoted(&self.target)
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promise(name: &str) -> String {
        match Promise::of(name) {
            Promise::Written(format) => format.to_owned(),
            Promise::Disk(disk) => disk.options.to_owned(),
            Promise::Packed(packer) => packer.command.to_owned(),
            Promise::PackedTar(packer) => format!("tar, {}", packer.command),
            Promise::Other(other) => other.names.first().unwrap_or(&"packed").to_string(),
        }
    }

    #[test]
    fn dots_in_a_name_promise_nothing() {
        for name in [
            "disk",
            "disk.raw",
            "disk.img",
            "disk.bin",
            "disk.2024.01.05",
            "vm.example.com",
            "vm.example.com.br",
            "backup.old",
            "ct101.new",
            "disk.raw.1",
            "disk.gz.part",
            ".gz",
            ".zst",
            "gz",
            "a.hds.1",
            "a.raw.{5fbaabe3-6958-40ff-92a7-860e329aab41}",
            "disk.gz.raw",
            "disk.",
            "disk.z",
            "disk.vmdk-old",
            "x.zone",
        ] {
            assert_eq!(promise(name), "raw", "{name}");
        }
        for name in ["disk.qcow2", "disk.QCOW2", "disk.gz.qcow2", "a.b.qcow"] {
            assert_eq!(promise(name), "qcow2", "{name}");
        }
    }

    #[test]
    fn what_is_not_written_is_known_in_any_case_and_behind_another_end() {
        for (name, what) in [
            ("disk.vmdk", "-O vmdk"),
            ("DISK.VMDK", "-O vmdk"),
            ("disk.raw.vmdk", "-O vmdk"),
            ("disk.Vdi", "-O vdi"),
            ("disk.vhd", "-O vpc -o force_size=on"),
            ("disk.vhdx", "-O vhdx"),
            ("merged.hdd", "-O parallels"),
            ("root.hds", "-O parallels"),
            (
                "root.hds.{5fbaabe3-6958-40ff-92a7-860e329aab41}",
                "-O parallels",
            ),
            ("disk.gz", "gzip"),
            ("disk.img.GZ", "gzip"),
            ("disk.raw.zst", "zstd"),
            ("disk.qcow2.xz", "xz"),
            ("disk.img.br", "packed"),
            ("disk.ova", "ova"),
            ("disk.iso", "iso"),
            ("disk.zip", "zip"),
            ("ct.tar", "tar"),
            ("ct.tar.gz", "tar"),
            ("ct.TAR.zst", "tar"),
            ("ct.tgz", "tar"),
            ("ct.tzst", "tar"),
            ("ct.tar.xz", "tar, xz"),
            ("ct.TBZ2", "tar, bzip2"),
            ("ct.tar.lz4", "tar, lz4"),
            ("ct.tlz", "tar, xz --format=lzma"),
            ("ct.tar.gz.gpg", "gpg --symmetric"),
            ("ct.tgz.xz", "xz"),
        ] {
            assert_eq!(promise(name), what, "{name}");
        }
    }

    #[test]
    fn ends_are_known_once() {
        let disks = DISKS.iter().map(|one| one.names);
        let packers = PACKERS.iter().map(|one| one.names);
        let others = OTHERS.iter().map(|one| one.names);
        let mut all: Vec<_> = disks.chain(packers).chain(others).flatten().collect();
        all.extend(&BEHIND_A_DISK);
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
