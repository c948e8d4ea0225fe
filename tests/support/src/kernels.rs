//! The start of a kernel, which is all that is looked at of one, and an initramfs beside it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::divided::{MIB, Raw, make};
use crate::{Program, convert};

/// The release of such a kernel.
pub const RELEASE: &str = "6.1.0-test";

/// A kernel for 64 bits or for 32 in a folder that is made: the fields of
/// Documentation/arch/x86/boot.rst that tell what it is, for which processor, and its release.
pub fn kernel(folder: &Path, is_64: bool) -> PathBuf {
    let mut bytes = vec![0; 4096];
    bytes[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    bytes[0x202..0x208].copy_from_slice(b"HdrS\x0f\x02");
    bytes[0x20e] = 0x80;
    bytes[0x236] = u8::from(is_64);
    bytes[0x238..0x23a].copy_from_slice(&2047_u16.to_le_bytes());
    bytes[0x280..0x28b].copy_from_slice(b"6.1.0-test ");
    fs::create_dir_all(folder).unwrap();
    let path = folder.join(format!("vmlinuz-{RELEASE}"));
    fs::write(&path, bytes).unwrap();
    path
}

/// An initramfs beside it, whose files nothing lists: it is packed with xz.
pub fn initramfs(folder: &Path) -> PathBuf {
    let path = folder.join(format!("initrd.img-{RELEASE}"));
    fs::write(&path, b"\xfd7zXZ\0").unwrap();
    path
}

/// A disk of 64 MiB with a container's system in its only partition, and that partition with `kind`
/// as its file system: `ext3` or `ext4`.
pub fn container(kind: &'static str) -> Raw {
    let raw = Raw::sgdisk(64 * MIB, &["--new=1:2048:0"]);
    let tree = raw.scratch.path().join("tree");
    for folder in ["etc", "sbin", "lib", "root", "srv"] {
        fs::create_dir_all(tree.join(folder)).unwrap();
    }
    fs::copy("/bin/true", tree.join("sbin/init")).unwrap();
    fs::write(tree.join("etc/inittab"), "id:2:initdefault:\n").unwrap();
    fs::write(tree.join("etc/fstab"), "/dev/simfs / simfs defaults 0 0\n").unwrap();
    fs::write(tree.join("srv/data"), vec![0xa5; 3_000_001]).unwrap();
    let arguments = ["-q", "-F", "-t", kind, "-d", tree.to_str().unwrap()];
    raw.fill(MIB, 60 * MIB, make("e2fsprogs", "mke2fs", &arguments));
    raw
}

/// Converts the `image` of a disk, with a kernel from [`kernel`] beside that disk.
pub fn for_kvm(raw: &Raw, image: &Path, target: &Path) -> Program {
    let folder = raw.scratch.path().join("boot");
    let kernel = kernel(&folder, true);
    initramfs(&folder);
    with_kernel(image, target, &kernel)
}

/// Converts an image for a machine with this kernel, and the initramfs beside it.
pub fn with_kernel(image: &Path, target: &Path, kernel: &Path) -> Program {
    convert(image, target)
        .args(["--for", "kvm", "--modules", "none", "--kernel"])
        .arg(kernel)
}
