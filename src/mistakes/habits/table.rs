//! What the options of other programs are called here.

/// What an option of another program means here.
pub(super) enum Means {
    /// It is not needed.
    Nothing,
    /// The same as another word.
    Word(&'static str),
    /// The same as another word with its value.
    WithValue(&'static str),
    /// Its value stands alone.
    Position,
    /// Which zeros become holes; 0 is for none.
    Sparse,
    /// How a report looks: `json`, or as it is without.
    Report,
    /// Its value says which snapshot is read.
    Snapshot,
    /// Another command.
    Command(&'static str),
    /// Something that a word cannot say.
    Something,
}

/// An option of another program that is none here.
pub(super) struct Habit {
    pub(super) options: &'static [&'static str],
    /// The commands that it is a habit of; empty for all of them.
    pub(super) on: &'static [&'static str],
    pub(super) has_value: bool,
    pub(super) says: &'static str,
    pub(super) means: Means,
}

const CONVERT: &[&str] = &["convert"];
const COPYING: &[&str] = &["convert", "compare", "verify"];
const SHOWING: &[&str] = &["info", "check", "map"];
const SERVE: &[&str] = &["serve"];
const ATTACH: &[&str] = &["attach"];
const SERVING: &[&str] = &["serve", "attach"];

const fn habit(
    options: &'static [&'static str],
    on: &'static [&'static str],
    has_value: bool,
    says: &'static str,
    means: Means,
) -> Habit {
    Habit {
        options,
        on,
        has_value,
        says,
        means,
    }
}

