//! For which host a container's files are changed, and what is known of the container.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ploopconv::convert::{GuestOptions, Input};
use ploopconv::guest::{Config, HOST_FOLDERS, Kind, Network, Receiver, find_config, read_config};

use super::outcome::Usage;

/// Options of an archive that goes to another host.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct GuestArgs {
    /// Change the files of an archive so that this kind of host starts them
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
}

/// A kind of host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Host {
    /// Proxmox CT, systemd-nspawn, Docker, LXC
    Lxc,
    /// Incus and LXD: an image with metadata.yaml
    Incus,
    /// A disk that boots: refused with the way that there is
    #[value(hide = true)]
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

    /// Refuses what cannot be followed together.
    pub(super) fn refuse_nonsense(&self, makes_archive: bool) -> Result<(), Usage> {
        self.refuse_contradictions()?;
        if self.host.is_some() && !makes_archive {
            return Err(Usage(
                "--for changes the files of an archive: add -O tar, or name the target .tar, \
                 .tar.gz or .tar.zst"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// Refuses options that contradict each other, whatever is done with them.
    pub(super) fn refuse_contradictions(&self) -> Result<(), Usage> {
        if self.host == Some(Host::Kvm) {
            return Err(Usage(
                "--for kvm is not in this version; docs/migrate-to-kvm.md has the way to a disk \
                 that boots"
                    .to_owned(),
            ));
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
        let area = disk.as_deref().and_then(private_area);
        let real = area.and_then(|area| area.canonicalize().ok());
        let name = real.as_deref().unwrap_or(image).file_name();
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

    /// How the library is to change the files.
    pub(super) fn options(&self, container: &Container) -> Option<GuestOptions> {
        let network = match self.network {
            NetworkKind::Dhcp => Network::Dhcp,
            NetworkKind::Keep => Network::Keep {
                gateways: self.gateway.clone(),
            },
            NetworkKind::None => Network::None,
        };
        let kind = match self.host? {
            Host::Lxc => Kind::Lxc,
            Host::Incus => Kind::Incus,
            Host::Kvm => return None,
        };
        Some(GuestOptions {
            config: container.config.clone(),
            receiver: Receiver { kind, network },
        })
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
