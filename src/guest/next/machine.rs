//! What to type to start a disk as a virtual machine.

use super::line::Line;
use super::proxmox::{free_id, hundredths};
use super::{Hint, joined, name, starts};
use crate::guest::config::Config;
use crate::guest::receiver::Network;
use crate::util::text::shell_word;

/// Memory of a machine whose container had no limit, in bytes.
const USUAL_MEMORY: u64 = 1 << 30;

/// A disk that boots.
#[derive(Debug, Clone, Copy)]
pub struct MachineDisk<'a> {
    /// Where it is, as the user named it.
    pub path: &'a str,
    /// The format as QEMU names it: `raw`, `qcow2`.
    pub format: &'a str,
    /// The container's number or UUID on the old host, or another word for it.
    pub id: &'a str,
    /// The memory that its first boot takes, in bytes.
    pub least_memory: u64,
}

/// What to type to make a machine of `disk`, for each program that starts one.
#[must_use]
pub fn next_of_machine(disk: &MachineDisk<'_>, config: &Config, network: &Network) -> Vec<Hint> {
    let job = Job {
        disk,
        config,
        network,
    };
    vec![job.proxmox(), job.libvirt(), job.qemu()]
}

struct Job<'a> {
    disk: &'a MachineDisk<'a>,
    config: &'a Config,
    network: &'a Network,
}

impl Job<'_> {
    fn proxmox(&self) -> Hint {
        let (mut commands, mut id) = (Vec::new(), free_id(self.disk.id));
        if id.starts_with('$') {
            commands.push(format!("id={id}"));
            id = "$id".to_owned();
        }
        let config = self.config;
        let card = match self.card_address() {
            Some(mac) => format!("virtio={mac},bridge=vmbr0"),
            None => "virtio,bridge=vmbr0".to_owned(),
        };
        let create = Line::new("qm create")
            .shell(&id)
            .option("name", &name(self.config, self.disk.id))
            .option("memory", &self.mebibytes())
            .option("cores", &self.processors())
            .option_if("cpulimit", config.processor_limit().map(hundredths))
            .option("ostype", "l26")
            .option("net0", &card)
            .option("serial0", "socket")
            .option_if("onboot", starts(config, "1"));
        let import = Line::new("qm importdisk").shell(&id).file(self.disk.path);
        let set = Line::new("qm set").shell(&id);
        let set = set.shell_option("virtio0", &format!("local-lvm:vm-{id}-disk-0"));
        commands.extend([
            create.0,
            import.word("local-lvm").0,
            set.shell_option("boot", "order=virtio0").0,
            format!("qm start {id}"),
        ]);
        let mut notes = vec![
            "local-lvm and vmbr0 are the names that Proxmox's installer gives a storage and a \
             bridge"
                .to_owned(),
        ];
        notes.extend(self.notes());
        Hint {
            host: "Proxmox",
            commands,
            notes,
        }
    }

    fn libvirt(&self) -> Hint {
        let mut card = "network=default,model=virtio".to_owned();
        if let Some(mac) = self.card_address() {
            card.push_str(&format!(",mac={mac}"));
        }
        let line = Line::new("virt-install")
            .flag("import")
            .option("name", &name(self.config, self.disk.id))
            .option("memory", &self.mebibytes())
            .option("vcpus", &self.processors())
            .option("osinfo", "detect=on,require=off")
            .option(
                "disk",
                &format!(
                    "path={},format={},bus=virtio",
                    value(self.disk.path),
                    self.disk.format
                ),
            )
            .option("network", &card)
            .option("graphics", "none")
            .flag("noautoconsole");
        let line = match starts(self.config, "autostart") {
            Some(word) => line.flag(&word),
            None => line,
        };
        Hint {
            host: "libvirt",
            commands: vec![
                line.0,
                format!(
                    "virsh console {}",
                    shell_word(&name(self.config, self.disk.id))
                ),
            ],
            notes: vec![
                "its daemon reads the disk as a user of its own: /var/lib/libvirt/images is a \
                 folder for it"
                    .to_owned(),
            ],
        }
    }

    fn qemu(&self) -> Hint {
        let drive = format!(
            "file={},format={},if=virtio",
            value(self.disk.path),
            self.disk.format
        );
        let mut card = "user,model=virtio-net-pci".to_owned();
        if let Some(mac) = self.card_address() {
            card.push_str(&format!(",mac={mac}"));
        }
        let line = Line::new("qemu-system-x86_64");
        let line = [("M", "q35"), ("accel", "kvm"), ("cpu", "host")]
            .iter()
            .fold(line, |line, (name, value)| line.short(name).word(value));
        let line = line.short("m").word(&self.mebibytes());
        let line = line.short("smp").word(&self.processors());
        let line = line.short("nographic").short("drive").word(&drive);
        let line = line.short("nic").word(&card);
        Hint {
            host: "QEMU",
            commands: vec![line.0],
            notes: Vec::new(),
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        match self.config.memory() {
            None => notes.push("no limit of the container's memory is known".to_owned()),
            Some(known) if known < self.disk.least_memory => {
                let known = known >> 20;
                let needed = self.disk.least_memory.div_ceil(1 << 20);
                notes.push(format!(
                    "the container had {known} MiB of memory; the first boot takes {needed} MiB"
                ));
            }
            Some(_) => {}
        }
        let addresses = self.config.addresses();
        if *self.network == Network::Dhcp && !addresses.is_empty() {
            let addresses = joined(&addresses).unwrap_or_default();
            notes.push(format!(
                "the container had {addresses}; the machine asks for an address by DHCP"
            ));
        }
        notes
    }

    fn mebibytes(&self) -> String {
        let memory = self.config.memory().unwrap_or(USUAL_MEMORY);
        memory
            .max(self.disk.least_memory)
            .div_ceil(1 << 20)
            .to_string()
    }

    fn processors(&self) -> String {
        self.config.processors().unwrap_or(1).to_string()
    }

    /// The hardware address of the container's first card.
    fn card_address(&self) -> Option<String> {
        let cards = self.config.interfaces();
        cards.first().and_then(|card| card.mac.clone())
    }
}

/// A path as the value of an option of QEMU or virt-install: a comma ends a value unless there are
/// two, and a colon in the first name makes it a protocol.
fn value(path: &str) -> String {
    let first = path.split('/').next().unwrap_or_default();
    let path = path.replace(',', ",,");
    match first.contains(':') {
        true => format!("./{path}"),
        false => path,
    }
}
