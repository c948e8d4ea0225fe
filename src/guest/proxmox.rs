//! What Proxmox needs of a container: `./etc/vzdump/vps.conf`, and the types of systems.
//!
//! `pct restore` converts OpenVZ's configuration by itself, and is strict: a line that it does not
//! understand ends the restore, and memory has to be a whole number of MiB. So the file has few
//! lines, each in the one spelling that it takes. It reads host name, memory, swap, processors
//! and the size of the disk; the rest is for people. Networks it leaves to the command line.

use super::config::Config;
use super::system::{Family, System};

/// A container without a name is called this.
const NAMELESS: &str = "container";

/// The swap in bytes of a container whose memory is limited and whose swap is not known.
pub(super) const SWAP_OF_OTHERS: u64 = 0;

/// The text of `./etc/vzdump/vps.conf` for an archive that `pct restore` takes. `disk_size` is that
/// of the container's disk in bytes, for a configuration that does not say it.
///
/// ```
/// use ploopconv::guest::{Config, vps_conf};
/// let config = Config::parse(b"HOSTNAME='www'\nPHYSPAGES='0:65537'\nCPULIMIT='half'\n")?;
/// let text = vps_conf(&config, 8 << 30);
/// assert!(text.contains("HOSTNAME=\"www\"\n"));
/// assert!(text.contains("PHYSPAGES=\"0:65792\"\n")); // 257 MiB: whole, and no less than before
/// assert!(text.contains("DISKSPACE=\"8388608:8388608\"\n"));
/// assert!(!text.contains("CPULIMIT"));
/// # Ok::<(), ploopconv::guest::ConfigError>(())
/// ```
#[must_use]
pub fn vps_conf(config: &Config, disk_size: u64) -> String {
    let mut lines: Vec<(&str, String)> = Vec::new();
    let name = config.host_name().unwrap_or_else(|| NAMELESS.to_owned());
    lines.push(("HOSTNAME", name));
    if let Some(memory) = config.memory() {
        lines.push(("PHYSPAGES", format!("0:{}", pages(memory))));
        // Proxmox looks at PHYSPAGES only where this key is.
        let swap = config.swap().unwrap_or(SWAP_OF_OTHERS);
        lines.push(("SWAPPAGES", format!("0:{}", pages(swap))));
    }
    let kib = config
        .disk_size()
        .unwrap_or(disk_size)
        .max(disk_size)
        .div_ceil(1024);
    lines.push(("DISKSPACE", format!("{kib}:{kib}")));
    if let Some(processors) = config.processors() {
        lines.push(("CPUS", processors.to_string()));
    }
    if let Some(starts) = config.starts_on_boot() {
        lines.push(("ONBOOT", if starts { "yes" } else { "no" }.to_owned()));
    }
    for key in [
        "NAME",
        "DESCRIPTION",
        "OSTEMPLATE",
        "IP_ADDRESS",
        "NETIF",
        "NAMESERVER",
        "SEARCHDOMAIN",
    ] {
        if let Some(value) = config.get(key).filter(|value| !value.trim().is_empty()) {
            lines.push((key, plain(value)));
        }
    }
    let lines = lines
        .iter()
        .map(|(key, value)| format!("{key}=\"{value}\"\n"));
    lines.collect()
}

/// Pages of 4 KiB, in whole MiB.
fn pages(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20).saturating_mul(256)
}

/// A value that is the same to Proxmox's reader and to a shell.
fn plain(value: &str) -> String {
    let fits = |c: char| !c.is_control() && !"\"\\$`".contains(c);
    value.chars().filter(|c| fits(*c)).collect()
}

/// The type under which Proxmox sets the system's network, terminals and name up; `None` for a
/// system that it does not know or refuses as too old: it then changes nothing inside.
pub(super) fn system_type(system: &System) -> Option<&'static str> {
    let version = system.major_minor().unwrap_or((0, 0));
    let (name, fits) = match system.family {
        Family::Debian if system.id == "devuan" => ("devuan", version.0 >= 1),
        Family::Debian => ("debian", version.0 >= 4),
        // The oldest one on its list.
        Family::Ubuntu => ("ubuntu", version >= (12, 4)),
        Family::RedHat => ("centos", (5..10).contains(&version.0)),
        Family::Fedora => ("fedora", version.0 >= 22),
        Family::Suse => {
            // It takes a version of two numbers, or the eight digits of a date.
            let is_known = match version.0 {
                _ if !system.version.contains('.') => version.0 >= 10_000_000,
                12 => system.id == "sles",
                13 => version.1 <= 2,
                major => major >= 42 || major == 15,
            };
            ("opensuse", is_known)
        }
        Family::Alpine => ("alpine", version.0 >= 3),
        Family::Gentoo => ("gentoo", true),
        Family::Arch => ("archlinux", true),
        Family::Other => return None,
    };
    fits.then_some(name)
}
