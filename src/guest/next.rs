//! The commands that make a container of an archive and start it, filled from its configuration.

mod line;
mod machine;
mod proxmox;

pub use self::machine::{MachineDisk, next_of_machine};

use self::line::Line;
use super::config::Config;
use super::receiver::{Kind, Network, Receiver};
use super::system::{Init, System};

/// An archive of a container's files.
#[derive(Debug, Clone, Copy)]
pub struct Archive<'a> {
    /// Where it is, as the user named it.
    pub path: &'a str,
    /// The ending that says how it is packed, whatever its name is: `.tar`, `.tar.gz`, `.tar.zst`.
    pub ending: &'a str,
    /// The container's number or UUID on the old host, or another word for it.
    pub id: &'a str,
    /// The size of the container's disk in bytes.
    pub disk_size: u64,
}

/// What to type on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// The host: `Proxmox`, `Incus`, `systemd`, `Docker`.
    pub host: &'static str,
    /// Lines for a shell, in their order.
    pub commands: Vec<String>,
    /// What to know before typing them: names that this host may have otherwise, what the commands
    /// cannot carry.
    pub notes: Vec<String>,
}

/// What to type to make a container of `archive`, for each host that takes it.
#[must_use]
pub fn next(
    archive: &Archive<'_>,
    config: &Config,
    system: &System,
    receiver: &Receiver,
) -> Vec<Hint> {
    let job = Job {
        id: archive.id,
        disk_size: archive.disk_size,
        config,
        system,
        receiver,
    };
    match receiver.kind {
        Kind::Lxc => vec![
            job.proxmox(archive),
            job.proxmox_new(archive),
            job.systemd(archive),
            job.docker(archive),
        ],
        Kind::Incus => vec![job.incus(archive)],
        // It wants a disk: see `next_of_machine`.
        Kind::Kvm => Vec::new(),
    }
}

impl Archive<'_> {
    fn is_zstd(&self) -> bool {
        self.ending == ".tar.zst"
    }
}

struct Job<'a> {
    /// The container's number or UUID on the old host, or another word for it.
    id: &'a str,
    /// The size of the container's disk in bytes.
    disk_size: u64,
    config: &'a Config,
    system: &'a System,
    receiver: &'a Receiver,
}

impl Job<'_> {
    fn systemd(&self, archive: &Archive<'_>) -> Hint {
        let name = self.name();
        let line = match archive.is_zstd() {
            // An older systemd does not know zstd.
            true => Line::new("zstd -dc")
                .file(archive.path)
                .shell("| machinectl import-tar -"),
            false => Line::new("machinectl import-tar").file(archive.path),
        };
        let line = line.word(&name);
        let mut commands = vec![line.0];
        if self.system.init != Init::None {
            commands.push(Line::new("machinectl start").word(&name).0);
        }
        // The kernel takes 15 characters.
        let on_host: String = format!("ve-{name}").chars().take(15).collect();
        Hint {
            host: "systemd",
            commands,
            notes: vec![format!(
                "nspawn calls the card host0, unless /etc/systemd/nspawn/{name}.nspawn has \
                 VirtualEthernetExtra={on_host}:eth0 below [Network]"
            )],
        }
    }

    fn docker(&self, archive: &Archive<'_>) -> Hint {
        let name = format!("openvz-{}", self.name().to_ascii_lowercase());
        let program = match self.system.init {
            Init::None => "/bin/sh",
            _ => "/sbin/init",
        };
        let import = |line: Line| line.option("change", &format!("CMD [\"{program}\"]"));
        let line = match archive.is_zstd() {
            true => {
                let line = Line::new("zstd -dc").file(archive.path);
                import(line.shell("|").shell("docker import")).shell("-")
            }
            false => import(Line::new("docker import")).file(archive.path),
        };
        Hint {
            host: "Docker",
            commands: vec![line.word(&name).0],
            notes: vec![
                "made for one program, and not for an init with services: name the program that \
                 docker run is to start"
                    .to_owned(),
            ],
        }
    }

    fn incus(&self, archive: &Archive<'_>) -> Hint {
        let name = self.name();
        let alias = format!("openvz-{name}");
        let import = Line::new("incus image import")
            .file(archive.path)
            .option("alias", &alias);
        let config = self.config;
        let setting =
            |key: &str, value: Option<String>| value.map(|value| format!("{key}={value}"));
        let memory = config
            .memory()
            .map(|bytes| format!("{}MiB", bytes.div_ceil(1 << 20)));
        let processors = config.processors().map(|number| number.to_string());
        let limit = config
            .processor_limit()
            .map(|part| format!("{part}ms/100ms"));
        let starts = starts(config, "true");
        let mut launch = Line::new("incus launch").word(&alias).word(&name);
        for value in [
            setting("limits.memory", memory),
            setting("limits.cpu", processors),
            setting("limits.cpu.allowance", limit),
            setting("boot.autostart", starts),
        ] {
            launch = launch.option_if("config", value);
        }
        let size = self.disk_size().div_ceil(1 << 30).max(1);
        let launch = launch.option("device", &format!("root,size={size}GiB"));
        let mut notes = Vec::new();
        if self.receiver.network == Network::Dhcp && !config.addresses().is_empty() {
            let addresses = joined(&config.addresses()).unwrap_or_default();
            notes.push(format!(
                "the container had {addresses}; Incus gives it another address"
            ));
        }
        Hint {
            host: "Incus",
            commands: vec![import.0, launch.0],
            notes,
        }
    }

    fn disk_size(&self) -> u64 {
        let said = self.config.disk_size().unwrap_or(0);
        said.max(self.disk_size)
    }

    fn name(&self) -> String {
        name(self.config, self.id)
    }
}

/// Whether the container is to start with its host: the word for it, if so.
fn starts(config: &Config, word: &str) -> Option<String> {
    let starts = config.starts_on_boot().filter(|starts| *starts);
    starts.map(|_| word.to_owned())
}

/// A name that every host takes: letters, digits and `-`, and a letter first.
fn name(config: &Config, id: &str) -> String {
    let name = config.host_name();
    let name = name.as_deref().and_then(|name| name.split('.').next());
    let name = name.unwrap_or(id);
    let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = name.chars().map(fits).take(50).collect();
    let name = name.trim_matches('-');
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        name.to_owned()
    } else {
        format!("ct{name}")
    }
}

/// Words with spaces between them; `None` where there are none.
fn joined(words: &[impl ToString]) -> Option<String> {
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    (!words.is_empty()).then(|| words.join(" "))
}
