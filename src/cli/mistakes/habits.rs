//! Words of other programs, and of later versions of this one.

/// A command of a later version, and what there is today.
pub(super) struct Coming {
    pub(super) name: &'static str,
    /// What there is today, and the command for it; IMAGE stands for what was given.
    pub(super) today: &'static [(&'static str, Option<&'static str>)],
}

const ATTACH: (&str, Option<&str>) = (
    "today root can see the files with",
    Some("ploopconv attach IMAGE --mount /mnt --overlay"),
);
const ONE_BY_ONE: &str = "today, one disk at a time";

/// In the order of the help to come.
pub(super) const COMING: [Coming; 7] = [
    Coming {
        name: "ls",
        today: &[ATTACH],
    },
    Coming {
        name: "cat",
        today: &[ATTACH],
    },
    Coming {
        name: "extract",
        today: &[ATTACH],
    },
    Coming {
        name: "mount",
        today: &[ATTACH],
    },
    Coming {
        name: "list",
        today: &[(ONE_BY_ONE, Some("ploopconv info IMAGE"))],
    },
    Coming {
        name: "batch",
        today: &[(ONE_BY_ONE, Some("ploopconv IMAGE -o TARGET"))],
    },
    Coming {
        name: "tar",
        today: &[
            ATTACH,
            ("docs/migrate-to-lxc.md shows how tar packs them", None),
        ],
    },
];

/// Options of `convert` in a later version.
pub(super) const COMING_OPTIONS: [&str; 11] = [
    "--for",
    "--config",
    "--network",
    "--gateway",
    "--compact",
    "--update",
    "--no-state",
    "--kernel",
    "--initrd",
    "--modules",
    "--append",
];

/// What other programs want to be told of an image, in lower case.
pub(super) const DISK_FORMATS: [&str; 14] = [
    "parallels",
    "ploop",
    "raw",
    "qcow2",
    "qcow",
    "vmdk",
    "vdi",
    "vpc",
    "vhd",
    "vhdx",
    "qed",
    "luks",
    "file",
    "img",
];

/// What an option of `qemu-img convert` means here.
pub(super) enum Means {
    /// It is not needed.
    Nothing,
    /// The same as another word.
    Word(&'static str),
    /// The same as another word with its value.
    WithValue(&'static str),
    /// Something that a word cannot say.
    Something,
}

/// An option of `qemu-img convert` that has another name here.
pub(super) struct Habit {
    pub(super) option: &'static str,
    pub(super) has_value: bool,
    pub(super) says: &'static str,
    pub(super) means: Means,
}

pub(super) const HABITS: [Habit; 11] = [
    Habit {
        option: "-p",
        has_value: false,
        says: "progress is shown by itself, and with --progress always in any case",
        means: Means::Nothing,
    },
    Habit {
        option: "-c",
        has_value: false,
        says: "qcow2 is compressed with --compress",
        means: Means::Word("--compress"),
    },
    Habit {
        option: "-S",
        has_value: true,
        says: "zeros become holes with --sparse",
        means: Means::Word("--sparse"),
    },
    Habit {
        option: "-m",
        has_value: true,
        says: "the number of threads goes after -j",
        means: Means::WithValue("-j"),
    },
    Habit {
        option: "-l",
        has_value: true,
        says: "a snapshot goes after --snapshot",
        means: Means::WithValue("--snapshot"),
    },
    Habit {
        option: "-n",
        has_value: false,
        says: "a device that is there is written to with --force",
        means: Means::Something,
    },
    Habit {
        option: "-B",
        has_value: true,
        says: "a target holds the whole disk, and has no backing file",
        means: Means::Something,
    },
    Habit {
        option: "-t",
        has_value: true,
        says: "there is no choice of a cache",
        means: Means::Nothing,
    },
    Habit {
        option: "-T",
        has_value: true,
        says: "there is no choice of a cache",
        means: Means::Nothing,
    },
    Habit {
        option: "-W",
        has_value: false,
        says: "a file is written in any order by itself",
        means: Means::Nothing,
    },
    Habit {
        option: "-U",
        has_value: false,
        says: "an image is never locked",
        means: Means::Nothing,
    },
];
