//! What there is to know of a system that a machine is to start.

use super::system::{Init, System, identify};
use super::view::{Found, View, to_bytes};
use crate::error::Result;
use crate::tree::{FileType, LastLink, Tree};

/// The file system that a machine starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootFileSystem {
    /// Its UUID as `blkid` writes it; empty where it has none.
    pub uuid: String,
    /// Its type, as in `/etc/fstab`: `ext4`.
    pub kind: String,
}

/// What shows that a system has a boot loader of its own.
const BOOT_LOADERS: &[&str] = &[
    "boot/grub/grub.cfg",
    "boot/grub2/grub.cfg",
    "boot/grub/menu.lst",
    "boot/grub/grub.conf",
    "boot/loader/entries/*",
    "boot/extlinux/extlinux.conf",
    "boot/extlinux.conf",
    "etc/lilo.conf",
];

/// Kernels of the system's own.
const KERNELS: &[&str] = &["boot/vmlinuz*", "boot/vmlinux*", "boot/kernel-*", "vmlinuz"];

/// The kernel and the boot loader of a system that has both, in words; `None` where one is missing,
/// as in a container.
///
/// # Errors
///
/// What the tree says.
pub fn own_boot(tree: &dyn Tree) -> Result<Option<String>> {
    let view = View(tree);
    let first = |patterns: &[&str]| -> Result<Option<String>> {
        for pattern in patterns {
            for path in view.matching(pattern)? {
                // A link that leads nowhere is what a package left.
                if view.find(&path, LastLink::Follow)?.is_some() {
                    return Ok(Some(path));
                }
            }
        }
        Ok(None)
    };
    let (kernel, loader) = (first(KERNELS)?, first(BOOT_LOADERS)?);
    let both = kernel.zip(loader);
    Ok(both.map(|(kernel, loader)| format!("/{kernel} and /{loader}")))
}

/// Whether the system's C library calls the kernel at addresses that newer kernels have only with
/// `vsyscall=emulate`: glibc before 2.14, on x86-64.
///
/// # Errors
///
/// What the tree says.
pub fn needs_vsyscall(tree: &dyn Tree) -> Result<bool> {
    calls_vsyscall(View(tree), &identify(tree)?)
}

/// As [`needs_vsyscall`], of a system that is known.
pub(super) fn calls_vsyscall(view: View<'_>, system: &System) -> Result<bool> {
    if system.architecture != Some("x86_64") {
        return Ok(false);
    }
    for pattern in [
        "lib64/libc-2.*.so",
        "lib/libc-2.*.so",
        "lib/x86_64-linux-gnu/libc-2.*.so",
    ] {
        for path in view.matching(pattern)? {
            let version = path.rsplit("libc-2.").next().unwrap_or_default();
            let minor = version.split(|c: char| !c.is_ascii_digit()).next();
            let minor: Option<u32> = minor.and_then(|minor| minor.parse().ok());
            if minor.is_some_and(|minor| minor < 14) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether no script of the system makes the root file system writable: its container's host did,
/// and a kernel would leave it as the command line says. System V's init, OpenRC, Upstart and
/// systemd check it first, and do it themselves; Upstart by jobs of the distribution, which
/// templates for OpenVZ removed.
///
/// # Errors
///
/// What the tree says.
pub fn needs_writable_root(tree: &dyn Tree) -> Result<bool> {
    let view = View(tree);
    let has_openrc = view.first(&["sbin/openrc", "sbin/rc"])?.is_some();
    Ok(match identify(tree)?.init {
        Init::Busybox | Init::None => !has_openrc,
        Init::Upstart => upstart_mounts_nothing(view)?,
        _ => false,
    })
}

/// Whether Upstart has jobs, and none that mounts: `mountall` of Ubuntu, or CentOS's `rc.sysinit`.
/// The jobs of older releases, in `etc/event.d`, start the scripts of System V.
fn upstart_mounts_nothing(view: View<'_>) -> Result<bool> {
    if view.matching("etc/init/*.conf")?.is_empty() {
        return Ok(false);
    }
    let mounts = view.first(&["etc/init/mountall.conf", "etc/rc.d/rc.sysinit"])?;
    let overridden = view.text("etc/init/mountall.override")?;
    let is_manual = |text: String| text.lines().any(|line| line.trim() == "manual");
    Ok(mounts.is_none() || overridden.is_some_and(is_manual))
}

/// The folder of the kernels' modules, by folders alone and without a slash in front: it may be
/// missing, and what it is in is not.
///
/// # Errors
///
/// What the tree says.
pub fn modules_folder(tree: &dyn Tree) -> Result<Vec<u8>> {
    let view = View(tree);
    if let Some(found) = view.find("lib/modules", LastLink::Follow)? {
        return Ok(to_bytes(&found.path));
    }
    let found = view.find("lib", LastLink::Follow)?;
    let lib = found.map_or_else(|| "lib".to_owned(), |found| found.path);
    Ok(to_bytes(&format!("{lib}/modules")))
}

/// The folder for what a machine replaces, by folders alone and without a slash in front: in root's
/// home where that is a folder or missing, else at the top.
///
/// # Errors
///
/// What the tree says.
pub fn kept_folder(tree: &dyn Tree) -> Result<Vec<u8>> {
    let view = View(tree);
    let home = match view.find("root", LastLink::Follow)? {
        Some(found) if found.metadata.file_type == FileType::Directory => {
            format!("{}/", found.path)
        }
        None if view.find("root", LastLink::Keep)?.is_none() => "root/".to_owned(),
        _ => String::new(),
    };
    // What is no folder stays what it is.
    let is_free = |path: &String| {
        let found = view.find(path, LastLink::Keep)?;
        let is_folder = |found: Found| found.metadata.file_type == FileType::Directory;
        crate::Result::Ok(found.is_none_or(is_folder))
    };
    let mut path = format!("{home}from-container");
    while !is_free(&path)? {
        path.push('_');
    }
    Ok(to_bytes(&path))
}
