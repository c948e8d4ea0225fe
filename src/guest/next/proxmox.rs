//! `pct`: what to type on Proxmox.

use super::line::Line;
use super::{Archive, Hint, Job, joined, starts};
use crate::guest::config::{v4, v6};
use crate::guest::proxmox::{SWAP_OF_OTHERS, system_type};
use crate::guest::receiver::{Network, first_v4, first_v6};
use crate::guest::system::Init;

impl Job<'_> {
    /// The archive as a backup: its configuration is converted, its identity kept.
    pub(super) fn proxmox(&self, archive: &Archive<'_>) -> Hint {
        let id = free_id(self.id);
        let (link, path) = archive.for_pct();
        let line = Line::new("pct restore").shell(&id).file(&path);
        let mut notes = vec![
            "local-lvm and vmbr0 are the names that Proxmox's installer gives a storage and a \
             bridge"
                .to_owned(),
        ];
        if let Some(link) = &link {
            notes.push(format!(
                "pct takes no other name: {link} gives the archive one more"
            ));
        }
        if self.config.memory().is_none() {
            notes.push(
                "no limit of the container's memory is known: pct gives it 512 MiB, unless the \
                 command says another memory and swap"
                    .to_owned(),
            );
        }
        notes.extend(self.addresses_note());
        if self.system.needs_cgroup_v1() {
            notes.push(
                "this systemd starts only on a host whose kernel was started with \
                 systemd.unified_cgroup_hierarchy=0"
                    .to_owned(),
            );
        }
        let mut commands: Vec<String> = link.into_iter().collect();
        commands.push(self.proxmox_options(line).0);
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
    pub(super) fn proxmox_new(&self, archive: &Archive<'_>) -> Hint {
        let id = free_id(self.id);
        let (_, path) = archive.for_pct();
        let line = Line::new("pct create").shell(&id).file(&path);
        let note = "a new container: it gets new SSH host keys, and root has no password until one \
                    is set; pct restore keeps both";
        Hint {
            host: "Proxmox",
            commands: vec![self.proxmox_options(line).0],
            notes: vec![note.to_owned()],
        }
    }

    fn proxmox_options(&self, line: Line) -> Line {
        let config = self.config;
        let mebibytes = |bytes: u64| bytes.div_ceil(1 << 20).to_string();
        let size = self.disk_size().div_ceil(1 << 30).max(1);
        // Where the command does not say the swap, pct adds the memory to it.
        let swap = config
            .swap()
            .or_else(|| config.memory().map(|_| SWAP_OF_OTHERS));
        let line = line
            .option("rootfs", &format!("local-lvm:{size}"))
            .option_if("hostname", config.host_name())
            .option_if(
                "memory",
                config.memory().map(|bytes| mebibytes(bytes.max(16 << 20))),
            )
            .option_if("swap", swap.map(mebibytes))
            .option_if(
                "cores",
                config.processors().map(|number| number.to_string()),
            )
            .option_if("cpulimit", config.processor_limit().map(hundredths))
            .option("net0", &self.proxmox_card())
            .option_if("nameserver", joined(&config.name_servers()))
            .option_if("searchdomain", joined(&config.search_domains()))
            .option_if("onboot", starts(config, "1"));
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
}

impl Archive<'_> {
    /// It under a name that `pct` takes, and the command that gives it that name where it has
    /// another one.
    fn for_pct(&self) -> (Option<String>, String) {
        let name = name_for_pct(self.path, self.ending);
        let link = (name != self.path).then(|| Line::new("ln").file(self.path).file(&name).0);
        (link, name)
    }
}

/// Endings of names by which tar's readers know an archive, the longest first.
const ENDINGS: &[&str] = &[".tar.zst", ".tar.gz", ".tzst", ".tgz", ".tar"];

/// The name under which `pct` takes an archive: it knows endings in small letters only, and none of
/// the short ones.
fn name_for_pct(path: &str, ending: &str) -> String {
    let lower = path.to_ascii_lowercase();
    let known = ENDINGS.iter().find(|known| lower.ends_with(**known));
    let stem = known.and_then(|known| path.get(..path.len() - known.len()));
    // A name of nothing else is a hidden file.
    let stem = stem.filter(|stem| !stem.is_empty() && !stem.ends_with('/'));
    format!("{}{ending}", stem.unwrap_or(path))
}

/// Proxmox's numbers begin at 100; a UUID or smaller number gets the next one that is free.
pub(super) fn free_id(id: &str) -> String {
    let number: Option<u64> = id.parse().ok();
    match number.filter(|number| (100..=999_999_999).contains(number)) {
        Some(number) => number.to_string(),
        None => "$(pvesh get /cluster/nextid)".to_owned(),
    }
}

/// Per cent as processors: 150 is 1.5.
pub(super) fn hundredths(per_cent: u64) -> String {
    let text = format!("{}.{:02}", per_cent / 100, per_cent % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