pub(super) const HABITS: [Habit; 43] = [
    // qemu-img convert
    habit(
        &["-p"],
        COPYING,
        false,
        "progress is shown by itself, and with --progress always in any case",
        Means::Nothing,
    ),
    habit(
        &["-c"],
        CONVERT,
        false,
        "qcow2 is compressed with --compress",
        Means::Word("--compress"),
    ),
    habit(
        &["-S"],
        CONVERT,
        true,
        "zeros become holes with --sparse, and none with --sparse=never",
        Means::Sparse,
    ),
    habit(
        &["-m"],
        COPYING,
        true,
        "the number of threads goes after -j",
        Means::WithValue("-j"),
    ),
    habit(
        &["-l", "-s"],
        &["convert", "serve", "attach"],
        true,
        "a snapshot goes after --snapshot",
        Means::Snapshot,
    ),
    habit(
        &["-n"],
        CONVERT,
        false,
        "a device that is there is written to with --force",
        Means::Something,
    ),
    habit(
        &["-B"],
        CONVERT,
        true,
        "a target holds the whole disk, and has no backing file",
        Means::Something,
    ),
    habit(
        &["-t", "-T"],
        COPYING,
        true,
        "there is no choice of a cache",
        Means::Nothing,
    ),
    habit(
        &["-W"],
        CONVERT,
        false,
        "a file is written in any order by itself",
        Means::Nothing,
    ),
    habit(
        &["-U", "--force-share"],
        &[],
        false,
        "an image is never locked",
        Means::Nothing,
    ),
    habit(
        &[
            "--target",
            "--dest",
            "--destination",
            "--out",
            "--outfile",
            "--to",
            "--of",
        ],
        CONVERT,
        true,
        "the target goes after -o",
        Means::WithValue("-o"),
    ),
    habit(
        &["--target-format", "--output-format", "--out-format"],
        CONVERT,
        true,
        "the format of the target goes after -O",
        Means::WithValue("-O"),
    ),
    // qemu-img info, check, map, compare, snapshot
    habit(
        &["--output"],
        SHOWING,
        true,
        "a report for scripts is printed with --json",
        Means::Report,
    ),
    habit(
        &["--backing-chain"],
        SHOWING,
        false,
        "the whole chain is read by itself",
        Means::Nothing,
    ),
    habit(
        &["-r", "--repair"],
        &["check"],
        true,
        "nothing is repaired, because an image is never written to; \
         convert with --salvage reads over damage",
        Means::Something,
    ),
    habit(
        &["-l", "-v", "--verbose"],
        SHOWING,
        false,
        "everything is shown by itself",
        Means::Nothing,
    ),
    habit(
        &["-q", "--quiet"],
        SHOWING,
        false,
        "the result goes to stdout, and >/dev/null takes it",
        Means::Nothing,
    ),
    habit(
        &["-s", "--strict"],
        &["compare"],
        false,
        "a warning says where the sizes differ",
        Means::Nothing,
    ),
    habit(
        &["--image-opts", "--object", "--target-image-opts"],
        &[],
        true,
        "an image is named by its path",
        Means::Something,
    ),
    // cp, and programs that name everything
    habit(
        &[
            "-i", "-a", "--input", "--image", "--source", "--src", "--if", "--add",
        ],
        &[],
        true,
        "IMAGE stands alone",
        Means::Position,
    ),
    habit(
        &["-r", "-R", "--recursive"],
        CONVERT,
        false,
        "a disk's folder is read as a whole",
        Means::Nothing,
    ),
    // qemu-nbd, nbdkit
    habit(
        &["-k", "--unix"],
        SERVE,
        true,
        "the socket goes after --socket",
        Means::WithValue("--socket"),
    ),
    habit(
        &["-p", "--port"],
        SERVE,
        true,
        "the port goes after --tcp, with its address in front or without",
        Means::WithValue("--tcp"),
    ),
    habit(
        &["-b", "--bind"],
        SERVE,
        true,
        "the address goes in front of the port, as in --tcp 127.0.0.1:10809",
        Means::Something,
    ),
    habit(
        &["-t", "--persistent"],
        SERVING,
        false,
        "the server stays until it is ended",
        Means::Nothing,
    ),
    habit(
        &["--fork"],
        SERVE,
        false,
        "serve stays in the foreground; a shell puts it into the background with &",
        Means::Nothing,
    ),
    habit(
        &["-e", "--shared"],
        SERVING,
        true,
        "there is no limit of clients",
        Means::Nothing,
    ),
    habit(
        &["-x", "--export-name", "-D", "--description"],
        SERVE,
        true,
        "there is one disk, of any name",
        Means::Nothing,
    ),
    habit(
        &["-P"],
        &[],
        true,
        "a partition goes after --partition",
        Means::WithValue("--partition"),
    ),
    habit(
        &["-v", "--verbose"],
        SERVING,
        false,
        "requests are shown with --trace",
        Means::Word("--trace"),
    ),
    habit(
        &["-c", "--connect"],
        ATTACH,
        true,
        "a device goes after --device",
        Means::WithValue("--device"),
    ),
    habit(
        &["-d", "--disconnect"],
        &["attach", "convert"],
        false,
        "a device is taken away with detach",
        Means::Command("detach"),
    ),
    habit(
        &["-d", "-u", "--disconnect", "--unmount"],
        &["detach"],
        false,
        "detach does that by itself",
        Means::Nothing,
    ),
    habit(
        &["-n", "--nocache"],
        SERVING,
        false,
        "there is no choice of a cache",
        Means::Nothing,
    ),
    habit(
        &["--cache", "--aio", "--discard", "--detect-zeroes"],
        &[],
        true,
        "there is no choice of that",
        Means::Nothing,
    ),
    // mount, guestmount
    habit(
        &["-m", "--mountpoint"],
        ATTACH,
        true,
        "the folder goes after --mount",
        Means::WithValue("--mount"),
    ),
    habit(
        &["-r", "--read-only"],
        SERVING,
        false,
        "nothing is written to an image",
        Means::Nothing,
    ),
    habit(
        &["--ro", "--readonly", "--read-only"],
        &[],
        false,
        "nothing is written to an image",
        Means::Nothing,
    ),
    habit(
        &["-o"],
        &["mount"],
        true,
        "files are mounted read-only, without other options",
        Means::Nothing,
    ),
    habit(
        &["-o"],
        ATTACH,
        true,
        "a disk is mounted read-only, and for writing with --overlay, without other options",
        Means::Something,
    ),
    habit(
        &["-w", "--rw"],
        ATTACH,
        false,
        "--overlay takes writes into a layer that is gone at detach; the image is never written to",
        Means::Word("--overlay"),
    ),
    // tar
    habit(
        &["-xf", "-xvf", "-tf", "-tvf"],
        CONVERT,
        false,
        "files are taken out of a disk once it is mounted, with attach IMAGE --mount DIR",
        Means::Something,
    ),
    habit(
        &["-cf", "-cvf", "-czf", "-caf"],
        CONVERT,
        false,
        "-o ct.tar packs the files of a container, and -o ct.tar.zst compresses them",
        Means::Something,
    ),
];
