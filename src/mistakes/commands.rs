//! Commands of other programs, and of later versions of this one.

use std::path::Path;

use super::mistake::Mistake;
use super::words::Words;
use crate::advice::hints::Hint;

/// A command that there is not.
struct Foreign {
    names: &'static [&'static str],
    means: Means,
}

/// What to do in place of a command that there is not.
enum Means {
    /// This command does that.
    Command(&'static str),
    /// Something else, and why. In the commands, IMAGE stands for what was given, SIZE for the
    /// word after it.
    Other(&'static str, &'static [Step]),
}

/// What for, and a command where there is one.
type Step = (&'static str, Option<&'static str>);

const NEVER_WRITES: &str = "is not here, because this program never writes to an image";
const LOOK: Step = ("to see what it is", Some("ploopconv info IMAGE"));

const ALL: [Foreign; 17] = [
    Foreign {
        names: &["dir", "ll", "virt-ls", "guestfish"],
        means: Means::Command("ls"),
    },
    Foreign {
        names: &["type", "less", "more", "virt-cat"],
        means: Means::Command("cat"),
    },
    Foreign {
        names: &["unpack", "untar", "copy-out", "copy_out", "virt-copy-out"],
        means: Means::Command("extract"),
    },
    Foreign {
        names: &["guestmount", "fuse", "nbdfuse"],
        means: Means::Command("mount"),
    },
    Foreign {
        names: &["vzlist", "containers", "list-containers"],
        means: Means::Command("list"),
    },
    Foreign {
        names: &["tar"],
        means: Means::Other(
            "is a format here",
            &[(
                "to pack the files of the container",
                Some("ploopconv IMAGE -o ct.tar"),
            )],
        ),
    },
    Foreign {
        names: &["cp", "copy", "clone", "export", "dd"],
        means: Means::Command("convert"),
    },
    Foreign {
        names: &["umount", "unmount", "disconnect", "guestunmount"],
        means: Means::Command("detach"),
    },
    Foreign {
        names: &["stat", "show", "inspect", "snapshot", "snapshot-list"],
        means: Means::Command("info"),
    },
    Foreign {
        names: &["fsck"],
        means: Means::Command("check"),
    },
    Foreign {
        names: &["diff", "cmp"],
        means: Means::Command("compare"),
    },
    Foreign {
        names: &["nbd"],
        means: Means::Command("serve"),
    },
    Foreign {
        names: &["resize", "grow"],
        means: Means::Other(
            NEVER_WRITES,
            &[
                (
                    "first a target is made",
                    Some("ploopconv IMAGE -o disk.qcow2"),
                ),
                (
                    "and that is resized",
                    Some("qemu-img resize disk.qcow2 SIZE"),
                ),
            ],
        ),
    },
    Foreign {
        names: &["commit", "merge", "snapshot-merge", "rebase"],
        means: Means::Other(
            NEVER_WRITES,
            &[(
                "a target holds what all layers hold together",
                Some("ploopconv IMAGE -o disk.qcow2"),
            )],
        ),
    },
    Foreign {
        names: &["measure"],
        means: Means::Other(
            "is called --dry-run here",
            &[(
                "to see how much room a target takes",
                Some("ploopconv IMAGE -o disk.qcow2 --dry-run"),
            )],
        ),
    },
    Foreign {
        names: &[
            "create",
            "init",
            "amend",
            "bitmap",
            "balloon",
            "replace",
            "repair",
            "snapshot-create",
            "snapshot-delete",
            "snapshot-switch",
        ],
        means: Means::Other(NEVER_WRITES, &[LOOK]),
    },
    Foreign {
        names: &["version"],
        means: Means::Other(
            "is an option here",
            &[("to see it", Some("ploopconv --version"))],
        ),
    },
];

/// What becomes of a command line that begins with a command that there is not.
pub(super) enum Found {
    /// This is wrong with it.
    Mistake(Mistake),
    /// Another command does it: what to say, and its name.
    Command(String, &'static str),
}

/// Looks for a command that there is not, in the place of one.
pub(super) fn find(words: &Words) -> Option<Found> {
    let first = words.positions().first().copied()?;
    let name = words.text(first);
    let found = ALL.iter().find(|one| one.names.contains(&&*name))?;
    if first != 0 || Path::new(&*name).exists() {
        return None;
    }
    let (says, steps) = match found.means {
        Means::Command(_) if name == "snapshot" && makes_snapshot(words) => {
            (NEVER_WRITES, &[LOOK][..])
        }
        Means::Command(other) => {
            let text = format!("there is no command {name}; here it is called {other}");
            return Some(Found::Command(text, other));
        }
        Means::Other(says, steps) => (says, steps),
    };
    let mut mistake = Mistake::default();
    mistake.says(format!("{name} {says}"));
    let mut named = words.positions().into_iter().skip(1);
    let image = named.find(|at| words.is_image_like(*at));
    let next = named.next();
    let word = |at: Option<usize>, default: &str| {
        at.map_or_else(|| default.to_owned(), |at| words.shell_word(at))
    };
    let (image, size) = (word(image, "IMAGE"), word(next, "SIZE"));
    let fill = |command: &str| {
        let words = command.split(' ').map(|word| match word {
            "IMAGE" => &image,
            "SIZE" => &size,
            word => word,
        });
        words.collect::<Vec<_>>().join(" ")
    };
    let hints = steps.iter().map(|(text, command)| match command {
        // The second of two commands would change a file that is there.
        Some(command) if command.ends_with("SIZE") && Path::new("disk.qcow2").exists() => {
            Hint::say(format!("{text}, with qemu-img resize"))
        }
        Some(command) => Hint::run(*text, fill(command)),
        None => Hint::say(*text),
    });
    mistake.hints = hints.collect();
    Some(Found::Mistake(mistake))
}

/// Whether `qemu-img snapshot` was to make, apply or delete one.
fn makes_snapshot(words: &Words) -> bool {
    (0..words.len()).any(|at| ["-c", "-a", "-d"].contains(&&*words.text(at)))
}
