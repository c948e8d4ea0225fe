//! What the name of a target promises: a format that is written, or one that is not, and what to
//! type for that.

mod formats;

use std::path::{Path, PathBuf};

use self::formats::{
    BEHIND, BEHIND_A_DISK, DISKS, Disk, FOR_OVA, Instead, OTHERS, Other, PACKERS, Packer,
};
use super::args::Format;
use crate::cli::command_line::CommandLine;
use crate::cli::hints::{Hint, quoted, shell_word};

/// What the end of a name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promise {
    Written(Format),
    /// A disk format that qemu-img writes.
    Disk(&'static Disk),
    /// What a compressor makes of the disk.
    Packed(&'static Packer),
    /// The files of the container and not its disk.
    Tar,
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
        let Some((stem, end)) = split(name) else {
            return Self::Written(Format::Raw);
        };
        let within = split(stem).map(|(_, within)| within);
        let within = within.as_deref();
        let end = end.as_str();
        let is_tar = ["tar", "tgz", "tzst", "tbz", "tbz2", "txz", "tlz"].contains(&end);
        if is_tar || within == Some("tar") && PACKERS.iter().any(|one| one.names.contains(&end)) {
            return Self::Tar;
        }
        if ["qcow2", "qcow"].contains(&end) {
            return Self::Written(Format::Qcow2);
        }
        if let Some(disk) = Disk::named(end) {
            return Self::Disk(disk);
        }
        if let Some(packer) = PACKERS.iter().find(|packer| packer.names.contains(&end)) {
            return Self::Packed(packer);
        }
        if let Some(other) = OTHERS.iter().find(|other| other.names.contains(&end)) {
            return Self::Other(other);
        }
        let is_disk = matches!(within, Some("raw" | "img" | "bin" | "qcow2" | "qcow"));
        if is_disk && BEHIND_A_DISK.contains(&end) {
            return Self::Other(&BEHIND);
        }
        Self::Written(Format::Raw)
    }
}

impl Disk {
    fn named(name: &str) -> Option<&'static Self> {
        DISKS.iter().find(|disk| disk.names.contains(&name))
    }

    /// How a disk becomes one of this format: it is served, and qemu-img reads it there.
    fn commands(&self, what_is_read: &str, target: &Path) -> Vec<Hint> {
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

/// The format that a target's name says; raw where it says nothing that is written.
pub(super) fn format_by_name(target: &Path) -> Format {
    match Promise::of(&name_of(target)) {
        Promise::Written(format) => format,
        _ => Format::Raw,
    }
}

fn name_of(target: &Path) -> String {
    let name = target.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// A format was asked for that is not written: by the name of a target, or by the name of the
/// format itself.
#[derive(Debug, thiserror::Error)]
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
            Promise::Packed(packer) => {
                let packer = packer.command.split(' ').next().unwrap_or_default();
                format!("a file packed by {packer}")
            }
            Promise::Tar => "a tar archive of the container's files".to_owned(),
            Promise::Other(other) => other.what.to_owned(),
        };
        let who = match promise {
            Promise::Tar => "this version",
            _ => "this program",
        };
        let name = target.display();
        Some(Self {
            asked: format!("the name {name} promises {what}, which {who} does not write"),
            promise,
            target: target.to_owned(),
        })
    }

    /// Of what was given with `-O`; `None` where it is no format that is known.
    pub(crate) fn by_format(format: &str, target: &Path) -> Option<Self> {
        let format = format.to_ascii_lowercase();
        let (promise, what) = if format == "tar" {
            (
                Promise::Tar,
                "-O tar: this version does not write tar archives".to_owned(),
            )
        } else {
            let disk = Disk::named(&format)?;
            let what = format!("-O {format}: this program does not write {}", disk.title);
            (Promise::Disk(disk), what)
        };
        Some(Self {
            asked: what,
            promise,
            target: target.to_owned(),
        })
    }

    /// What to type instead.
    pub(crate) fn hints(&self, line: &CommandLine) -> Vec<Hint> {
        self.hints_for(&line.what_is_read())
    }

    /// The same where IMAGE and its options are given as a shell takes them.
    pub(crate) fn hints_for(&self, what_is_read: &str) -> Vec<Hint> {
        let mut lines = match self.promise {
            Promise::Written(_) => Vec::new(),
            Promise::Disk(disk) => disk.commands(what_is_read, &self.target),
            Promise::Packed(packer) => self.packed(packer, what_is_read),
            Promise::Tar => as_tar(what_is_read, &self.target),
            Promise::Other(other) => self.other(other, what_is_read),
        };
        let overwrites = matches!(self.promise, Promise::Disk(_) | Promise::Packed(_));
        if overwrites && self.target.exists() {
            let text = format!("{} exists and would be replaced", self.target.display());
            lines.insert(0, Hint::say(text));
        }
        lines
    }

    fn packed(&self, packer: &Packer, what_is_read: &str) -> Vec<Hint> {
        let name = name_of(&self.target);
        let (stem, _) = split(&name).unwrap_or((&name, String::new()));
        let inner = self.target.with_file_name(stem);
        match Promise::of(stem) {
            Promise::Written(Format::Qcow2) => vec![Hint::run(
                "a qcow2 disk is compressed by itself",
                format!("ploopconv {what_is_read} -o {} --compress", quoted(&inner)),
            )],
            Promise::Disk(disk) => {
                let mut lines = disk.commands(what_is_read, &inner);
                let command = format!("{} {}", packer.command, quoted(&inner));
                lines.push(Hint::run("and then", command));
                lines
            }
            _ => vec![
                Hint::run(
                    "to pack the raw disk",
                    format!(
                        "ploopconv {what_is_read} -o - | {} >{}",
                        packer.command,
                        shell_word(self.target.as_os_str())
                    ),
                ),
                self.as_it_is(what_is_read),
            ],
        }
    }

    fn other(&self, other: &Other, what_is_read: &str) -> Vec<Hint> {
        let name = name_of(&self.target);
        let (stem, _) = split(&name).unwrap_or((&name, String::new()));
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

/// How the files of a container become an archive today: the disk is attached, and tar reads it.
fn as_tar(what_is_read: &str, target: &Path) -> Vec<Hint> {
    vec![
        Hint::run(
            "as root, attach the disk",
            format!("ploopconv attach {what_is_read} --mount /mnt --overlay"),
        ),
        Hint::run(
            "let tar read it",
            format!(
                "tar --numeric-owner --xattrs --xattrs-include='*' --acls --sparse \
                 --one-file-system -C /mnt -caf {} .",
                quoted(target)
            ),
        ),
        Hint::run("and take it away again", "ploopconv detach /mnt".to_owned()),
        Hint::say("docs/migrate-to-lxc.md has what to leave out, and why"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promise(name: &str) -> String {
        match Promise::of(name) {
            Promise::Written(format) => format.name().to_owned(),
            Promise::Disk(disk) => disk.options.to_owned(),
            Promise::Packed(packer) => packer.command.to_owned(),
            Promise::Tar => "tar".to_owned(),
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
            "a.hds",
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
