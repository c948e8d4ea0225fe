//! For which host a container's files are changed, and what is known of the container.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ploopconv::convert::{GuestOptions, Input, MachineOptions, PlannedMachine};
use ploopconv::guest::{Config, HOST_FOLDERS, Kind, Network, Receiver, find_config, read_config};

use ploopconv::Workers;

use super::machine::MachineArgs;
use super::outcome::Usage;

/// Options of what goes to another host.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct GuestArgs {
    /// Change the container so that this kind of host starts it
    #[arg(long = "for", value_name = "HOST", help_heading = "Containers")]
    host: Option<Host>,
    /// The container's configuration [default: ve.conf beside the disk, or the one
    /// in /etc/vz/conf]
    #[arg(
        long,
        value_name = "FILE",
        requires = "host",
        help_heading = "Containers"
    )]
    config: Option<PathBuf>,
    /// What eth0 gets: an address by DHCP, those of the container, nothing
    #[arg(
        long,
        value_name = "HOW",
        default_value = "dhcp",
        requires = "host",
        help_heading = "Containers"
    )]
    network: NetworkKind,
    /// The router of the new network, for --network keep; once for IPv4 and IPv6 each
    #[arg(
        long,
        value_name = "ADDR",
        requires = "host",
        help_heading = "Containers"
    )]
    gateway: Vec<IpAddr>,
    #[command(flatten)]
    machine: MachineArgs,
}

/// A kind of host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Host {
    /// Proxmox CT, systemd-nspawn, Docker, LXC
    Lxc,
    /// Incus and LXD: an image with metadata.yaml
    Incus,
    /// A disk that boots: QEMU, libvirt, a machine of Proxmox
    Kvm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum NetworkKind {
    /// An address that the network gives
    Dhcp,
    /// The container's addresses
    Keep,
    /// Nothing: only venet0 goes
    None,
}

/// What is known of the container.
#[derive(Debug, Default)]
pub(super) struct Container {
    /// Its number, or what stands for it.
    pub(super) id: String,
    pub(super) config: Config,
    /// Where the configuration was found.
    pub(super) found: Option<PathBuf>,
}

impl GuestArgs {
    pub(super) fn is_given(&self) -> bool {
        self.host.is_some()
    }

    /// Whether a disk is to boot.
    pub(super) fn is_for_machine(&self) -> bool {
        self.host == Some(Host::Kvm)
    }

    /// Refuses what cannot be followed together.
    pub(super) fn refuse_nonsense(&self, makes_archive: bool) -> Result<(), Usage> {
        self.refuse_contradictions()?;
        let mistake = |text: &str| Err(Usage(text.to_owned()));
        match (self.host, makes_archive) {
            (None, _) | (Some(Host::Kvm), false) | (Some(Host::Lxc | Host::Incus), true) => Ok(()),
            (Some(Host::Kvm), true) => mistake(
                "--for kvm makes a disk that boots, and no archive: name the target .raw or \
                 .qcow2, or add -O raw or -O qcow2",
            ),
            (Some(_), false) => mistake(
                "--for changes the files of an archive: add -O tar, or name the target .tar, \
                 .tar.gz or .tar.zst",
            ),
        }
    }

    /// Refuses options that contradict each other, whatever is done with them.
    pub(super) fn refuse_contradictions(&self) -> Result<(), Usage> {
        if let Some(option) = self.machine.given().filter(|_| !self.is_for_machine()) {
            return Err(Usage(format!(
                "{option} is for a disk that boots: --for kvm"
            )));
        }
        if !self.gateway.is_empty() && self.network != NetworkKind::Keep {
            return Err(Usage(
                "--gateway is for --network keep: other networks say themselves which router they \
                 have"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// Reads what is known of the container whose disk is `input`.
    pub(super) fn container(&self, input: &Input, image: &Path) -> anyhow::Result<Container> {
        let disk = input.store_files().pop();
        // What lies beside the disk of a machine is not the container's.
        let area = match input.is_of_machine() {
            true => None,
            false => disk.as_deref().and_then(private_area),
        };
        let real = area.and_then(|area| area.canonicalize().ok());
        let name = match &real {
            Some(area) => area.file_name(),
            None if input.is_of_machine() => image.file_stem(),
            None => image.file_name(),
        };
        let id = name.map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        if let Some(path) = &self.config {
            return Ok(Container {
                id,
                config: read_config(path)?,
                found: Some(path.clone()),
            });
        }
        let folders: Vec<&Path> = HOST_FOLDERS.iter().map(Path::new).collect();
        let found = match area {
            Some(area) => find_config(area, None, &folders)?,
            None => None,
        };
        let (found, config) = found.unzip();
        Ok(Container {
            id,
            config: config.unwrap_or_default(),
            found,
        })
    }

    /// How the library is to change the files; `None` where they stay.
    pub(super) fn options(&self, container: &Container) -> Option<GuestOptions> {
        let kind = match self.host? {
            Host::Lxc => Kind::Lxc,
            Host::Incus => Kind::Incus,
            Host::Kvm => Kind::Kvm,
        };
        Some(GuestOptions {
            config: container.config.clone(),
            receiver: Receiver {
                network: self.network(),
                ..kind.into()
            },
        })
    }

    /// What `eth0` is to get.
    pub(super) fn network(&self) -> Network {
        match self.network {
            NetworkKind::Dhcp => Network::Dhcp,
            NetworkKind::Keep => Network::Keep {
                gateways: self.gateway.clone(),
            },
            NetworkKind::None => Network::None,
        }
    }

    /// The same disk with what starts it, where that was asked for.
    pub(super) fn booting(
        &self,
        input: Input,
        container: Option<&Container>,
        workers: &Workers,
    ) -> ploopconv::Result<(Input, Option<PlannedMachine>)> {
        let container = container.filter(|_| self.is_for_machine());
        let Some(guest) = container.and_then(|container| self.options(container)) else {
            return Ok((input, None));
        };
        let wanted = MachineOptions {
            guest,
            boot: self.machine.wanted(),
            grub: MachineArgs::grub(),
        };
        let (input, planned) = input.booting(&wanted, workers)?;
        Ok((input, Some(planned)))
    }
}

impl Container {
    /// What a user should know of the configuration: a line each.
    pub(super) fn warnings(&self) -> Vec<String> {
        let Some(path) = &self.found else {
            return vec![
                "warning: no configuration of the container was found, so its name, memory and \
                 addresses are not known (--config FILE)"
                    .to_owned(),
            ];
        };
        let problems = self.config.problems().iter();
        let lines = problems.map(|problem| {
            let key = problem.key.as_deref().unwrap_or("the line");
            format!(
                "warning: {}: line {}: {key} {}",
                path.display(),
                problem.line,
                problem.what
            )
        });
        lines.collect()
    }
}

/// The private area of the container that a layer belongs to: the layer lies in a bundle, the
/// bundle in the area. A layer that was copied out of its bundle lies beside the configuration, if
/// anything does.
fn private_area(layer: &Path) -> Option<&Path> {
    let folder = layer
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())?;
    let is_bundle = folder
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("hdd"));
    let area = if is_bundle { folder.parent()? } else { folder };
    let here = area.as_os_str().is_empty();
    Some(if here { Path::new(".") } else { area })
}
