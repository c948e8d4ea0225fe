//! What there is to know of a system that a machine is to start.

use super::system::{Init, identify};
use super::view::{View, to_bytes};
use crate::error::Result;
use crate::tree::{LastLink, Tree};

/// The file system that a machine starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootFileSystem {
    /// Its UUID as `blkid` writes it.
    pub uuid: String,
    /// Its type, as in `/etc/fstab`: `ext4`.
    pub kind: String,
}

/// What a boot loader of the system's own is told by.
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
    let view = View(tree);
    if identify(tree)?.architecture != Some("x86_64") {
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
/// systemd check it first, and do it themselves.
///
/// # Errors
///
/// What the tree says.
pub fn needs_writable_root(tree: &dyn Tree) -> Result<bool> {
    let has_openrc = View(tree).first(&["sbin/openrc", "sbin/rc"])?.is_some();
    let init = identify(tree)?.init;
    Ok(!has_openrc && matches!(init, Init::Busybox | Init::None))
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
