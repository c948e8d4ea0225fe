//! The commands that make a container of an archive and start it, filled from its configuration.

use super::config::{Config, v4, v6};
use super::proxmox::system_type;
use super::receiver::{Kind, Network, Receiver, first_v4, first_v6};
use super::system::{Init, System};
use crate::util::text::shell_word;

/// An archive of a container's files.
#[derive(Debug, Clone, Copy)]
pub struct Archive<'a> {
    /// Where it is, as the user named it.
    pub path: &'a str,
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
        archive,
        config,
        system,
        receiver,
    };
    match receiver.kind {
        Kind::Lxc => vec![
            job.proxmox(),
            job.proxmox_new(),
            job.systemd(),
            job.docker(),
        ],
        Kind::Incus => vec![job.incus()],
    }
}

struct Job<'a> {
    archive: &'a Archive<'a>,
    config: &'a Config,
    system: &'a System,
    receiver: &'a Receiver,
}

/// A line for a shell, as it grows.
struct Line(String);

impl Line {
    fn new(program: &str) -> Self {
        Self(program.to_owned())
    }

    fn word(mut self, word: &str) -> Self {
        self.0.push(' ');
        self.0.push_str(&shell_word(word));
        self
    }

    /// A file: one whose name begins like an option is named by its folder too.
    fn file(self, path: &str) -> Self {
        if path.starts_with('-') {
            self.word(&format!("./{path}"))
        } else {
            self.word(path)
        }
    }

    /// A word that the shell is to take as it stands.
    fn shell(mut self, text: &str) -> Self {
        self.0.push(' ');
        self.0.push_str(text);
        self
    }

    fn option(mut self, name: &str, value: &str) -> Self {
        self.0.push_str(&format!(" --{name}"));
        self.word(value)
    }

    fn option_if(self, name: &str, value: Option<String>) -> Self {
        match value {
            Some(value) => self.option(name, &value),
            None => self,
        }
    }
}

