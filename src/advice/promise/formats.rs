//! Formats that are not written here, and what makes them.

/// A disk format that qemu-img writes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Disk {
    /// Ends of names, and names in qemu.
    pub(super) names: &'static [&'static str],
    /// What people call it.
    pub(super) title: &'static str,
    /// The options that `qemu-img convert` needs.
    pub(super) options: &'static str,
}

pub(super) const DISKS: [Disk; 6] = [
    Disk {
        names: &["vmdk"],
        title: "VMDK",
        options: "-O vmdk",
    },
    Disk {
        names: &["vdi"],
        title: "VDI",
        options: "-O vdi",
    },
    Disk {
        names: &["vhd", "vpc"],
        title: "VHD",
        // Without it the disk gets the size of some number of cylinders.
        options: "-O vpc -o force_size=on",
    },
    Disk {
        names: &["vhdx"],
        title: "VHDX",
        options: "-O vhdx",
    },
    Disk {
        names: &["qed"],
        title: "QED",
        options: "-O qed",
    },
    Disk {
        names: &["hdd", "hds", "parallels", "ploop"],
        title: "a Parallels image",
        options: "-O parallels",
    },
];

/// What VMware and VirtualBox import in place of a whole machine.
pub(super) const FOR_OVA: Disk = Disk {
    names: &[],
    title: "VMDK",
    options: "-O vmdk -o subformat=streamOptimized",
};

/// A program that packs what comes through a pipe.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packer {
    pub(super) names: &'static [&'static str],
    /// How it is called, to read a pipe and to write to stdout.
    pub(super) command: &'static str,
}

impl Packer {
    /// What people call it.
    pub(super) fn name(&self) -> &'static str {
        self.command.split(' ').next().unwrap_or_default()
    }
}

pub(super) const PACKERS: [Packer; 7] = [
    Packer {
        names: &["gz", "gzip"],
        command: "gzip",
    },
    Packer {
        names: &["xz"],
        command: "xz",
    },
    Packer {
        names: &["zst", "zstd"],
        command: "zstd",
    },
    Packer {
        names: &["bz2"],
        command: "bzip2",
    },
    Packer {
        names: &["lz4"],
        command: "lz4",
    },
    Packer {
        names: &["lzma"],
        command: "xz --format=lzma",
    },
    Packer {
        names: &["gpg", "pgp"],
        command: "gpg --symmetric",
    },
];

/// A format that neither this program nor qemu-img makes of a disk.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Other {
    pub(super) names: &'static [&'static str],
    /// What it is, with its article.
    pub(super) what: &'static str,
    /// What is good to know about it.
    pub(super) note: &'static str,
    /// What is made in its place.
    pub(super) instead: Instead,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Instead {
    /// A raw disk of another name.
    Raw,
    /// A qcow2 disk of another name.
    Qcow2,
    /// A raw disk of another name, which the command then packs.
    Pack(&'static str),
    /// A VMDK of another name.
    Vmdk,
}

pub(super) const OTHERS: [Other; 10] = [
    Other {
        names: &["ova", "ovf"],
        what: "a machine with its description",
        note: "VMware and VirtualBox take the disk of a machine alone, too",
        instead: Instead::Vmdk,
    },
    Other {
        names: &["iso"],
        what: "a CD",
        note: "a disk that can be written to a device byte by byte is raw",
        instead: Instead::Raw,
    },
    Other {
        names: &["dmg"],
        what: "a disk image of macOS",
        note: "macOS takes raw disks, too",
        instead: Instead::Raw,
    },
    Other {
        names: &["vma", "xva"],
        what: "a machine with its description",
        note: "Proxmox VE and Xen import the disk of a machine alone, too",
        instead: Instead::Qcow2,
    },
    Other {
        names: &["zip"],
        what: "an archive of files",
        note: "the disk can be put into one",
        instead: Instead::Pack("zip"),
    },
    Other {
        names: &["7z", "rar", "lzh"],
        what: "an archive of files",
        note: "the disk can be put into one once it is there",
        instead: Instead::Raw,
    },
    Other {
        names: &["lz", "lzo", "sz", "rz", "zpaq"],
        what: "a packed file",
        note: "the disk can be packed once it is there",
        instead: Instead::Raw,
    },
    Other {
        names: &["squashfs", "sqfs", "sqsh", "sfs", "wim", "erofs"],
        what: "a packed file system",
        note: "a disk is raw or qcow2",
        instead: Instead::Raw,
    },
    Other {
        names: &["age", "luks"],
        what: "an encrypted file",
        note: "the disk can be encrypted once it is there",
        instead: Instead::Raw,
    },
    Other {
        names: &["tib", "tibx", "pvmp", "vbk", "gho", "e01", "aff"],
        what: "what a backup program makes",
        note: "a disk is raw or qcow2",
        instead: Instead::Raw,
    },
];

/// Ends that say something only after that of a disk: host names end like this.
pub(super) const BEHIND_A_DISK: [&str; 7] = ["br", "z", "cab", "enc", "asc", "ar", "pkg"];
pub(super) const BEHIND: Other = Other {
    names: &[],
    what: "a packed or encrypted file",
    note: "that can be done once the disk is there",
    instead: Instead::Raw,
};
