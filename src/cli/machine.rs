//! `--for kvm`: what starts a container as a machine.

use std::path::PathBuf;

use ploopconv::boot::{Grub, Modules, Wanted};

/// Options of a disk that boots.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct MachineArgs {
    /// The kernel of the machine [default: the newest in /boot for the container's
    /// processor]
    #[arg(
        long,
        value_name = "FILE",
        requires = "host",
        help_heading = "Containers"
    )]
    kernel: Option<PathBuf>,
    /// The kernel's initramfs [default: the one beside it]
    #[arg(
        long,
        value_name = "FILE",
        requires = "host",
        help_heading = "Containers"
    )]
    initrd: Option<PathBuf>,
    /// The kernel's modules, or none [default: those in /lib/modules]
    #[arg(
        long,
        value_name = "DIR|none",
        requires = "host",
        help_heading = "Containers"
    )]
    modules: Option<PathBuf>,
    /// More words for the kernel's command line
    #[arg(
        long,
        value_name = "TEXT",
        requires = "host",
        allow_hyphen_values = true,
        help_heading = "Containers"
    )]
    append: Option<String>,
}

impl MachineArgs {
    /// The first of the options that was given.
    pub(super) fn given(&self) -> Option<&'static str> {
        let given = [
            (self.kernel.is_some(), "--kernel"),
            (self.initrd.is_some(), "--initrd"),
            (self.modules.is_some(), "--modules"),
            (self.append.is_some(), "--append"),
        ];
        given
            .iter()
            .find(|(given, _)| *given)
            .map(|(_, name)| *name)
    }

    /// What is to start the machine.
    pub(super) fn wanted(&self) -> Wanted {
        let modules = match &self.modules {
            None => Modules::Auto,
            Some(word) if word.as_os_str() == "none" => Modules::None,
            Some(folder) => Modules::Folder(folder.clone()),
        };
        Wanted {
            kernel: self.kernel.clone(),
            initrd: self.initrd.clone(),
            modules,
            append: self.append.clone(),
            ..Wanted::default()
        }
    }

    /// Where GRUB is.
    pub(super) fn grub() -> Grub {
        Grub::default()
    }
}
