//! OpenRC's services that a container did without: Alpine's and Gentoo's.

use super::super::super::draft::Draft;
use super::super::super::system::Family;
use super::super::context::Context;
use crate::error::Result;

const LEVELS: &str = "etc/runlevels";

/// Run levels and services that belong in them, where no level has them.
const SERVICES: &[(&str, &str, &str)] = &[
    ("sysinit", "devfs", DEVICES),
    ("sysinit", "sysfs", DEVICES),
    ("sysinit", "hwdrivers", DEVICES),
    ("boot", "procfs", DISKS),
    (
        "boot",
        "root",
        "makes the root file system writable, which a container's always is",
    ),
    ("boot", "localmount", DISKS),
    ("boot", "modules", DEVICES),
    (
        "boot",
        "sysctl",
        "sets the kernel up, which is the machine's own",
    ),
    ("boot", "bootmisc", DISKS),
    ("shutdown", "killprocs", POWER),
    ("shutdown", "mount-ro", POWER),
];

/// What fills /dev: the first that there is.
const MANAGERS: &[&[&str]] = &[&["udev", "udev-trigger"], &["mdev"]];

const DEVICES: &str = "a machine has devices of its own, with their drivers";
const DISKS: &str = "a machine looks after its own file systems";
const POWER: &str = "a machine leaves its file systems clean when it goes off";

pub(super) fn apply(draft: &mut Draft<'_>, context: &Context<'_>) -> Result<()> {
    // Debian's OpenRC starts the scripts of System V's init, by other names.
    let is_another = [Family::Debian, Family::Ubuntu].contains(&context.system.family);
    if is_another || !draft.view.is_directory(LEVELS)? {
        return Ok(());
    }
    for (level, service, reason) in SERVICES {
        start(draft, level, service, reason)?;
    }
    for services in MANAGERS {
        if draft.has(&format!("etc/init.d/{}", services.first().unwrap_or(&"")))? {
            for service in *services {
                start(draft, "sysinit", service, DEVICES)?;
            }
            break;
        }
    }
    Ok(())
}

fn start(draft: &mut Draft<'_>, level: &str, service: &str, reason: &str) -> Result<()> {
    let script = format!("etc/init.d/{service}");
    let known = draft.view.matching(&format!("{LEVELS}/*/{service}"))?;
    if !known.is_empty() || !draft.has(&script)? {
        return Ok(());
    }
    let path = format!("{LEVELS}/{level}/{service}");
    draft.link(&format!("/{script}"), &path, reason)
}