impl Job<'_> {
    /// The archive as a backup: its configuration is converted, its identity kept.
    fn proxmox(&self) -> Hint {
        let id = self.proxmox_id();
        let line = Line::new("pct restore").shell(&id).file(self.archive.path);
        let mut notes = vec![
            "local-lvm and vmbr0 are the names that Proxmox's installer gives a storage and a \
             bridge"
                .to_owned(),
        ];
        notes.extend(self.addresses_note());
        if self.system.needs_cgroup_v1() {
            notes.push(
                "this systemd starts only on a host whose kernel was started with \
                 systemd.unified_cgroup_hierarchy=0"
                    .to_owned(),
            );
        }
        let mut commands = vec![self.proxmox_options(line).0];
        if !id.starts_with('$') {
            commands.push(format!("pct start {id}"));
        }
        Hint {
            host: "Proxmox",
            commands,
            notes,
        }
    }

    /// The archive as a template.
    fn proxmox_new(&self) -> Hint {
        let id = self.proxmox_id();
        let line = Line::new("pct create").shell(&id).file(self.archive.path);
        let note = "a new container: it gets new SSH host keys, and root has no password until one \
                    is set; pct restore keeps both";
        Hint {
            host: "Proxmox",
            commands: vec![self.proxmox_options(line).0],
            notes: vec![note.to_owned()],
        }
    }

    /// Proxmox's numbers begin at 100; a UUID or smaller number gets the next one that is free.
    fn proxmox_id(&self) -> String {
        let number: Option<u64> = self.archive.id.parse().ok();
        match number.filter(|number| (100..=999_999_999).contains(number)) {
            Some(number) => number.to_string(),
            None => "$(pvesh get /cluster/nextid)".to_owned(),
        }
    }

    fn proxmox_options(&self, line: Line) -> Line {
        let config = self.config;
        let mebibytes = |bytes: u64| bytes.div_ceil(1 << 20).to_string();
        let size = self.disk_size().div_ceil(1 << 30).max(1);
        let line = line
            .option("rootfs", &format!("local-lvm:{size}"))
            .option_if("hostname", config.host_name())
            .option_if(
                "memory",
                config.memory().map(|bytes| mebibytes(bytes.max(16 << 20))),
            )
            .option_if("swap", config.swap().map(mebibytes))
            .option_if(
                "cores",
                config.processors().map(|number| number.to_string()),
            )
            .option_if("cpulimit", config.processor_limit().map(hundredths))
            .option("net0", &self.proxmox_card())
            .option_if("nameserver", joined(&config.name_servers()))
            .option_if("searchdomain", joined(&config.search_domains()))
            .option_if("onboot", self.starts().map(|()| "1".to_owned()));
        let line = match system_type(self.system) {
            Some(_) => line,
            None => line.option("ostype", "unmanaged"),
        };
        let line = line.option("unprivileged", "1");
        match self.system.init {
            // Services of a newer systemd have mounts of their own.
            Init::Systemd => line.option("features", "nesting=1"),
            _ => line,
        }
    }

    fn proxmox_card(&self) -> String {
        let mut card = "name=eth0,bridge=vmbr0".to_owned();
        let cards = self.config.interfaces();
        if let Some(mac) = cards.first().and_then(|card| card.mac.as_deref()) {
            card.push_str(&format!(",hwaddr={mac}"));
        }
        match &self.receiver.network {
            Network::Dhcp => card.push_str(",ip=dhcp"),
            // Without an address here Proxmox leaves the guest's own settings alone.
            Network::None => {}
            Network::Keep { gateways } => {
                let addresses = self.config.addresses();
                let mut known = gateways.clone();
                known.extend(self.config.gateways());
                if let Some((ip, bits)) = addresses.iter().find_map(v4) {
                    card.push_str(&format!(",ip={ip}/{bits}"));
                    if let Some(gateway) = first_v4(&known) {
                        card.push_str(&format!(",gw={gateway}"));
                    }
                }
                if let Some((ip, bits)) = addresses.iter().find_map(v6) {
                    card.push_str(&format!(",ip6={ip}/{bits}"));
                    if let Some(gateway) = first_v6(&known) {
                        card.push_str(&format!(",gw6={gateway}"));
                    }
                }
            }
        }
        card
    }

    /// Addresses that one card of Proxmox has no room for.
    fn addresses_note(&self) -> Option<String> {
        let Network::Keep { .. } = self.receiver.network else {
            return None;
        };
        let addresses = self.config.addresses();
        let more: Vec<String> = (addresses.iter().filter(|a| a.address.is_ipv4()).skip(1))
            .chain(addresses.iter().filter(|a| a.address.is_ipv6()).skip(1))
            .map(|address| address.address.to_string())
            .collect();
        let more = more.join(", ");
        (!more.is_empty()).then(|| {
            format!("Proxmox writes one address of each family: see that eth0 keeps {more}")
        })
    }

    fn systemd(&self) -> Hint {
        let name = self.name();
        let line = match self.archive.path.ends_with("zst") {
            // An older systemd does not know zstd.
            true => Line::new("zstd -dc").file(self.archive.path).shell("|"),
            false => Line::new("machinectl import-tar"),
        };
        let line = match self.archive.path.ends_with("zst") {
            true => line.shell("machinectl import-tar -").word(&name),
            false => line.file(self.archive.path).word(&name),
        };
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

    fn docker(&self) -> Hint {
        let name = format!("openvz-{}", self.name().to_ascii_lowercase());
        let program = match self.system.init {
            Init::None => "/bin/sh",
            _ => "/sbin/init",
        };
        let import = |line: Line| line.option("change", &format!("CMD [\"{program}\"]"));
        let line = match self.archive.path.ends_with("zst") {
            true => {
                let line = Line::new("zstd -dc").file(self.archive.path);
                import(line.shell("|").shell("docker import")).shell("-")
            }
            false => import(Line::new("docker import")).file(self.archive.path),
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

    fn incus(&self) -> Hint {
        let name = self.name();
        let alias = format!("openvz-{name}");
        let import = Line::new("incus image import")
            .file(self.archive.path)
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
        let starts = self.starts().map(|()| "true".to_owned());
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

    fn starts(&self) -> Option<()> {
        self.config
            .starts_on_boot()
            .filter(|starts| *starts)
            .map(|_| ())
    }

    fn disk_size(&self) -> u64 {
        let said = self.config.disk_size().unwrap_or(0);
        said.max(self.archive.disk_size)
    }

    /// A name that every host takes: letters, digits and `-`, and a letter first.
    fn name(&self) -> String {
        let name = self.config.host_name();
        let name = name.as_deref().and_then(|name| name.split('.').next());
        let name = name.unwrap_or(self.archive.id);
        let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let name: String = name.chars().map(fits).take(50).collect();
        let name = name.trim_matches('-');
        if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            name.to_owned()
        } else {
            format!("ct{name}")
        }
    }
}

/// Per cent as processors: 150 is 1.5.
fn hundredths(per_cent: u64) -> String {
    let text = format!("{}.{:02}", per_cent / 100, per_cent % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Words with spaces between them; `None` where there are none.
fn joined(words: &[impl ToString]) -> Option<String> {
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    (!words.is_empty()).then(|| words.join(" "))
}
