//! `/dev/shm`, which LXC and Incus neither make nor mount: systemd does it by itself, and so do the
//! scripts of Debian and Ubuntu. Their `/dev` is new at each start, so that the folder is, too.

use super::super::draft::Draft;
use super::super::system::{Family, Init};
use super::console::Entry;
use super::context::Context;
use crate::error::Result;

pub(super) const FOLDER: &str = "/dev/shm";
pub(super) const LINE: &str = "tmpfs /dev/shm tmpfs nosuid,nodev 0 0";

pub(super) const REASON: &str =
    "LXC and Incus make and mount no /dev/shm, and nothing else in this guest does";

const SCRIPT: &str = "etc/rc.d/rc.sysinit";
const INITTAB: &str = "etc/inittab";

/// For the script, whose `mount -a` comes later; it writes the table of mounts anew before that.
/// Where a host has made the folder, nothing more is done.
const IN_SCRIPT: &str = "/bin/mkdir /dev/shm 2>/dev/null && /bin/chmod 1777 /dev/shm && \
     /bin/mount /dev/shm";
/// The same for an inittab.
const COMMANDS: &str = "mkdir /dev/shm 2>/dev/null && chmod 1777 /dev/shm && mount /dev/shm";

/// The option of a shell that takes commands.
const GIVEN: char = 'c';

/// The process of a line of inittab, of which System V's init takes 127 characters.
fn process() -> String {
    format!("/bin/sh -{GIVEN} \"{COMMANDS}\"")
}

/// Where the folder can be made before anything uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The script that CentOS and Fedora start first, whichever init starts it.
    Script,
    /// A line of inittab in front of OpenRC, whose own service that makes the folder leaves itself
    /// out in a container of LXC.
    Inittab,
}

fn place(draft: &Draft<'_>, context: &Context<'_>) -> Result<Option<Place>> {
    let system = context.system;
    // Debian's OpenRC starts the scripts of System V's init.
    let makes_it = [Family::Debian, Family::Ubuntu].contains(&system.family)
        || [Init::Systemd, Init::None].contains(&system.init);
    if makes_it {
        return Ok(None);
    }
    if draft.text(SCRIPT)?.is_some() {
        return Ok(Some(Place::Script));
    }
    let has_openrc = draft.view.is_directory("etc/runlevels")? && draft.text(INITTAB)?.is_some();
    Ok(has_openrc.then_some(Place::Inittab))
}

/// Whether the guest needs its line in fstab.
pub(super) fn is_mounted_by_the_guest(draft: &Draft<'_>, context: &Context<'_>) -> Result<bool> {
    Ok(place(draft, context)?.is_some())
}

pub(super) fn apply(draft: &mut Draft<'_>, context: &Context<'_>) -> Result<()> {
    let (path, found) = match place(draft, context)? {
        Some(Place::Script) => (SCRIPT, draft.text(SCRIPT)?.map(|text| in_script(&text))),
        Some(Place::Inittab) => {
            let is_busybox = context.system.init == Init::Busybox;
            let text = draft.text(INITTAB)?;
            (INITTAB, text.map(|text| in_inittab(&text, is_busybox)))
        }
        None => return Ok(()),
    };
    match found.flatten() {
        Some(text) => draft.edit(path, REASON, |_| text),
        None => draft.keep(
            path,
            "starts in a way that is not known: make and mount /dev/shm by hand, as LXC and Incus \
             do not",
        ),
    }
}

/// The script with the command at its start; `None` where it is no shell's.
fn in_script(text: &str) -> Option<String> {
    let (first, rest) = text.split_once('\n')?;
    let mut program = first.strip_prefix("#!")?.split_whitespace();
    let is_shell = program
        .next()
        .is_some_and(|program| ["/bin/sh", "/bin/bash"].contains(&program));
    if text.contains(IN_SCRIPT) {
        return Some(text.to_owned());
    }
    is_shell.then(|| format!("{first}\n{IN_SCRIPT}\n{rest}"))
}

/// The inittab with a line in front of the first that is run at the start; `None` where there is no
/// such line.
fn in_inittab(text: &str, is_busybox: bool) -> Option<String> {
    if text.contains(COMMANDS) {
        return Some(text.to_owned());
    }
    let entries = || text.lines().filter_map(Entry::parse);
    let mut names = (0..).map(|number| format!("m{number}"));
    // BusyBox's names are terminals, and none is the console.
    let name = match is_busybox {
        true => String::new(),
        false => names.find(|name| !entries().any(|entry| entry.id == name))?,
    };
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if Entry::parse(line).is_some_and(|entry| entry.is_at_start()) {
            let (before, after) = text.split_at_checked(at)?;
            return Some(format!("{before}{name}::sysinit:{}\n{after}", process()));
        }
        at += line.len();
    }
    None
}
