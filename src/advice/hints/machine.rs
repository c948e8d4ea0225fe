//! What to do about a disk that cannot be made to boot.

use ploopconv::boot::{BootError, PayloadError};
use ploopconv::convert::MachineError;
use ploopconv::partition::FileSystem;

use super::hint::Hint;

/// Advice for a disk that has no system to start, several, or one that starts by itself.
pub(super) fn of_machine(error: &MachineError) -> Vec<Hint> {
    match error {
        MachineError::SeveralSystems { .. } | MachineError::SeveralUnread { .. } => {
            vec![Hint::say(
                "--partition N makes a disk of one of them, without the others",
            )]
        }
        MachineError::SharedUuid { .. } => vec![Hint::say(
            "--partition N makes a disk of one of them, without the others",
        )],
        MachineError::Runs { .. } => vec![Hint::say("turn the machine off first")],
        MachineError::UnnamedRoot {
            kind: FileSystem::Lvm2,
        } => vec![Hint::say(
            "--append root=/dev/VG/LV names it, and the initramfs needs the program that finds it",
        )],
        MachineError::UnnamedRoot { .. } => vec![Hint::say(
            "--append root=/dev/vda1 names it, as the machine will know it",
        )],
        _ => vec![as_it_is()],
    }
}

/// Advice for a disk that is to boot and cannot be made to.
pub(super) fn as_it_is() -> Hint {
    Hint::say("without --for the disk is converted as it is")
}

/// Advice for a boot loader that is missing.
pub(super) fn of_boot(error: &BootError) -> Vec<Hint> {
    let text = match error {
        BootError::NoGrub => "apt install grub-common grub-pc-bin grub-efi-amd64-bin",
        BootError::NoPlatform { package, .. } => {
            return vec![Hint::say(format!("apt install {package}"))];
        }
        _ => return Vec::new(),
    };
    vec![Hint::say(text)]
}

/// Advice for a kernel that is missing or the wrong one.
pub(super) fn of_payload(error: &PayloadError) -> Vec<Hint> {
    let text = match error {
        PayloadError::NoKernel { .. } | PayloadError::OtherProcessor { .. } => {
            "a kernel of another host serves: --kernel FILE, with --initrd FILE and --modules DIR"
        }
        PayloadError::NoInitramfs { .. } => "--initrd FILE names it",
        PayloadError::LongCommandLine { .. } => "--append takes fewer words",
        PayloadError::NoModules { .. } | PayloadError::OtherModules { .. } => {
            "--modules none leaves them out"
        }
        PayloadError::NoDriver { .. }
        | PayloadError::NotAKernel { .. }
        | PayloadError::CutKernel { .. } => "--kernel FILE takes another kernel",
        PayloadError::BrokenInitramfs { .. } => {
            "`update-initramfs -u -k RELEASE` makes a new one, once its disk has room; --initrd \
             FILE takes another"
        }
        PayloadError::OtherInitramfs { .. } => {
            "mkinitramfs -o FILE RELEASE, or dracut --no-hostonly FILE RELEASE, makes one; \
             --initrd FILE names it"
        }
        PayloadError::NoDriverInInitramfs { .. } => {
            "mkinitramfs with MODULES=most, or dracut --no-hostonly, makes one for any machine; \
             --initrd FILE names it"
        }
        _ => return Vec::new(),
    };
    vec![Hint::say(text)]
}
