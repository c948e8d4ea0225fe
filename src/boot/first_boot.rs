//! What the guest does at its first boot, as a part of its initramfs.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::cpio::Cpio;
use crate::error::Result;
use crate::guest::{Change, What, kept_folder};
use crate::tree::{LastLink, PathError, Tree, resolve};
use crate::util::text::safe;

/// The folder of everything here, in the initramfs.
pub(super) const FOLDER: &str = "ploopconv";
const SCRIPT: &str = include_str!("first-boot.sh");

/// What makes an initramfs run the script: files for each family, of which those whose folders are
/// missing are passed over.
const HOOKS: [(&str, &str); 5] = [
    // initramfs-tools reads it before anything runs. The scripts of its last step are in the order
    // of a file, where ours comes last: after /dev was moved.
    (
        "conf/conf.d/zz-ploopconv",
        include_str!("initramfs-tools.sh"),
    ),
    // dracut to 101, and from 102 on; 111 and later look in all of these and run one of a name.
    ("lib/dracut/hooks/pre-pivot/99-ploopconv.sh", DRACUT),
    ("usr/lib/dracut/hooks/pre-pivot/99-ploopconv.sh", DRACUT),
    ("var/lib/dracut/hooks/pre-pivot/99-ploopconv.sh", DRACUT),
    ("etc/dracut/hooks/pre-pivot/99-ploopconv.sh", DRACUT),
];
const DRACUT: &str = "sh /ploopconv/first-boot.sh \"$NEWROOT\"\n";

/// The archive with the script, its hooks and the changes. `release` is that of the kernel, whose
/// modules belong to what is done.
pub(super) fn archive(
    changes: &[Change],
    tree: Option<&dyn Tree>,
    release: &str,
) -> Result<Vec<u8>> {
    let mut cpio = Cpio::default();
    for (path, contents) in HOOKS {
        cpio.file(path.as_bytes(), 0o644, contents.as_bytes());
    }
    let mut add = Adding {
        cpio: &mut cpio,
        digest: Sha256::new(),
    };
    add.cpio.folder(FOLDER.as_bytes());
    add.file("first-boot.sh", SCRIPT.as_bytes());
    let kept = tree.map(kept_folder).transpose()?;
    add.file(
        "kept",
        &kept.unwrap_or_else(|| b"root/from-container".to_vec()),
    );
    add.digest.update(release);
    add.folder("changes");
    let mut taken = BTreeSet::new();
    for (number, change) in (1..).zip(changes) {
        let folder = format!("changes/{number:04}");
        let mut saved = saved_name(&change.path);
        if !taken.insert(saved.clone()) {
            saved.extend(format!("-{number}").bytes());
        }
        add.folder(&folder);
        add.file(&format!("{folder}/saved"), &saved);
        add.change(&folder, change, tree)?;
    }
    let digest = add.digest.finalize();
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let plan = format!("{FOLDER}/plan");
    cpio.file(plan.as_bytes(), 0o644, digest.as_bytes());
    Ok(cpio.finish())
}

struct Adding<'a> {
    cpio: &'a mut Cpio,
    /// Of everything that decides what is done.
    digest: Sha256,
}

impl Adding<'_> {
    fn folder(&mut self, path: &str) {
        self.cpio.folder(format!("{FOLDER}/{path}").as_bytes());
    }

    fn file(&mut self, path: &str, contents: &[u8]) {
        self.digest.update(path);
        self.digest.update([0]);
        self.digest.update(Sha256::digest(contents));
        let path = format!("{FOLDER}/{path}");
        self.cpio.file(path.as_bytes(), 0o644, contents);
    }

    /// The files of one change: see the script.
    fn change(&mut self, folder: &str, change: &Change, tree: Option<&dyn Tree>) -> Result<()> {
        let mut file = |name: &str, contents: &[u8]| {
            self.file(&format!("{folder}/{name}"), contents);
        };
        let path = String::from_utf8_lossy(&change.path);
        let names = names(tree, change)?;
        let shared = match names {
            Names::Shared => ", in its other names, too",
            Names::One | Names::Apart => "",
        };
        let said = format!("{} /{path}{shared}: {}", change.what.name(), change.reason);
        file("what", change.what.name().as_bytes());
        file("path", &change.path);
        // On a console, where a newline would look like another message.
        file("say", safe(&said).as_bytes());
        match &change.what {
            What::Write {
                contents,
                mode,
                uid,
                gid,
            } => {
                file("contents", contents);
                file("umask", umask(*mode, 0o666).as_bytes());
                let plain = *mode & !0o666 == 0;
                if !plain {
                    file("mode", format!("{mode:o}").as_bytes());
                }
                if (*uid, *gid) != (0, 0) {
                    file("owner", format!("{uid}:{gid}").as_bytes());
                }
                if names == Names::Apart {
                    file("alone", b"");
                }
            }
            What::Link { target } => file("target", target),
            What::Mkdir { mode, uid, gid } => {
                file("umask", umask(*mode, 0o777).as_bytes());
                if *mode & !0o777 != 0 {
                    file("mode", format!("{mode:o}").as_bytes());
                }
                if (*uid, *gid) != (0, 0) {
                    file("owner", format!("{uid}:{gid}").as_bytes());
                }
            }
            What::Remove | What::Empty | What::Keep => {}
        }
        Ok(())
    }
}

/// The mask that gives something new a mode, where a shell would give it `all`.
fn umask(mode: u16, all: u16) -> String {
    format!("{:03o}", !mode & all | !all & 0o777)
}

/// What a file is called where it is kept: no folder, and no longer than a name may be.
fn saved_name(path: &[u8]) -> Vec<u8> {
    const LONGEST: usize = 200;
    let name: Vec<u8> = path
        .iter()
        .map(|byte| if *byte == b'/' { b'_' } else { *byte })
        .collect();
    if name.len() <= LONGEST {
        return name;
    }
    let digest = Sha256::digest(path);
    let digest = digest.iter().take(8).map(|byte| format!("{byte:02x}"));
    let mut short: Vec<u8> = name.into_iter().take(LONGEST).collect();
    short.extend(digest.collect::<String>().bytes());
    short
}

/// What a file that is written has of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    One,
    /// Others, which keep the old contents: it becomes a file of its own.
    Apart,
    /// Others, which change with it: an initramfs cannot give a new file the attributes of another
    /// (ACLs, labels), and the old contents are kept, where attributes would be lost.
    Shared,
}

fn names(tree: Option<&dyn Tree>, change: &Change) -> Result<Names> {
    let (Some(tree), What::Write { .. }) = (tree, &change.what) else {
        return Ok(Names::One);
    };
    let found = match resolve(tree, &change.path, LastLink::Keep) {
        Err(error) if error.detail::<PathError>().is_some() => return Ok(Names::One),
        other => other?,
    };
    let node = tree.node(found.inode)?;
    Ok(match node.metadata().links {
        0 | 1 => Names::One,
        _ if node.attributes()?.is_empty() => Names::Apart,
        _ => Names::Shared,
    })
}
